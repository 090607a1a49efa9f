"""Which quantizations llama.cpp can make without further data, and in which order they lose precision."""

from __future__ import annotations

FILE_TYPES: dict[str, int] = {
    "BF16": 32, "F16": 1, "Q8_0": 7, "Q6_K": 18, "Q5_1": 9, "Q5_K_M": 17, "Q5_K_S": 16, "Q5_0": 8, "Q4_1": 3, "Q4_K_M": 15,
    "IQ4_NL": 25, "Q4_K_S": 14, "Q4_0": 2, "IQ4_XS": 30, "Q3_K_L": 13, "Q3_K_M": 12, "IQ3_M": 27, "IQ3_S": 26, "Q3_K_S": 11,
    "Q2_K": 10,
}
"""`enum llama_ftype` of llama.h by label, best first.

Left out are those that need an importance matrix (`tensor_requires_imatrix` in llama-quant.cpp: IQ1, IQ2, IQ3_XS, IQ3_XXS
and Q2_K_S), those for single architectures, and F32, which nothing is made smaller by.
"""

NEEDS_IMPORTANCE_MATRIX = frozenset({
    "IQ3_XS", "IQ3_XXS", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S", "Q2_K_S",
})

FROM_LABEL_KEY = "localai.quantized.from_label"
"""Metadata of the files that are made here: the label of the file that was read."""
FROM_FILE_KEY = "localai.quantized.from_file"
"""Its name."""
FROM_BITS_KEY = "localai.quantized.from_bits_per_weight"
"""Bits per weight that it had, or that its own source had where those were fewer."""

"""How many bytes a tensor of each ggml type takes, and the average bits per weight of whole files."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QuantType:
    """One ggml type: `block_bytes` bytes hold `block_elements` weights."""

    name: str
    block_elements: int
    block_bytes: int

    @property
    def bits_per_weight(self) -> float:
        """Average bits that one weight takes."""
        return self.block_bytes * 8 / self.block_elements


QUANT_TYPES: dict[int, QuantType] = {
    0: QuantType("F32", 1, 4),
    1: QuantType("F16", 1, 2),
    2: QuantType("Q4_0", 32, 18),
    3: QuantType("Q4_1", 32, 20),
    6: QuantType("Q5_0", 32, 22),
    7: QuantType("Q5_1", 32, 24),
    8: QuantType("Q8_0", 32, 34),
    9: QuantType("Q8_1", 32, 36),
    10: QuantType("Q2_K", 256, 84),
    11: QuantType("Q3_K", 256, 110),
    12: QuantType("Q4_K", 256, 144),
    13: QuantType("Q5_K", 256, 176),
    14: QuantType("Q6_K", 256, 210),
    15: QuantType("Q8_K", 256, 292),
    16: QuantType("IQ2_XXS", 256, 66),
    17: QuantType("IQ2_XS", 256, 74),
    18: QuantType("IQ3_XXS", 256, 98),
    19: QuantType("IQ1_S", 256, 50),
    20: QuantType("IQ4_NL", 32, 18),
    21: QuantType("IQ3_S", 256, 110),
    22: QuantType("IQ2_S", 256, 82),
    23: QuantType("IQ4_XS", 256, 136),
    24: QuantType("I8", 1, 1),
    25: QuantType("I16", 1, 2),
    26: QuantType("I32", 1, 4),
    27: QuantType("I64", 1, 8),
    28: QuantType("F64", 1, 8),
    29: QuantType("IQ1_M", 256, 56),
    30: QuantType("BF16", 1, 2),
    34: QuantType("TQ1_0", 256, 54),
    35: QuantType("TQ2_0", 256, 66),
    39: QuantType("MXFP4", 32, 17),
    40: QuantType("NVFP4", 64, 36),
    41: QuantType("Q1_0", 128, 18),
    42: QuantType("Q2_0", 64, 18),
}
"""By the number that a GGUF file carries (`enum ggml_type` of ggml.h; the gaps are types that were removed)."""

QUANT_TYPES_BY_NAME: dict[str, QuantType] = {quant_type.name: quant_type for quant_type in QUANT_TYPES.values()}


def row_bytes(quant_type: QuantType | str, n_elements: int) -> int:
    """Bytes of `n_elements` weights (`ggml_row_size`); `quant_type` is a type or a name such as "q8_0".

    Raises `ValueError` when the elements do not fill whole blocks, and `KeyError` for an unknown name.
    """
    if isinstance(quant_type, str):
        quant_type = QUANT_TYPES_BY_NAME[quant_type.upper()]
    blocks, rest = divmod(n_elements, quant_type.block_elements)
    if rest:
        raise ValueError(f"{n_elements} elements do not fill blocks of {quant_type.block_elements} ({quant_type.name})")
    return blocks * quant_type.block_bytes


BITS_PER_WEIGHT: dict[str, float] = {
    "F32": 32.0,
    "F16": 16.0,
    "BF16": 16.0,
    "Q8_0": 8.50,
    "Q6_K": 6.56,
    "Q5_1": 6.0,
    "Q5_K_M": 5.70,
    "Q5_K_S": 5.57,
    "Q5_0": 5.5,
    "Q4_1": 5.0,
    "Q4_K_M": 4.89,
    "IQ4_NL": 4.68,
    "Q4_K_S": 4.67,
    "Q4_0": 4.5,
    "IQ4_XS": 4.46,
    "Q3_K_L": 4.30,
    "MXFP4": 4.25,
    "Q3_K_M": 4.00,
    "IQ3_M": 3.76,
    "IQ3_S": 3.66,
    "Q3_K_S": 3.64,
    "IQ3_XS": 3.50,
    "IQ3_XXS": 3.25,
    "Q2_K": 3.16,
    "Q2_K_S": 2.97,
    "IQ2_M": 2.93,
    "IQ2_S": 2.74,
    "IQ2_XS": 2.59,
    "IQ2_XXS": 2.38,
    "IQ1_M": 2.15,
    "IQ1_S": 2.00,
    "TQ2_0": 2.0625,
    "TQ1_0": 1.6875,
}
"""Whole-file bits per weight of each label, best first. A label such as Q4_K_M is a mix of types.

Source: llama.cpp's tools/quantize/README.md for Llama-3.1-8B; labels that are not in that table are uniform and use
the type's own size. Tiny models (a large token table kept at 6 or 8 bits) come out larger: prefer a known file size.
"""

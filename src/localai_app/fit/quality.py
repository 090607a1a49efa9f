"""How much a quantization loses, and in what order to try them."""

from __future__ import annotations

KLD: dict[str, float] = {
    "F32": 0.0, "BF16": 0.0006, "F16": 0.0006, "MXFP4": 0.0,
    "Q8_0": 0.0014, "Q6_K": 0.0055, "Q5_K_M": 0.011, "Q5_K_S": 0.017, "Q5_1": 0.018, "Q5_0": 0.022,
    "Q4_K_M": 0.028, "Q4_K_S": 0.032, "IQ4_NL": 0.036, "IQ4_XS": 0.036, "Q4_1": 0.072, "Q4_0": 0.072,
    "Q3_K_L": 0.073, "Q3_K_M": 0.084, "IQ3_M": 0.103, "IQ3_S": 0.111, "IQ3_XS": 0.139, "IQ3_XXS": 0.184, "Q3_K_S": 0.200,
    "IQ2_M": 0.326, "Q2_K": 0.332, "IQ2_S": 0.44, "IQ2_XS": 0.55, "IQ2_XXS": 0.81, "IQ1_M": 1.4, "IQ1_S": 2.2,
}
"""Mean Kullback-Leibler divergence from F16 on wikitext-2 for Llama-3-8B, with an importance matrix where one is used.

Source: llama.cpp tools/perplexity/README.md. F32 and MXFP4 are not in it: F32 loses nothing, and MXFP4 is the format in which
the models that use it (gpt-oss) were published, so nothing was lost either. One model family: it orders the
quantizations, it promises no score. Larger models lose less.
"""

LADDER = (
    "Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q4_K_M", "Q4_K_S", "IQ4_XS", "Q3_K_L", "Q3_K_M", "IQ3_M", "IQ3_XS", "IQ3_XXS",
    "Q2_K", "IQ2_M",
)
"""Best first: what to offer when the better one does not fit. Q4_0 and Q4_1 lose to Q4_K and are not in it."""

GOOD_KLD = 0.04
NOTICEABLE_KLD = 0.12
_WORDS = ((0.01, "practically the original"), (GOOD_KLD, "good"), (NOTICEABLE_KLD, "noticeable loss"), (0.2, "reduced"))
_SAME_LOSS = {
    "Q8_K_XL": "Q8_0", "Q6_K_XL": "Q6_K", "Q6_K_L": "Q6_K", "Q5_K_XL": "Q5_K_M", "Q5_K_L": "Q5_K_M",
    "Q4_K_XL": "Q4_K_M", "Q4_K_L": "Q4_K_M", "Q3_K_XL": "Q3_K_L", "Q2_K_XL": "Q2_K", "Q2_K_L": "Q2_K", "Q2_K_S": "IQ2_S",
}


def base_label(label: str) -> str:
    """The standard quantization nearest to an uploader's own mix: UD-Q4_K_XL counts as Q4_K_M."""
    plain = label.upper().removeprefix("UD-")
    return _SAME_LOSS.get(plain, plain)


def quantization_kld(label: str) -> float | None:
    """Mean divergence from the original (smaller is better); None for a label without a figure."""
    return KLD.get(base_label(label))


def loss_words(label: str) -> str:
    """What a quantization loses, in words for users; empty where unknown."""
    kld = quantization_kld(label)
    if kld is None:
        return ""
    return next((words for limit, words in _WORDS if kld <= limit), "strongly reduced")

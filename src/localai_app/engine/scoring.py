"""What scoring two models on one text yields: counts and sums, from which every figure of a loss follows.

The sums are those of llama.cpp's `tools/perplexity` with `--kl-divergence`: one entry for each scored token, natural
logarithms, `base` is the reference. Nothing else crosses the protocol, however large the vocabulary is.
"""

from __future__ import annotations

import msgspec


class LossSums(msgspec.Struct, frozen=True, kw_only=True):
    """Over the scored tokens. `nll`: negative log-likelihood of the token that follows; `kld`: KL divergence of the variant's
    distribution from the reference's; `p_diff`: probability of the token that follows, variant minus reference.
    """

    count: int
    nll: float
    nll_squared: float
    base_nll: float
    base_nll_squared: float
    nll_base_nll: float
    kld: float
    kld_squared: float
    p_diff: float
    p_diff_squared: float
    p_diff_fourth: float
    same_top: int
    """How often both find the same token most likely."""
    kld_median: float
    kld_p90: float
    kld_p99: float
    kld_p999: float
    kld_max: float


class ScoredModel(msgspec.Struct, frozen=True, kw_only=True):
    """How fast one of the two was meanwhile, as counts and seconds."""

    description: str
    """llama.cpp's words for the model: architecture, size and type."""
    read_tokens: int
    read_s: float
    generated_tokens: int
    """Evaluated one at a time, after the scoring, from an empty cache; nothing is sampled."""
    generated_s: float
    gpu_layers: int = 0


class TensorFallback(msgspec.Struct, frozen=True, kw_only=True):
    """A tensor whose rows do not fill the blocks of the type that it should have had, as llama.cpp says it."""

    name: str
    wanted: str
    used: str

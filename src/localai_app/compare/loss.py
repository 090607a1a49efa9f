"""What a smaller file loses against a reference: figures with their errors, and what they mean in words. Pure.

Formulas and names of the figures are those of llama.cpp's `tools/perplexity --kl-divergence` (`kl_divergence` in
perplexity.cpp): means over the scored tokens, with the standard error of the mean.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import msgspec

from localai_app.engine.scoring import LossSums
from localai_app.units import format_file_size

GOOD_KLD = 0.04
LOSS_WORDS = ((0.01, "practically the original"), (GOOD_KLD, "good"), (0.12, "a noticeable loss"), (0.2, "reduced"))
"""Upper limits of the mean KL divergence, and what they are called; anything above is `STRONG_LOSS`.

The limits order the figures of llama.cpp's tools/perplexity/README.md for Llama-3-8B, as the catalog's words do.
"""
STRONG_LOSS = "strongly reduced"
SAME_SPEED = 0.05
"""Speeds closer than this share are called the same."""


class TextSource(msgspec.Struct, frozen=True, kw_only=True):
    """A text to measure on. Models are told apart best by texts like those that they are meant for."""

    name: str
    text: str

    @property
    def sha256(self) -> str:
        """Of the text in UTF-8."""
        return hashlib.sha256(self.text.encode("utf-8", "replace")).hexdigest()


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A figure and its standard error."""

    value: float
    error: float = 0.0


class LossFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How far a variant is from its reference. KL divergences are in nats, shares from 0 to 1."""

    n_scored: int
    """Tokens whose distribution was compared."""
    reference_perplexity: Estimate
    variant_perplexity: Estimate
    log_ratio: Estimate
    """ln(variant's perplexity / reference's): their errors partly cancel, since both read the same tokens."""
    kld: Estimate
    """Mean KL divergence: 0 for identical distributions."""
    kld_median: float
    kld_p90: float
    kld_p99: float
    """99% of the tokens are below."""
    kld_p999: float
    kld_max: float
    same_top: Estimate
    """Share of tokens for which both find the same next token most likely."""
    p_diff: Estimate
    """Probability of the token that follows in the text, variant minus reference."""
    p_diff_rms: Estimate


class LossModel(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two models of a measurement."""

    key: str
    """As `InstalledModel.key`."""
    name: str
    label: str = ""
    size_bytes: int = 0
    sha256: tuple[str, ...] = ()
    """Of its files; empty where they were not hashed."""
    description: str = ""
    """llama.cpp's words for it."""
    tps: float = 0.0
    """Generated tokens per second from an empty context, measured along with the loss; 0.0: not measured."""
    prompt_tps: float = 0.0
    gpu_layers: int = 0

    @property
    def title(self) -> str:
        """The label where there is one, else the name."""
        return self.label or self.name


class LossResult(LossFigures, frozen=True, kw_only=True):
    """One measured variant, with what it takes to repeat it."""

    id: int = 0
    """In the store; 0 before it is kept."""
    measured_s: float = 0.0
    """Since the epoch."""
    reference: LossModel
    variant: LossModel
    text_name: str
    text_sha256: str
    n_tokens: int
    """Tokens that each model read."""
    ctx: int
    engine_build: str = ""
    threads: int = 0
    processor: str = ""
    seconds: float = 0.0
    """From the start of the worker to the result."""

    @property
    def words(self) -> str:
        """What the mean divergence is called."""
        return loss_words(self.kld.value)

    @property
    def size_share(self) -> float:
        """The variant's size as a share of the reference's; 0.0 where it is not known."""
        return self.variant.size_bytes / self.reference.size_bytes if self.reference.size_bytes else 0.0


def loss_words(kld: float) -> str:
    """What a mean KL divergence is called."""
    return next((words for limit, words in LOSS_WORDS if kld <= limit), STRONG_LOSS)


def figures_of(sums: LossSums) -> LossFigures:
    """The figures behind sums over at least one scored token."""
    n = sums.count
    nll, base = _mean(sums.nll, sums.nll_squared, n), _mean(sums.base_nll, sums.base_nll_squared, n)
    covariance = (sums.nll_base_nll / n - nll.value * base.value) / (n - 1) if n > 10 else 0.0
    mse = _mean(sums.p_diff_squared, sums.p_diff_fourth, n)
    rms, same = math.sqrt(mse.value), sums.same_top / n
    return LossFigures(
        n_scored=n,
        reference_perplexity=_exponential(base), variant_perplexity=_exponential(nll),
        log_ratio=Estimate(
            value=nll.value - base.value, error=math.sqrt(max(0.0, nll.error**2 + base.error**2 - 2 * covariance))),
        kld=_mean(sums.kld, sums.kld_squared, n),
        kld_median=sums.kld_median, kld_p90=sums.kld_p90, kld_p99=sums.kld_p99, kld_p999=sums.kld_p999, kld_max=sums.kld_max,
        same_top=Estimate(value=same, error=math.sqrt(same * (1 - same) / (n - 1)) if n > 1 else 0.0),
        p_diff=_mean(sums.p_diff, sums.p_diff_squared, n),
        p_diff_rms=Estimate(value=rms, error=0.5 / rms * mse.error if rms > 0 else 0.0))


def estimate_words(estimate: Estimate) -> str:
    """A figure with as many digits as its error leaves it: 0.028 ± 0.001."""
    if estimate.error <= 0:
        return f"{estimate.value:.2g}"
    digits = max(0, min(7, -math.floor(math.log10(estimate.error))))
    return f"{estimate.value:.{digits}f} ± {estimate.error:.{digits}f}"


def recommendation(results: Sequence[LossResult]) -> str:
    """Which file to take, as a sentence with its numbers; empty without results.

    Results count as one comparison where reference, text, length and context are those of the first one. Of each variant the
    first one counts.
    """
    compared = _comparable(results)
    if not compared:
        return ""
    good = [result for result in compared if result.kld.value <= GOOD_KLD]
    if good:
        return _sentence_for(min(good, key=lambda result: (result.variant.size_bytes, result.kld.value)), compared)
    best = min(compared, key=lambda result: result.kld.value)
    advice = (
        "a larger variant, or a smaller model at Q4_K_M, is the better use of the memory" if best.kld.value > LOSS_WORDS[-1][0]
        else "take a larger variant where the memory allows it")
    figures = (
        f"a mean KL divergence of {_kld(best)} from {best.reference.title} ({best.words}) and the same next token in "
        f"{_percent(best.same_top)}")
    if len(compared) == 1:
        return f"{best.variant.title} does not stay good, with {figures}; {advice}."
    return f"None of these stays good: {best.variant.title} loses least, with {figures}; {advice}."


def _sentence_for(pick: LossResult, compared: Sequence[LossResult]) -> str:
    kind = "the smallest of these files that stays good" if len(compared) > 1 else "good"
    if pick.words != "good":
        kind = f"{pick.words}" if len(compared) == 1 else f"{kind}, {pick.words}"
    parts = [
        f"{pick.variant.title} is {kind}: its mean KL divergence from {pick.reference.title} is {_kld(pick)}, it finds the "
        f"same next token most likely in {_percent(pick.same_top)}"]
    size = _size_words(pick)
    if size:
        parts.append(size)
    below = [result for result in compared if result.variant.size_bytes < pick.variant.size_bytes]
    sentence = ", and ".join(parts)
    if pick.kld.value + 2 * pick.kld.error > GOOD_KLD:
        return f"{sentence}; that is close to the limit of {GOOD_KLD:g}, so a longer text would make it certain."
    if below:
        smaller = max(below, key=lambda result: result.variant.size_bytes)
        return f"{sentence}; {smaller.variant.title}, the next smaller one, is {_article(smaller.words)} at {_kld(smaller)}."
    return f"{sentence}."


def _size_words(pick: LossResult) -> str:
    if not pick.size_share:
        return ""
    words = f"it takes {format_file_size(pick.variant.size_bytes)}, {100 * pick.size_share:.0f}% of the size"
    if pick.variant.tps > 0 and pick.reference.tps > 0:
        ratio = pick.variant.tps / pick.reference.tps
        if abs(ratio - 1) <= SAME_SPEED:
            return f"{words}, at the same speed"
        return f"{words}, at {ratio:.2g} times the speed"
    return words


def _comparable(results: Sequence[LossResult]) -> list[LossResult]:
    if not results:
        return []
    first, found = results[0], {}
    for result in results:
        same = (result.reference.key, result.text_sha256, result.n_scored, result.ctx) == (
            first.reference.key, first.text_sha256, first.n_scored, first.ctx)
        if same and result.variant.key not in found:
            found[result.variant.key] = result
    return list(found.values())


def _kld(result: LossResult) -> str:
    return estimate_words(result.kld)


def _percent(share: Estimate) -> str:
    return f"{100 * share.value:.1f} ± {100 * share.error:.1f}% of the places"


def _article(words: str) -> str:
    return words if words != "good" else "good as well"


def _mean(total: float, squares: float, n: int) -> Estimate:
    """The mean and its standard error, which a handful of values does not have."""
    mean = total / n
    variance = squares / n - mean * mean
    return Estimate(value=mean, error=math.sqrt(variance / (n - 1)) if variance > 0 and n > 10 else 0.0)


def _exponential(log_mean: Estimate) -> Estimate:
    value = math.exp(log_mean.value)
    return Estimate(value=value, error=value * log_mean.error)

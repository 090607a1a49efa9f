"""What a smaller file loses: figures from sums, their errors, words, and the recommendation."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app.compare.loss import (
    LOSS_WORDS,
    Estimate,
    LossModel,
    LossResult,
    TextSource,
    estimate_words,
    figures_of,
    loss_words,
    recommendation,
)
from localai_app.engine.scoring import LossSums
from localai_app.fit import quality

N = 500


def sums_of(nll: Any, base: Any, klds: Any, same_top: int) -> LossSums:
    difference = np.exp(-nll) - np.exp(-base)
    return LossSums(
        count=len(nll), nll=float(nll.sum()), nll_squared=float((nll**2).sum()), base_nll=float(base.sum()),
        base_nll_squared=float((base**2).sum()), nll_base_nll=float((nll * base).sum()), kld=float(klds.sum()),
        kld_squared=float((klds**2).sum()), p_diff=float(difference.sum()), p_diff_squared=float((difference**2).sum()),
        p_diff_fourth=float((difference**4).sum()), same_top=same_top, kld_median=float(np.median(klds)),
        kld_p90=0.1, kld_p99=0.2, kld_p999=0.3, kld_max=float(klds.max()))


def result_of(
    label: str, kld: float, *, error: float = 0.001, size_bytes: int = 500, tps: float = 20.0, **more: Any,
) -> LossResult:
    flat = np.full(N, 2.0)
    figures = figures_of(sums_of(flat, flat, np.full(N, kld), round(0.95 * N)))
    fields = {name: getattr(figures, name) for name in figures.__struct_fields__}
    fields["kld"] = Estimate(value=kld, error=error)
    reference = LossModel(key="m:F16", name="Model", label="F16", size_bytes=1000, tps=10.0)
    variant = LossModel(key=f"m:{label}", name="Model", label=label, size_bytes=size_bytes, tps=tps)
    usual: dict[str, Any] = {"reference": reference, "variant": variant, "text_name": "text", "text_sha256": "ab",
                             "n_tokens": 1024, "ctx": 512}
    return LossResult(**fields, **(usual | more))


def test_figures_are_means_with_the_errors_of_means() -> None:
    rng = np.random.default_rng(3)
    base = rng.exponential(2.0, N)
    nll, klds = base + rng.normal(0.05, 0.1, N), rng.exponential(0.03, N)
    figures = figures_of(sums_of(nll, base, klds, 450))
    root = math.sqrt(N)
    assert figures.n_scored == N
    assert figures.kld.value == pytest.approx(klds.mean())
    assert figures.kld.error == pytest.approx(klds.std(ddof=1) / root)
    assert figures.variant_perplexity.value == pytest.approx(math.exp(nll.mean()))
    assert figures.variant_perplexity.error == pytest.approx(math.exp(nll.mean()) * nll.std(ddof=1) / root)
    assert figures.log_ratio.value == pytest.approx((nll - base).mean())
    # Both read the same tokens: far smaller than the errors of either perplexity.
    assert figures.log_ratio.error == pytest.approx((nll - base).std(ddof=1) / root)
    assert figures.log_ratio.error < figures.reference_perplexity.error / figures.reference_perplexity.value / 5
    assert figures.same_top.value == 0.9
    assert figures.same_top.error == pytest.approx(math.sqrt(0.09 / (N - 1)))
    difference = np.exp(-nll) - np.exp(-base)
    assert figures.p_diff.value == pytest.approx(difference.mean())
    assert figures.p_diff_rms.value == pytest.approx(math.sqrt((difference**2).mean()))


def test_a_single_token_has_figures_without_errors() -> None:
    one = np.array([2.0])
    figures = figures_of(sums_of(one, one, np.array([0.0]), 1))
    assert (figures.kld, figures.log_ratio.error, figures.p_diff_rms.value) == (Estimate(value=0.0), 0.0, 0.0)


@given(st.lists(st.tuples(st.floats(0, 20), st.floats(0, 20), st.floats(0, 10)), min_size=1, max_size=60))
def test_figures_of_any_sums_are_numbers(places: list[tuple[float, float, float]]) -> None:
    nll, base, klds = (np.array(column) for column in zip(*places, strict=True))
    figures = figures_of(sums_of(nll, base, klds, len(places) // 2))
    for name in figures.__struct_fields__:
        value = getattr(figures, name)
        numbers = (value.value, value.error) if isinstance(value, Estimate) else (value,)
        assert all(math.isfinite(number) for number in numbers), name
        if isinstance(value, Estimate):
            assert value.error >= 0


def test_words_are_those_of_the_catalog() -> None:
    catalog = {label: quality.loss_words(label) for label in quality.KLD}
    for label, words in catalog.items():
        # The catalog calls a noticeable loss by the word alone.
        assert loss_words(quality.KLD[label]).removeprefix("a ") == words, label
    assert [limit for limit, _words in LOSS_WORDS] == sorted(limit for limit, _words in LOSS_WORDS)


@pytest.mark.parametrize(("value", "error", "words"), [
    (0.0283, 0.0011, "0.028 ± 0.001"), (12.345, 0.3, "12.3 ± 0.3"), (123.4, 12.0, "123 ± 12"), (0.5, 0.0, "0.5")])
def test_figures_have_the_digits_that_their_errors_leave(value: float, error: float, words: str) -> None:
    assert estimate_words(Estimate(value=value, error=error)) == words


def test_the_smallest_file_that_stays_good_is_recommended() -> None:
    sentence = recommendation([
        result_of("Q8_0", 0.002, size_bytes=530), result_of("Q4_K_M", 0.03, size_bytes=300),
        result_of("Q2_K", 0.33, size_bytes=200)])
    assert sentence.startswith("Q4_K_M is the smallest of these files that stays good: its mean KL divergence from F16 is 0.03")
    assert "95.0 ± 1.0% of the places" in sentence
    assert "30% of the size, at 2 times the speed" in sentence
    assert "Q2_K, the next smaller one, is strongly reduced at 0.330" in sentence


def test_where_none_is_good_a_larger_one_is_advised() -> None:
    sentence = recommendation([result_of("Q3_K_M", 0.09), result_of("Q2_K", 0.33)])
    assert sentence.startswith("None of these stays good: Q3_K_M loses least")
    assert "take a larger variant where the memory allows it" in sentence
    alone = recommendation([result_of("Q2_K", 0.33)])
    assert alone.startswith("Q2_K does not stay good")
    assert "a smaller model at Q4_K_M" in alone


def test_a_figure_near_the_limit_asks_for_more_text() -> None:
    assert "a longer text would make it certain" in recommendation([result_of("Q4_0", 0.038, error=0.002)])
    assert "a longer text" not in recommendation([result_of("Q4_0", 0.030, error=0.002)])


def test_only_what_can_be_compared_is_compared() -> None:
    other_text = result_of("Q4_0", 0.001, size_bytes=10, text_sha256="cd")
    repeated = result_of("Q8_0", 0.5)
    sentence = recommendation([result_of("Q8_0", 0.002), other_text, repeated])
    assert sentence.startswith("Q8_0 is practically the original")
    assert "Q4_0" not in sentence
    assert recommendation([]) == ""


def test_results_and_texts_keep_their_meaning() -> None:
    result = result_of("Q4_0", 0.05)
    assert msgspec.json.decode(msgspec.json.encode(result), type=LossResult) == result
    assert (result.words, result.size_share) == ("a noticeable loss", 0.5)
    text = TextSource(name="n", text="ü")
    assert text.sha256 == TextSource(name="other", text="ü").sha256 != TextSource(name="n", text="u").sha256

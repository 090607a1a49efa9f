"""Sums over distributions: the definition on random logits, excluded tokens, and logits that are no numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from localai_app.engine.worker.loss_statistics import LossStatistics, NotNumbersError
from localai_app.engine.worker.scoring_model import LOGITS_BYTES, MAX_ROWS, rows_within

VOCAB, PLACES = 50, 200


def probabilities(logits: np.ndarray) -> np.ndarray:
    wide = np.exp(logits.astype(np.float64))
    return wide / wide.sum()


def test_sums_follow_the_definition() -> None:
    rng = np.random.default_rng(7)
    reference = rng.normal(0, 3, (PLACES, VOCAB)).astype(np.float32)
    variant = (reference + rng.normal(0, 0.5, reference.shape)).astype(np.float32)
    tokens = rng.integers(0, VOCAB, PLACES)
    statistics = LossStatistics(VOCAB)
    klds, nll, base, same = [], [], [], 0
    for one, other, token in zip(reference, variant, tokens, strict=True):
        statistics.add(one, other, int(token))
        p, q = probabilities(one), probabilities(other)
        klds.append(float(np.sum(p * np.log(p / q))))
        nll.append(-math.log(q[token]))
        base.append(-math.log(p[token]))
        same += p.argmax() == q.argmax()
    sums = statistics.sums()
    assert sums.count == PLACES
    assert sums.same_top == same
    assert min(klds) >= 0
    expected = {
        "kld": sum(klds), "kld_squared": sum(kld**2 for kld in klds), "nll": sum(nll), "base_nll": sum(base),
        "nll_squared": sum(x**2 for x in nll), "base_nll_squared": sum(x**2 for x in base),
        "nll_base_nll": sum(x * y for x, y in zip(nll, base, strict=True)),
        "p_diff": sum(math.exp(-x) - math.exp(-y) for x, y in zip(nll, base, strict=True)),
        "p_diff_squared": sum((math.exp(-x) - math.exp(-y)) ** 2 for x, y in zip(nll, base, strict=True)),
        "kld_median": float(np.median(klds)), "kld_p90": float(np.percentile(klds, 90)),
        "kld_p99": float(np.percentile(klds, 99)), "kld_p999": float(np.percentile(klds, 99.9)), "kld_max": max(klds)}
    assert {name: getattr(sums, name) for name in expected} == pytest.approx(expected, rel=1e-9)


def test_logits_far_from_zero_lose_nothing() -> None:
    row = np.array([1000.0, 999.0, -1000.0], dtype=np.float32)
    statistics = LossStatistics(3)
    statistics.add(row, row - 500, 1)
    sums = statistics.sums()
    assert sums.kld == pytest.approx(0.0, abs=1e-12)
    assert sums.nll == pytest.approx(math.log(1 + math.e), rel=1e-9)


def test_tokens_that_both_exclude_add_nothing() -> None:
    excluded = -np.inf
    one, other = np.array([0.0, 1.0, excluded], np.float32), np.array([1.0, 0.0, excluded], np.float32)
    statistics = LossStatistics(3)
    statistics.add(one, other, 0)
    p, q = probabilities(one[:2]), probabilities(other[:2])
    assert statistics.sums().kld == pytest.approx(float(np.sum(p * np.log(p / q))))


@pytest.mark.parametrize(("one", "other", "is_reference"), [
    ([0.0, math.nan], [0.0, 1.0], True),
    ([0.0, 1.0], [math.nan, 1.0], False),
    ([0.0, 1.0], [-math.inf, -math.inf], False),
    ([0.0, 1.0], [0.0, -math.inf], False),
])
def test_what_is_no_distribution_is_told_apart(one: list[float], other: list[float], is_reference: bool) -> None:
    with pytest.raises(NotNumbersError) as raised:
        LossStatistics(2).add(np.array(one, np.float32), np.array(other, np.float32), 0)
    assert raised.value.is_reference is is_reference


@pytest.mark.parametrize("n_vocab", [1, 32_000, 49_152, 128_256, 262_144, 10**9])
def test_a_slice_stays_within_its_budget(n_vocab: int) -> None:
    rows = rows_within(LOGITS_BYTES, n_vocab)
    assert 1 <= rows <= MAX_ROWS
    assert rows == 1 or rows * n_vocab * 4 <= LOGITS_BYTES


def test_half_a_chunk_is_read_at_once_or_in_slices_by_the_vocabulary() -> None:
    assert rows_within(LOGITS_BYTES, 49_152) == MAX_ROWS == 256
    assert rows_within(LOGITS_BYTES, 262_144) == 64

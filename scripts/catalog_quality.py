"""One quality figure for every model, from published benchmark scores; docs/decisions/002-quality-scale.md explains it.

A model has one ability, a benchmark turns ability into a score: logit(score) = level + slope x ability. Both sides are
fitted in turn by least squares. What size, thinking and family lead one to expect is the starting point of every ability,
so a model with few scores stays near it and a model with none is exactly there (estimated).
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

Facts = dict[str, Any]
ANCHOR = "MMLU-Pro"
"""Quality reads as the MMLU-Pro score to be expected, in percent, with guessing taken out."""
CHANCE = {"MMLU-Pro": 10.0, "MMLU": 25.0, "MMLU-Redux": 25.0, "GPQA (Diamond unless noted)": 25.0}
"""What guessing gives, in percent."""
NOT_LANGUAGE = ("ChartQA", "DocVQA", "MMMU", "MathVista")
FEWEST_MODELS = 6
NOISE, SPREAD = 0.45, 0.6
"""Standard deviations: of one score around the line (in logits), of an ability around its expectation."""
FAMILY_WEIGHT, SERIES_WEIGHT = 1.0, 0.5
"""How many more scored models a family or series would need to be believed fully."""
SMALL = 4.0
"""Billions of weights below which ability falls faster with size."""
GUESSING_SIZE, GUESSING_ROWS = 0.1, 3
"""Few tiny models have published scores; the line is held down by this: at 0.1 billion weights a model guesses."""
ROUNDS = 200
NOT_COMPARABLE = {"qwen3-235b-a22b": ("GPQA (Diamond unless noted)", "GSM8K", "MATH", "MMLU", "MMLU-Pro", "MMLU-Redux", "MBPP")}
"""Rows that the source itself calls scores of the base model."""


@dataclass(frozen=True)
class Quality:
    """A figure from 0 to 100, whether it is an estimate, and from what it was made."""

    value: float
    is_estimated: bool
    source: str


def usable_scores(facts: Facts) -> dict[str, float]:
    """Benchmark -> mean score in percent, without those that are not comparable or not about language."""
    return {name: score for name, score in comparable_scores(facts).items() if name not in NOT_LANGUAGE}


def comparable_scores(facts: Facts, wanted: Collection[str] | None = None) -> dict[str, float]:
    """Benchmark -> mean score in percent, without those that are not comparable; of the wanted ones only, if any are named."""
    found: dict[str, list[float]] = defaultdict(list)
    for row in facts["benchmarks"]:
        note, name = row["note"] or "", row["benchmark"]
        # A vote of 64 answers is not one answer, and the second edition of a benchmark is another benchmark.
        skipped = name in NOT_COMPARABLE.get(facts["id"], ()) or "@64" in note or (name == "Arena-Hard" and note == "v2")
        if not skipped and (wanted is None or name in wanted):
            found[name].append(row["score"])
    return {name: sum(values) / len(values) for name, values in found.items()}


def effective_size(facts: Facts) -> float:
    """Billions of weights that count for ability: the geometric mean of all and active ones in a mixture of experts."""
    total = facts["params_total"] or 1e12
    active = facts["params_active"] or total
    return math.sqrt(total * active) / 1e9


@dataclass(frozen=True)
class Fitted:
    """Abilities by model, the lines of the benchmarks, and the scores behind them as logits."""

    ability: dict[str, float]
    level: dict[str, float]
    slope: dict[str, float]
    logits: dict[str, dict[str, float]]


def fitted(models: list[Facts]) -> Fitted:
    """The overall ability of every model, before series are made to rise with size."""
    scores = {facts["id"]: usable_scores(facts) for facts in models}
    counts: dict[str, int] = defaultdict(int)
    for found in scores.values():
        for benchmark in found:
            counts[benchmark] += 1
    kept = {name for name, count in counts.items() if count >= FEWEST_MODELS}
    logits = {
        key: {name: logit_of(name, score) for name, score in found.items() if name in kept}
        for key, found in scores.items()
    }
    return Fitted(*_fit(models, logits), logits)


def qualities(models: list[Facts]) -> dict[str, Quality]:
    """The quality of every model by id."""
    found = fitted(models)
    values = {key: percent_of(found, theta) for key, theta in found.ability.items()}
    values = never_falling_with_size(models, values, {key for key, used in found.logits.items() if used})
    return {facts["id"]: _quality(facts, values[facts["id"]], found.logits[facts["id"]]) for facts in models}


def percent_of(found: Fitted, ability: float) -> float:
    """An ability as the score in the anchor benchmark to be expected, guessing taken out."""
    return 100 * _sigmoid(found.level[ANCHOR] + found.slope[ANCHOR] * ability)


def _quality(facts: Facts, value: float, used: dict[str, float]) -> Quality:
    if used:
        names = ", ".join(sorted(used))
        return Quality(round(value, 1), False, f"fitted to the published scores in {names}")
    return Quality(round(value, 1), True, f"estimated from its size and the scores of other {facts['family']} models and sizes")


def _fit(
    models: list[Facts], logits: dict[str, dict[str, float]]
) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    """(ability by model, level and slope by benchmark) by alternating least squares."""
    features = {facts["id"]: _features(facts) for facts in models}
    mean_size = sum(f[1] for f in features.values()) / len(features)
    ability = {key: 2 * (f[1] - mean_size) for key, f in features.items()}
    level: dict[str, float] = {}
    slope: dict[str, float] = {}
    for _ in range(ROUNDS):
        ability = _standardised(ability, {key for key, found in logits.items() if found})
        level, slope = benchmark_lines(ability, logits)
        guessing = (_logit(0) - level[ANCHOR]) / slope[ANCHOR]
        expected = _expectations(models, features, ability, logits, guessing)
        for key, found in logits.items():
            precision = 1 / SPREAD**2 + sum(slope[name] ** 2 for name in found) / NOISE**2
            pull = expected[key] / SPREAD**2 + sum(slope[n] * (y - level[n]) for n, y in found.items()) / NOISE**2
            ability[key] = pull / precision
    return ability, level, slope


def _features(facts: Facts) -> tuple[float, ...]:
    mode = str((facts["thinking"] or {}).get("mode"))
    return _size_features(effective_size(facts), {"always": 1.0, "switchable": 0.6}.get(mode, 0.0))


def _size_features(size: float, thinks: float) -> tuple[float, ...]:
    return (1.0, math.log10(size), math.log10(min(size, SMALL) / SMALL), thinks)


def _standardised(ability: dict[str, float], scored: set[str]) -> dict[str, float]:
    known = [ability[key] for key in sorted(scored)]
    mean = sum(known) / len(known)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in known) / len(known))
    return {key: (value - mean) / deviation for key, value in ability.items()}


def benchmark_lines(
    ability: dict[str, float], logits: dict[str, dict[str, float]]
) -> tuple[dict[str, float], dict[str, float]]:
    """Level and slope of each benchmark; the slope is drawn towards 1 so that few models cannot turn it round."""
    points: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for key, found in logits.items():
        for name, value in found.items():
            points[name].append((ability[key], value))
    level, slope = {}, {}
    for name, pairs in points.items():
        mean_x, mean_y = (sum(values) / len(pairs) for values in zip(*pairs, strict=True))
        covariance = sum((x - mean_x) * (y - mean_y) for x, y in pairs)
        variance = sum((x - mean_x) ** 2 for x, _ in pairs)
        slope[name] = max((covariance + 1.0) / (variance + 1.0), 0.2)
        level[name] = mean_y - slope[name] * mean_x
    return level, slope


def _expectations(
    models: list[Facts],
    features: dict[str, tuple[float, ...]],
    ability: dict[str, float],
    logits: dict[str, dict[str, float]],
    guessing: float,
) -> dict[str, float]:
    """Ability by size and thinking over all scored models, shifted by what scored ones of the family and series differ."""
    scored = [facts["id"] for facts in models if logits[facts["id"]]]
    anchors = [_size_features(GUESSING_SIZE, 0.0)] * GUESSING_ROWS
    weights = _least_squares(
        [features[key] for key in scored] + anchors, [ability[key] for key in scored] + [guessing] * GUESSING_ROWS
    )
    line = {key: sum(w * f for w, f in zip(weights, values, strict=True)) for key, values in features.items()}
    for group_of, weight in ((lambda facts: facts["family"], FAMILY_WEIGHT), (series_of, SERIES_WEIGHT)):
        rest: dict[object, list[float]] = defaultdict(list)
        for facts in models:
            if logits[facts["id"]]:
                rest[group_of(facts)].append(ability[facts["id"]] - line[facts["id"]])
        for facts in models:
            if values := rest.get(group_of(facts)):
                line[facts["id"]] += sum(values) / (len(values) + weight)
    return line


def _least_squares(rows: list[tuple[float, ...]], targets: list[float]) -> list[float]:
    """Ordinary least squares by the normal equations (four unknowns), with a trace of ridge."""
    size = len(rows[0])
    matrix = [[sum(row[i] * row[j] for row in rows) + (1e-6 if i == j else 0) for j in range(size)] for i in range(size)]
    right = [sum(row[i] * target for row, target in zip(rows, targets, strict=True)) for i in range(size)]
    for pivot in range(size):
        for row in range(size):
            if row != pivot:
                factor = matrix[row][pivot] / matrix[pivot][pivot]
                matrix[row] = [a - factor * b for a, b in zip(matrix[row], matrix[pivot], strict=True)]
                right[row] -= factor * right[pivot]
    return [right[i] / matrix[i][i] for i in range(size)]


def series_of(facts: Facts) -> tuple[str, str, str]:
    """Models that differ only in size: the family, the way of thinking, and the name without its sizes."""
    stem = re.sub(r"\b[AE]?\d+(\.\d+)?[MB]\b|\b\d+[EB]\b", "", facts["name"], flags=re.IGNORECASE)
    return facts["family"], str((facts["thinking"] or {}).get("mode")), re.sub(r"[\s-]+", "-", stem).strip("-").lower()


def never_falling_with_size(models: list[Facts], values: dict[str, float], scored: set[str]) -> dict[str, float]:
    """Pools neighbours of a series where the larger would be the worse (isotonic regression, scored ones weigh more)."""
    series: dict[tuple[str, str, str], list[Facts]] = defaultdict(list)
    for facts in models:
        series[series_of(facts)].append(facts)
    smoothed = dict(values)
    for members in series.values():
        pools: list[tuple[float, float, list[str]]] = []
        for facts in sorted(members, key=effective_size):
            weight = 20.0 if facts["id"] in scored else 1.0
            pools.append((values[facts["id"]], weight, [facts["id"]]))
            while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
                (a, wa, ka), (b, wb, kb) = pools[-2:]
                pools[-2:] = [((a * wa + b * wb) / (wa + wb), wa + wb, ka + kb)]
        smoothed |= {key: value for value, _, keys in pools for key in keys}
    return smoothed


def logit_of(benchmark: str, percent: float) -> float:
    """The logit of a score with guessing taken out."""
    chance = CHANCE.get(benchmark, 0.0)
    return _logit(100 * (percent - chance) / (100 - chance))


def _logit(percent: float) -> float:
    share = min(max(percent / 100, 0.02), 0.98)
    return math.log(share / (1 - share))


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))

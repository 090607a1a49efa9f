"""Quality per task on the scale of the overall quality, from the published scores that belong to the task.

A model's ability at a task starts from its overall ability. The task's benchmarks are lines over it (as in
`catalog_quality`), and what a model scores above or below its line pulls its ability at the task away; a model without such
scores is moved as far as the scored ones of its series and family are on average, and counts as estimated.
docs/decisions/002-quality-scale.md says more.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from catalog_quality import (
    NOISE,
    Fitted,
    Quality,
    benchmark_lines,
    comparable_scores,
    fitted,
    logit_of,
    never_falling_with_size,
    percent_of,
    series_of,
)
from catalog_words import tasks_of

Facts = dict[str, Any]
BENCHMARKS: dict[str, tuple[str, ...]] = {
    "code": (
        "LiveCodeBench", "LiveCodeBench v5", "LiveCodeBench v6", "SWE-bench Verified", "Aider Polyglot", "HumanEval",
        "HumanEval+", "MBPP"),
    "reasoning": (
        "GPQA (Diamond unless noted)", "AIME 2024", "AIME 2025", "AIME 2026", "MATH", "MATH-500", "GSM8K"),
    "vision": ("MMMU", "MathVista", "ChartQA", "DocVQA"),
    "languages": ("MMMLU", "Global-MMLU-Lite", "MGSM"),
}
"""Which published benchmarks tell how good a model is at what; chat is the overall quality."""
TAGS = {"languages": "multilingual"}
FEWEST_MODELS = 4
"""A benchmark that fewer models report gives no line."""
TASK_SPREAD = 0.35
"""Standard deviation of an ability at a task around the overall one."""
SPECIALIST = TASK_SPREAD
"""How far a model that was made for a task (its first tag) is taken to be above its overall ability where no score tells."""
FAMILY_WEIGHT = 2.0
"""How many more scored models a series or family would need to be believed fully."""
ROUNDS = 30


def task_qualities(models: list[Facts]) -> dict[str, dict[str, Quality]]:
    """Model id -> task -> quality; a task is missing where the model cannot do it at all (vision without eyes)."""
    overall = fitted(models)
    found: dict[str, dict[str, Quality]] = {facts["id"]: {} for facts in models}
    for task, benchmarks in BENCHMARKS.items():
        members = [facts for facts in models if task != "vision" or "vision" in tasks_of(facts)]
        for key, quality in _of_task(task, members, overall, benchmarks).items():
            found[key][task] = quality
    return found


def _of_task(task: str, models: list[Facts], overall: Fitted, benchmarks: tuple[str, ...]) -> dict[str, Quality]:
    scores = {facts["id"]: comparable_scores(facts, benchmarks) for facts in models}
    counts: dict[str, int] = defaultdict(int)
    for reported in scores.values():
        for name in reported:
            counts[name] += 1
    logits = {
        key: {name: logit_of(name, score) for name, score in reported.items() if counts[name] >= FEWEST_MODELS}
        for key, reported in scores.items()
    }
    offsets = _offsets(models, overall, logits)
    offsets |= {
        facts["id"]: SPECIALIST for facts in models if not logits[facts["id"]] and facts["tags"][0] == TAGS.get(task, task)}
    values = {key: percent_of(overall, overall.ability[key] + offset) for key, offset in offsets.items()}
    values = never_falling_with_size(models, values, {key for key, used in logits.items() if used})
    return {key: _quality(task, value, logits[key]) for key, value in values.items()}


def _offsets(models: list[Facts], overall: Fitted, logits: dict[str, dict[str, float]]) -> dict[str, float]:
    """How far every model's ability at the task is from its overall one."""
    offset = {facts["id"]: 0.0 for facts in models}
    scored = {key: found for key, found in logits.items() if found}
    if not scored:
        return offset
    for _ in range(ROUNDS):
        ability = {key: overall.ability[key] + offset[key] for key in offset}
        level, slope = benchmark_lines(ability, scored)
        expected = _expected(models, {key: offset[key] for key in scored})
        for key, found in scored.items():
            precision = 1 / TASK_SPREAD**2 + sum(slope[name] ** 2 for name in found) / NOISE**2
            residuals = sum(
                slope[name] * (value - level[name] - slope[name] * overall.ability[key]) for name, value in found.items())
            offset[key] = (expected[key] / TASK_SPREAD**2 + residuals / NOISE**2) / precision
        # Only differences count: on average a model is as good at a task as it is overall.
        mean = sum(offset[key] for key in scored) / len(scored)
        offset.update({key: offset[key] - mean for key in scored})
    expected = _expected(models, {key: offset[key] for key in scored})
    return {key: offset[key] if key in scored else expected[key] for key in offset}


def _expected(models: list[Facts], known: dict[str, float]) -> dict[str, float]:
    """What the scored models of a family and then of a series are off on average, drawn towards nothing where they are few."""
    expected = {facts["id"]: 0.0 for facts in models}
    for group_of in (lambda facts: facts["family"], series_of):
        rest: dict[object, list[float]] = defaultdict(list)
        for facts in models:
            if facts["id"] in known:
                rest[group_of(facts)].append(known[facts["id"]] - expected[facts["id"]])
        for facts in models:
            if values := rest.get(group_of(facts)):
                expected[facts["id"]] += sum(values) / (len(values) + FAMILY_WEIGHT)
    return expected


def _quality(task: str, value: float, used: dict[str, float]) -> Quality:
    if used:
        names = ", ".join(sorted(used))
        return Quality(round(value, 1), False, f"overall quality, corrected by the published scores in {names}")
    return Quality(round(value, 1), True, f"estimated: no published score for {task} in the catalog")


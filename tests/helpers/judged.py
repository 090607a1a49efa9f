"""Finished comparisons with votes, as they lie in the store after weeks of use."""

from __future__ import annotations

import random
from collections.abc import Sequence

from localai_app import __version__
from localai_app.compare.checks import CheckResult, ExactCheck
from localai_app.compare.comparison import (
    AnswerRecord,
    Comparison,
    ComparisonSpec,
    ComparisonState,
    ContestantRun,
    Verdict,
    Vote,
)
from localai_app.compare.contestant import Contestant
from localai_app.compare.prompts import Prompt
from localai_app.services.compare.comparison_keeper import ComparisonKeeper
from localai_app.store.database import Store

CONTESTANTS = tuple(
    Contestant(model_key=f"{owner}/{name.replace(' ', '-')}-GGUF:{label}", name=name, label=label)
    for owner, name, label in (
        ("Qwen", "Qwen3 14B", "Q4_K_M"), ("ggml-org", "Gemma 3 12B", "Q4_K_M"), ("microsoft", "Phi-4", "Q4_K_M"),
        ("Qwen", "Qwen3 4B", "Q8_0"), ("Qwen", "Qwen3 4B", "Q4_K_M")))
SPEEDS = (37.9, 44.2, 36.4, 71.0, 96.5)
SIZES = (9_000_000_000, 7_300_000_000, 9_050_000_000, 4_280_000_000, 2_500_000_000)
TAGS = ("coding", "reasoning", "translation", "")


def keep(store: Store, comparison: Comparison) -> int:
    """Put a comparison into the store with all that belongs to it; its number there."""
    keeper = ComparisonKeeper(store.comparisons)
    number = keeper.add(comparison.spec, __version__)
    for run in comparison.runs:
        keeper.set_run(number, run)
    for answer in comparison.answers:
        keeper.add_answer(number, answer)
    for vote in comparison.votes:
        keeper.set_vote(number, vote)
    keeper.set_state(number, comparison.state)
    return number


def judged(
    places: Sequence[int], n_votes: int, *, judge: str = "", is_blind: bool = False, seed: int = 1,
    n_prompts: int | None = None,
) -> Comparison:
    """A comparison of some of CONTESTANTS, of which earlier ones tend to be preferred, with votes on its first prompts."""
    chance = random.Random(seed)
    contestants = tuple(CONTESTANTS[place] for place in places)
    prompts = tuple(
        Prompt(text=f"Question {number}", tag=TAGS[number % 4], checks=(ExactCheck(text="4"),) if number % 4 == 1 else ())
        for number in range(n_prompts or max(1, n_votes)))
    answers = tuple(
        AnswerRecord(
            contestant=column, prompt=number, repeat=0, text="4", tokens=120,
            tps=SPEEDS[place] * chance.uniform(0.96, 1.04),
            checks=(CheckResult(passed=chance.random() > 0.1 + 0.1 * place),) if prompt.checks else ())
        for number, prompt in enumerate(prompts) for column, place in enumerate(places))
    votes = tuple(_vote(chance, places, number, judge) for number in range(n_votes))
    spec = ComparisonSpec(contestants=contestants, prompts=prompts, is_blind=is_blind, set_name="Coding")
    runs = tuple(ContestantRun(contestant=column, size_bytes=SIZES[place]) for column, place in enumerate(places))
    return Comparison(
        id=0, created_s=0.0, state=ComparisonState.DONE, spec=spec, runs=runs, answers=answers, votes=votes)


def _vote(chance: random.Random, places: Sequence[int], prompt: int, judge: str) -> Vote:
    if chance.random() < 0.15:
        return Vote(prompt=prompt, repeat=0, verdict=Verdict.TIE, judge=judge)
    odds = [0.55**place for place in places]
    winner = chance.choices(range(len(places)), odds)[0]
    return Vote(prompt=prompt, repeat=0, verdict=Verdict.BEST, winner=winner, judge=judge)

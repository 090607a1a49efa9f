"""What a short measurement of a loaded model found, and what follows from it: threads, and how many tokens a step has."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

WORTH_CHANGING = 1.03
"""A value other than the usual one is taken from this gain on; the rest is chance."""
UBATCHES = (512, 256, 1024)
"""Tokens of a step that are tried, the usual number first."""


class TuningKind(StrEnum):
    """What was timed, and for which value."""

    GENERATION = "generation"
    """Single tokens with so many threads."""
    PROMPT = "prompt"
    """Parts of a prompt with so many threads."""
    STEP = "step"
    """A prompt in steps of so many tokens."""


class TuningRow(msgspec.Struct, frozen=True, kw_only=True):
    """One value with the best speed that was seen with it, in tokens per second. The first of a kind is the usual value."""

    kind: TuningKind
    value: int
    tps: float


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """What is best here. A field is 0 where nothing was measured for it."""

    threads: int = 0
    prompt_threads: int = 0
    ubatch: int = 0


def best_tuning(rows: Sequence[TuningRow]) -> Tuning:
    """The fastest value of each kind; the usual one unless another is faster by more than chance."""
    return Tuning(
        threads=_best(rows, TuningKind.GENERATION), prompt_threads=_best(rows, TuningKind.PROMPT),
        ubatch=_best(rows, TuningKind.STEP))


def thread_candidates(physical: int, logical: int) -> tuple[int, ...]:
    """Numbers of threads worth trying, the usual one (all physical cores) first.

    One fewer leaves a core to the system; half of them is often best where memory is the limit or cores are of two kinds;
    all logical ones sometimes read prompts faster.
    """
    physical, logical = max(1, physical), max(1, logical)
    wished = (physical, physical - 1, physical // 2, logical)
    return tuple(dict.fromkeys(count for count in wished if count >= 1))


def _best(rows: Sequence[TuningRow], kind: TuningKind) -> int:
    of_kind = [row for row in rows if row.kind is kind]
    if not of_kind:
        return 0
    usual, fastest = of_kind[0], max(of_kind, key=lambda row: row.tps)
    return fastest.value if fastest.tps >= WORTH_CHANGING * usual.tps else usual.value

"""What the checks of a comparison say: the mark of each answer, and each contestant's share of right ones, also by tag."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from localai_app.compare.checking import is_right
from localai_app.compare.comparison import AnswerRecord, Comparison

_Z95 = 1.959964
"""97.5th percentile of the normal distribution."""


class Mark(StrEnum):
    """What became of one cell."""

    RIGHT = "right"
    WRONG = "wrong"
    UNCHECKED = "unchecked"
    """Answered; its prompt has no checks."""
    FAILED = "failed"
    """There is no answer, but a reason."""
    OPEN = "open"
    """Not answered yet."""


@dataclass(frozen=True, slots=True)
class Score:
    """What one contestant reached over some prompts."""

    n_right: int = 0
    n_wrong: int = 0
    n_unchecked: int = 0
    n_failed: int = 0
    share: float | None = None
    """Of right ones among checked answers; None where nothing was checked."""
    low: float = 0.0
    high: float = 1.0
    """95% interval of the share."""
    tps: float | None = None
    """Mean over the answers whose speed was measured; None: of none."""

    @property
    def n_checked(self) -> int:
        """Answers that are right or wrong."""
        return self.n_right + self.n_wrong


def mark_of(answer: AnswerRecord | None) -> Mark:
    """The mark of a cell; None: not answered yet."""
    if answer is None:
        return Mark.OPEN
    if answer.error:
        return Mark.FAILED
    return {True: Mark.RIGHT, False: Mark.WRONG, None: Mark.UNCHECKED}[is_right(answer.checks)]


def score_of(comparison: Comparison, contestant: int, tag: str | None = None) -> Score:
    """The score of a contestant by its place, over all prompts or those of one tag."""
    prompts = comparison.spec.prompts
    answers = [answer for answer in comparison.answers
               if answer.contestant == contestant and answer.prompt < len(prompts)
               and (tag is None or prompts[answer.prompt].tag == tag)]
    marks = [mark_of(answer) for answer in answers]
    shares: dict[int, list[bool]] = {}
    for answer, mark in zip(answers, marks, strict=True):
        if mark in (Mark.RIGHT, Mark.WRONG):
            shares.setdefault(answer.prompt, []).append(mark is Mark.RIGHT)
    of_prompts = [sum(repeats) / len(repeats) for repeats in shares.values()]
    share = sum(of_prompts) / len(of_prompts) if of_prompts else None
    low, high = wilson_interval(share, len(of_prompts)) if share is not None else (0.0, 1.0)
    return Score(
        n_right=marks.count(Mark.RIGHT), n_wrong=marks.count(Mark.WRONG), n_unchecked=marks.count(Mark.UNCHECKED),
        n_failed=marks.count(Mark.FAILED), share=share, low=low, high=high, tps=mean_tps(answers))


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """The 95% interval of a share of `count` independent trials (Wilson, J. Am. Stat. Assoc. 22 (1927) 209).

    Repeats of one prompt are not independent, so callers count prompts, not answers: rather too wide than too narrow.
    """
    spread = _Z95 * _Z95 / count
    centre = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread * spread / 4) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)


def mean_tps(answers: Iterable[AnswerRecord]) -> float | None:
    """The mean of the measured speeds, as on leaderboards; None where none was measured."""
    speeds = [answer.tps for answer in answers if answer.tps > 0]
    return sum(speeds) / len(speeds) if speeds else None


def tags_of(comparison: Comparison) -> tuple[str, ...]:
    """The tags of the prompts in the order in which they first stand there, without empty ones."""
    return tuple(dict.fromkeys(prompt.tag for prompt in comparison.spec.prompts if prompt.tag))

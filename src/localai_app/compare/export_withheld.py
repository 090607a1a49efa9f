"""What of a comparison may leave the program: all, or, of a blind one before the votes, what tells no contestant."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from localai_app.compare.blind import BlindNames, alias
from localai_app.compare.comparison import AnswerRecord, Comparison, Schedule, Vote
from localai_app.compare.contestant import Contestant

WITHHELD = "withheld until the vote"
REASON_WITHHELD = "The reason is withheld until the vote."
"""What a failure says of memory or files tells a model even without its name."""
NAMES_NOTICE = (
    "This comparison is blind and not all of its answers have been voted on. Names, files, hashes, sizes, load times and "
    "engine options of the contestants are withheld, and the letters are dealt anew for each prompt and repeat.")
NUMBERS_NOTICE = "Speeds, times and token counts are withheld as well."


@dataclass(frozen=True, slots=True)
class Exportable:
    """A comparison that any part of may be written down, and what was withheld to make it so.

    While names are withheld, a place in `comparison` is the column of an answer: the same place stands for another
    contestant in another prompt or repeat.
    """

    comparison: Comparison
    names_are_withheld: bool = False
    numbers_are_withheld: bool = False
    notice: str = ""
    """What was withheld, for readers; empty where nothing was."""


def exportable(comparison: Comparison) -> Exportable:
    """The comparison as it is, or without whatever tells who wrote which answer."""
    names = BlindNames(comparison)
    if names.all_revealed:
        return Exportable(comparison)
    hides_numbers = comparison.spec.hides_speed
    spec = msgspec.structs.replace(comparison.spec, contestants=tuple(
        Contestant(model_key="", name=alias(column)) for column in range(len(comparison.spec.contestants))))
    answers = [_answer(names, answer, hides_numbers) for answer in comparison.answers]
    safe = msgspec.structs.replace(
        comparison, spec=spec, schedule=_schedule(names, comparison.schedule), runs=(), peak_bytes=0,
        answers=tuple(sorted(answers, key=lambda one: (one.prompt, one.repeat, one.contestant))),
        votes=tuple(_vote(names, vote) for vote in comparison.votes if not vote.judge))
    notice = f"{NAMES_NOTICE} {NUMBERS_NOTICE}" if hides_numbers else NAMES_NOTICE
    return Exportable(safe, True, hides_numbers, notice)


def _schedule(names: BlindNames, schedule: Schedule | None) -> Schedule | None:
    """The order would tell places, threads and memory sizes."""
    return None if schedule is None else Schedule(way=schedule.way, reason=names.without_names(schedule.reason), order=())


def _answer(names: BlindNames, answer: AnswerRecord, hides_numbers: bool) -> AnswerRecord:
    """An answer by its column. What a model says in it is its own and stays."""
    column = _column(names, answer.contestant, answer.prompt, answer.repeat)
    error = REASON_WITHHELD if answer.error else ""
    if not hides_numbers:
        return msgspec.structs.replace(answer, contestant=column, error=error)
    return AnswerRecord(
        contestant=column, prompt=answer.prompt, repeat=answer.repeat, text=answer.text, thinking=answer.thinking,
        finish_reason=answer.finish_reason, seed=answer.seed, checks=answer.checks, error=error)


def _vote(names: BlindNames, vote: Vote) -> Vote:
    """A person's judgement by columns. A judge model's would tell the person what to vote and is left out before."""
    def column(place: int) -> int:
        return _column(names, place, vote.prompt, vote.repeat)

    return msgspec.structs.replace(
        vote, winner=None if vote.winner is None else column(vote.winner), rivals=tuple(sorted(map(column, vote.rivals))),
        reason=names.without_names(vote.reason))


def _column(names: BlindNames, place: int, prompt: int, repeat: int) -> int:
    return names.shown_order(prompt, repeat).index(place)

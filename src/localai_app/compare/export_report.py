"""What an export for people says of a comparison: titles, facts in words, answers and judgements, in their order.

Markdown and HTML put the same report into two forms; what is unknown is called so, and never a zero.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from localai_app.compare.comparison import AnswerRecord, Comparison, ComparisonState
from localai_app.compare.export_facts import (
    UNKNOWN,
    WAYS,
    Fact,
    answer_facts,
    bytes_words,
    check_results,
    check_words,
    contestant_facts,
    hardware_facts,
    seconds_words,
    setting_facts,
    speed_words,
    vote_words,
)
from localai_app.compare.export_withheld import WITHHELD, Exportable
from localai_app.compare.names import contestant_names
from localai_app.compare.prompts import Prompt

STATE_WORDS = {
    ComparisonState.RUNNING: "not finished", ComparisonState.DONE: "complete", ComparisonState.CANCELLED: "cancelled"}


@dataclass(frozen=True, slots=True)
class Measured:
    """One figure of each contestant, by its place; None where it is unknown. `spans`: least and most of several."""

    title: str
    values: tuple[float | None, ...]
    words: tuple[str, ...]
    spans: tuple[tuple[float, float] | None, ...]
    is_better_low: bool = False
    top: float | None = None
    """End of the scale, where it is known."""


@dataclass(frozen=True, slots=True)
class ContestantReport:
    """One contestant."""

    place: int
    name: str
    label: str
    """Quantization, where the name does not say it."""
    facts: tuple[Fact, ...]
    error: str = ""


@dataclass(frozen=True, slots=True)
class AnswerReport:
    """One cell. `text` and `thinking` are the model's own; `remark` says why there is no text."""

    place: int
    name: str
    text: str
    thinking: str
    facts: tuple[Fact, ...]
    checks: tuple[str, ...]
    is_right: bool | None
    is_voted_best: bool
    remark: str = ""


@dataclass(frozen=True, slots=True)
class RoundReport:
    """The answers to one prompt in one repeat, and what was said of them."""

    title: str
    """Empty where there is one repeat only."""
    answers: tuple[AnswerReport, ...]
    votes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PromptReport:
    """One prompt."""

    number: int
    tag: str
    text: str
    system_prompt: str | None
    checks: tuple[str, ...]
    rounds: tuple[RoundReport, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """A whole comparison in words."""

    title: str
    subtitle: str
    notice: str
    settings: tuple[Fact, ...]
    system_prompt: str | None
    contestants: tuple[ContestantReport, ...]
    """Empty while names are withheld, as `measured` is."""
    measured: tuple[Measured, ...]
    prompts: tuple[PromptReport, ...]
    hardware: tuple[Fact, ...]
    app_version: str


def report_of(exportable: Exportable) -> Report:
    """The report of a comparison."""
    comparison = exportable.comparison
    names = contestant_names(comparison.spec.contestants)
    return Report(
        title=comparison.title or "Comparison",
        subtitle=_subtitle(comparison),
        notice=exportable.notice,
        settings=setting_facts(exportable, names),
        system_prompt=comparison.spec.system_prompt,
        contestants=() if exportable.names_are_withheld else _contestants(comparison, names),
        measured=() if exportable.names_are_withheld else measured_of(comparison),
        prompts=tuple(
            _prompt(exportable, names, index, prompt) for index, prompt in enumerate(comparison.spec.prompts)),
        hardware=hardware_facts(comparison.hardware),
        app_version=comparison.app_version,
    )


def is_right(answer: AnswerRecord) -> bool | None:
    """Whether an answer passed all of its checks; None where there was nothing to check."""
    if not answer.checks:
        return None
    return not answer.error and all(result.passed for result in answer.checks)


def measured_of(comparison: Comparison) -> tuple[Measured, ...]:
    """Speed, time to the first token, memory, and right answers where any were checked; medians of several answers."""
    places = range(len(comparison.spec.contestants))
    answers = [[one for one in comparison.answers if one.contestant == place and not one.error] for place in places]
    peaks = [run.peak_bytes or None if (run := comparison.run_of(place)) else None for place in places]
    found = [
        _medians("Answer speed", ([one.tps for one in group] for group in answers), speed_words),
        _medians(
            "Time to first token", ([one.ttft_s for one in group] for group in answers), seconds_words, is_better_low=True),
        Measured("Peak memory", tuple(peaks), tuple(bytes_words(peak or 0) for peak in peaks), (None,) * len(peaks), True),
    ]
    right = _right_answers(comparison)
    return (*found, right) if right is not None else tuple(found)


def _medians(title: str, groups: Iterable[Sequence[float]], words: object, *, is_better_low: bool = False) -> Measured:
    assert callable(words)
    known = [[value for value in group if value > 0] for group in groups]
    medians = [statistics.median(group) if group else None for group in known]
    return Measured(
        title, tuple(medians), tuple(words(median or 0.0) for median in medians),
        tuple((min(group), max(group)) if len(group) > 1 else None for group in known), is_better_low)


def _right_answers(comparison: Comparison) -> Measured | None:
    checked = [
        [right for one in comparison.answers if one.contestant == place and (right := is_right(one)) is not None]
        for place in range(len(comparison.spec.contestants))]
    if not any(checked):
        return None
    shares = [sum(group) / len(group) if group else None for group in checked]
    words = [f"{sum(group)} of {len(group)}" if group else UNKNOWN for group in checked]
    return Measured("Right answers", tuple(shares), tuple(words), (None,) * len(shares), top=1.0)


def _subtitle(comparison: Comparison) -> str:
    spec = comparison.spec
    parts = [f"{len(spec.contestants)} contestants", _counted(len(spec.prompts), "prompt")]
    if spec.repeats > 1:
        parts.append(f"{spec.repeats} repeats")
    if comparison.schedule is not None:
        parts.append(WAYS[comparison.schedule.way])
    done = len(comparison.answers)
    progress = f", {done} of {comparison.n_cells} answers" if done < comparison.n_cells else ""
    parts.append(f"{STATE_WORDS[comparison.state]}{progress}")
    parts.append(datetime.fromtimestamp(comparison.created_s, UTC).strftime("%Y-%m-%d %H:%M UTC"))
    return " · ".join(parts)


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _contestants(comparison: Comparison, names: Sequence[str]) -> tuple[ContestantReport, ...]:
    return tuple(
        ContestantReport(
            place, names[place], "" if contestant.label in names[place] else contestant.label,
            contestant_facts(contestant, comparison.run_of(place)),
            run.error if (run := comparison.run_of(place)) else "")
        for place, contestant in enumerate(comparison.spec.contestants))


def _prompt(exportable: Exportable, names: Sequence[str], index: int, prompt: Prompt) -> PromptReport:
    repeats = exportable.comparison.spec.repeats
    rounds = tuple(_round(exportable, names, index, repeat) for repeat in range(repeats))
    return PromptReport(
        index + 1, prompt.tag, prompt.text, prompt.system_prompt, tuple(check_words(check) for check in prompt.checks), rounds)


def _round(exportable: Exportable, names: Sequence[str], prompt: int, repeat: int) -> RoundReport:
    comparison = exportable.comparison
    answers = {one.contestant: one for one in comparison.answers if (one.prompt, one.repeat) == (prompt, repeat)}
    votes = [vote for vote in comparison.votes if (vote.prompt, vote.repeat) == (prompt, repeat)]
    winners = {vote.winner for vote in votes if vote.winner is not None and not vote.judge}
    return RoundReport(
        f"Repeat {repeat + 1}" if comparison.spec.repeats > 1 else "",
        tuple(
            _answer(exportable, place, name, answers.get(place), place in winners) for place, name in enumerate(names)),
        tuple(vote_words(vote, names) for vote in votes))


def _answer(exportable: Exportable, place: int, name: str, answer: AnswerRecord | None, is_voted_best: bool) -> AnswerReport:
    if answer is None:
        run = exportable.comparison.run_of(place)
        remark = run.error if run is not None and run.error else "No answer yet."
        return AnswerReport(place, name, "", "", (), (), None, False, remark)
    shown_number = WITHHELD if exportable.numbers_are_withheld else ""
    return AnswerReport(
        place, name, answer.text, answer.thinking, answer_facts(answer, shown_number),
        check_results(exportable.comparison.spec.prompts[answer.prompt].checks, answer.checks),
        is_right(answer), is_voted_best, answer.error or ("" if answer.text else "The answer is empty."))

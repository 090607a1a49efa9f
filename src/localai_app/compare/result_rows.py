"""The cells of a comparison as a table shows them: a row for each prompt and repeat, and no name before the vote."""

from __future__ import annotations

from dataclasses import dataclass

from localai_app.compare.blind import BlindNames, alias
from localai_app.compare.comparison import AnswerRecord, CellKey, Comparison
from localai_app.compare.scores import Mark, Score, mark_of, score_of, tags_of

MARK_WORDS = {
    Mark.RIGHT: "right", Mark.WRONG: "wrong", Mark.UNCHECKED: "answered", Mark.FAILED: "failed", Mark.OPEN: "",
}
HIDDEN_WORDS = "Sums are shown when every answer has been voted on: before that they would tell who is who."


@dataclass(frozen=True, slots=True)
class ResultCell:
    """One answer in a row."""

    mark: Mark
    words: str
    """What became of it, with its speed where that may be shown."""
    details: str
    """Whose answer it is, what it is, and why it is wrong or failed."""


@dataclass(frozen=True, slots=True)
class ResultRow:
    """All answers to one prompt in one repeat, by columns."""

    prompt: int
    repeat: int
    title: str
    tag: str
    cells: tuple[ResultCell, ...]


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """What one contestant reached: over all, and for each tag of the comparison."""

    name: str
    score: Score
    by_tag: tuple[Score, ...]


@dataclass(frozen=True, slots=True)
class ResultTables:
    """All that is shown of a comparison, made at once because that takes a while where there are thousands of answers."""

    comparison: Comparison
    tags: tuple[str, ...]
    names: tuple[str, ...]
    rows: tuple[ResultRow, ...]
    scores: tuple[ScoreRow, ...]


def result_tables(comparison: Comparison) -> ResultTables:
    """Every cell and every sum."""
    return ResultTables(
        comparison, tags_of(comparison), column_names(comparison), result_rows(comparison), score_rows(comparison))


def column_names(comparison: Comparison) -> tuple[str, ...]:
    """Titles of the columns: contestants, or "Answer A" and so on while any name is hidden."""
    names = BlindNames(comparison)
    places = range(len(comparison.spec.contestants))
    return tuple(names.listed_name(place) or alias(place) for place in places)


def result_rows(comparison: Comparison) -> tuple[ResultRow, ...]:
    """Rows by prompts, then repeats. While any name is hidden, columns are those in which the answers are voted on."""
    names = BlindNames(comparison)
    answers = {answer.key: answer for answer in comparison.answers}
    n_contestants, repeats = len(comparison.spec.contestants), comparison.spec.repeats
    rows = []
    for number, prompt in enumerate(comparison.spec.prompts):
        title = " ".join(prompt.text.split())[:200]
        for repeat in range(repeats):
            order = tuple(range(n_contestants)) if names.all_revealed else names.shown_order(number, repeat)
            authors = (
                [names.name(place, number, repeat) for place in order] if names.is_revealed(number, repeat)
                else [alias(column) for column in range(n_contestants)])
            keys = [CellKey(place, number, repeat) for place in order]
            cells = tuple(_cell(names, author, answers.get(key), key) for author, key in zip(authors, keys, strict=True))
            rows.append(ResultRow(number, repeat, title, prompt.tag, cells))
    return tuple(rows)


def score_rows(comparison: Comparison) -> tuple[ScoreRow, ...]:
    """A row for each contestant in the order of the columns; none while any name is hidden."""
    names = BlindNames(comparison)
    if not names.all_revealed:
        return ()
    tags = tags_of(comparison)
    return tuple(
        ScoreRow(name, score_of(comparison, place), tuple(score_of(comparison, place, tag) for tag in tags))
        for place, name in enumerate(column_names(comparison)))


def share_words(score: Score) -> str:
    """A share of right answers with its interval, as "75% (53 to 89%)"; empty where nothing was checked."""
    if score.share is None:
        return ""
    return f"{100 * score.share:.0f}% ({100 * score.low:.0f} to {100 * score.high:.0f}%)"


def _cell(names: BlindNames, author: str, answer: AnswerRecord | None, key: CellKey) -> ResultCell:
    mark = mark_of(answer)
    words = MARK_WORDS[mark]
    if names.is_blind and not names.all_revealed and names.is_revealed(key.prompt, key.repeat):
        words = f"{author}: {words}" if words else author
    if answer is None:
        return ResultCell(mark, words, f"{author}: not answered yet")
    if answer.tps > 0 and names.shows_numbers(key.prompt, key.repeat):
        words = f"{words} · {answer.tps:.1f}"
    reasons = [result.words for result in answer.checks if not result.passed]
    why = " ".join([answer.error] if answer.error else reasons)
    why = names.without_names(why, key.prompt, key.repeat)
    return ResultCell(mark, words, f"{author}: {MARK_WORDS[mark]}" + (f". {why}" if why else ""))

"""Standings from all votes: who is preferred, how sure that is, who is right and how fast it is. Pure; numpy inside
functions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

import msgspec

from localai_app.compare.blind import BlindNames
from localai_app.compare.bradley_terry import POINTS_PER_STRENGTH, Ballot, Strengths, fit, win_share
from localai_app.compare.comparison import CellKey, Comparison, Verdict, Vote
from localai_app.compare.contestant import Contestant, ContestantSettings
from localai_app.compare.names import contestant_names, settings_words
from localai_app.compare.scores import wilson_interval
from localai_app.engine.sampling_values import SamplingValues

MIDDLE_POINTS = 1000
"""Points of the middle of all that was judged."""
FEW_VOTES = 10
"""Below this no order is worth a look."""
SCALE_WORDS = (
    "Points are on Elo's scale: 100 points more win 64% of the votes, 200 win 76%. "
    "A tie, and a vote that all answers are bad, counts as half a win for each.")


class Judges(StrEnum):
    """Whose votes count."""

    PEOPLE = "people"
    MODELS = "models"
    BOTH = "both"


class By(StrEnum):
    """What has a row of its own."""

    VARIANT = "variant"
    """Each model and variant, whatever its settings."""
    SETTINGS = "settings"
    """Each set of settings of it."""


class Share(NamedTuple):
    """A share of things counted, with its 95% interval."""

    n_right: int
    n: int

    @property
    def value(self) -> float:
        """From 0.0 to 1.0."""
        return self.n_right / self.n if self.n else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """By Wilson's score, which holds for few and for shares near 0 and 1 as well."""
        return wilson_interval(self.value, self.n) if self.n else (0.0, 1.0)


class Strength(NamedTuple):
    """Points on Elo's scale with the ends of the 95% interval, and what they mean."""

    points: float
    low: float
    high: float
    beats_next: float | None
    """Share of votes that it wins against the row below, a tie counted half; None in the last row of a group."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One row of the leaderboard."""

    name: str
    model_key: str
    settings: str
    """In words, where rows are told apart by them."""
    rank: int | None
    """None: nobody voted on it. Rows whose intervals overlap share a rank."""
    group: int
    """Rows of different groups never met, directly or through others: their points cannot be compared. -1 without votes."""
    strength: Strength | None
    words: str
    """What its points mean against a neighbour: wins 64% against Gemma 3 12B Q8_0."""
    n_votes: int
    n_wins: int
    n_ties: int
    n_all_bad: int
    """Votes that no answer was any good; they count as ties."""
    right: Share
    """Answers that passed all checks of their prompt, of those that had any."""
    tps: float | None
    """Mean speed of the answer on this computer; None: never measured."""
    is_speed_shared: bool
    """It was only ever measured while others computed too."""
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """Rows by group and strength; those without votes last."""

    rows: tuple[Standing, ...] = ()
    n_votes: int = 0
    tags: tuple[str, ...] = ()
    """Of all prompts that were judged or checked, whatever is filtered."""
    n_judge_votes: int = 0
    """Of models among all votes, whatever is filtered."""

    @property
    def headline(self) -> str:
        """Who leads, in a sentence; empty without votes."""
        first = [row.name for row in self.rows if row.rank == 1 and row.group == 0]
        if not first:
            return ""
        return f"{first[0]} leads" if len(first) == 1 else f"{_listed(first)} share the first place"

    def shares_place(self, row: Standing) -> bool:
        """Whether others have the same place."""
        return sum((other.group, other.rank) == (row.group, row.rank) for other in self.rows) > 1

    @property
    def notes(self) -> tuple[str, ...]:
        """What has to be known to read it, as sentences; the most important first."""
        judged = [row for row in self.rows if row.strength is not None]
        if not judged:
            return ()
        notes = [self._few_words] if self.n_votes < FEW_VOTES else []
        apart = [row.name for row in judged if row.group]
        if apart:
            notes.append(
                f"No votes connect {_listed(apart)} with those above, not even through another model: "
                "their points cannot be compared.")
        if len({(row.group, row.rank) for row in judged}) < len(judged):
            notes.append("A place is shared where intervals overlap: the votes do not tell these apart.")
        return (*notes, SCALE_WORDS)

    @property
    def _few_words(self) -> str:
        return f"{self.n_votes} vote{'s' * (self.n_votes != 1)}: too few to tell. Each further one makes the bars shorter."


@dataclass(slots=True)
class _Entry:
    """What is collected for one row."""

    contestant: Contestant
    place: int
    n_votes: int = 0
    n_wins: int = 0
    n_ties: int = 0
    n_all_bad: int = 0
    n_right: int = 0
    n_checked: int = 0
    speeds: list[float] = field(default_factory=list)
    shared_speeds: list[float] = field(default_factory=list)
    size_bytes: int = 0
    size_time_s: float = -math.inf


class _Known(NamedTuple):
    """One comparison, and which answers of it may be known."""

    comparison: Comparison
    names: BlindNames
    entries: tuple[_Entry, ...]
    """By place of the contestant; the same twice where a row is not told apart by settings."""
    answered: frozenset[CellKey]


def leaderboard(
    comparisons: Iterable[Comparison], *, tag: str | None = None, judges: Judges = Judges.PEOPLE, by: By = By.VARIANT,
) -> Leaderboard:
    """Standings from comparisons. `tag`: only prompts about it; "" for those that are about nothing in particular.

    Answers of a blind comparison count, with votes, checks and speeds, once a person voted on them. An answer that failed takes
    part in no vote. Votes on one prompt of one comparison, repeats included, are one cluster of the intervals.
    """
    entries: dict[bytes, _Entry] = {}
    known = [_known(comparison, entries, by) for comparison in comparisons]
    ballots: list[Ballot] = []
    n_votes, n_judge_votes, n_clusters, tags = 0, 0, 0, dict[str, None]()
    for one in known:
        _count_answers(one, tag)
        for prompt, asked in enumerate(one.comparison.spec.prompts):
            votes = [
                vote for vote in one.comparison.votes if vote.prompt == prompt and one.names.is_revealed(prompt, vote.repeat)]
            if votes or (asked.checks and any(one.names.is_revealed(prompt, r) for r in range(one.comparison.spec.repeats))):
                tags.setdefault(asked.tag)
            n_judge_votes += sum(1 for vote in votes if vote.judge)
            for vote in votes if tag in (None, asked.tag) else ():
                if _counts(vote, judges):
                    cast = _ballots(one, vote, n_clusters)
                    n_votes += bool(cast)
                    ballots += cast
            n_clusters += 1
    rows = list(entries.values())
    strengths = fit(len(rows), ballots)
    ordered_tags = tuple(sorted(tags, key=lambda known: (not known, known)))
    return Leaderboard(_standings(rows, strengths, by), n_votes, ordered_tags, n_judge_votes)


def _known(comparison: Comparison, entries: dict[bytes, _Entry], by: By) -> _Known:
    found = []
    for place, contestant in enumerate(comparison.spec.contestants):
        settings = _effective(comparison, contestant.settings) if by is By.SETTINGS else ContestantSettings()
        row = msgspec.structs.replace(contestant, settings=settings)
        # Names may be corrected in time: a row is known by its key.
        key = msgspec.json.encode((row.model_key, row.settings), order="deterministic")
        entry = entries.setdefault(key, _Entry(row, len(entries)))
        run = comparison.run_of(place)
        if run is not None and run.size_bytes and comparison.created_s >= entry.size_time_s:
            entry.size_bytes, entry.size_time_s = run.size_bytes, comparison.created_s
        found.append(entry)
    answered = frozenset(answer.key for answer in comparison.answers if not answer.error)
    return _Known(comparison, BlindNames(comparison), tuple(found), answered)


def _effective(comparison: Comparison, own: ContestantSettings) -> ContestantSettings:
    """What a contestant answered with, as far as the comparison says."""
    spec = comparison.spec
    general, sampling = spec.sampling, own.sampling
    merged = SamplingValues(
        numbers=general.numbers | sampling.numbers,
        stop=general.stop if sampling.stop is None else sampling.stop,
        logit_bias=general.logit_bias if sampling.logit_bias is None else sampling.logit_bias,
        grammar=general.grammar if sampling.grammar is None else sampling.grammar,
        json_schema=general.json_schema if sampling.json_schema is None else sampling.json_schema)
    return msgspec.structs.replace(
        own, sampling=merged, system_prompt=spec.system_prompt if own.system_prompt is None else own.system_prompt,
        ctx=spec.ctx if own.ctx is None else own.ctx)


def _count_answers(one: _Known, tag: str | None) -> None:
    """Checks and speeds."""
    prompts = one.comparison.spec.prompts
    for answer in one.comparison.answers:
        is_known = answer.prompt < len(prompts) and one.names.is_revealed(answer.prompt, answer.repeat)
        if not is_known or tag not in (None, prompts[answer.prompt].tag) or answer.contestant >= len(one.entries):
            continue
        entry = one.entries[answer.contestant]
        if answer.tps > 0:
            (entry.shared_speeds if answer.is_shared else entry.speeds).append(answer.tps)
        if answer.checks:
            entry.n_checked += 1
            entry.n_right += all(check.passed for check in answer.checks)


def _counts(vote: Vote, judges: Judges) -> bool:
    return judges is Judges.BOTH or bool(vote.judge) is (judges is Judges.MODELS)


def _ballots(one: _Known, vote: Vote, cluster: int) -> list[Ballot]:
    """What a vote says about rows, counted for each of them; nothing where fewer than two rows were judged."""
    answered = {
        place for place in vote.rivals or range(len(one.entries))
        if CellKey(place, vote.prompt, vote.repeat) in one.answered}
    met: list[tuple[tuple[int, ...], int | None]]
    if vote.duels:
        met = [((duel.first, duel.second), duel.winner) for duel in vote.duels if {duel.first, duel.second} <= answered]
    elif vote.verdict is Verdict.BEST:
        met = [(tuple(sorted(answered)), vote.winner)] if vote.winner in answered else []
    else:
        met = [(tuple(sorted(answered)), None)]
    rows = one.entries
    ballots = [
        Ballot(tuple(rows[place].place for place in places), None if winner is None else rows[winner].place, cluster)
        for places, winner in met]
    ballots = [ballot for ballot in ballots if len(set(ballot.contestants)) > 1]
    judged = {place for ballot in ballots for place in ballot.contestants}
    for entry in {id(entry): entry for entry in rows if entry.place in judged}.values():
        entry.n_votes += 1
        if vote.verdict is Verdict.BEST and vote.winner is not None:
            entry.n_wins += rows[vote.winner] is entry
        else:
            entry.n_ties += vote.verdict is Verdict.TIE
            entry.n_all_bad += vote.verdict is Verdict.BOTH_BAD
    return ballots


def _standings(entries: Sequence[_Entry], strengths: Strengths, by: By) -> tuple[Standing, ...]:
    names = contestant_names([entry.contestant for entry in entries])
    full = [_with_label(name, entry.contestant) for name, entry in zip(names, entries, strict=True)]
    rows = []
    for number, group in enumerate(strengths.groups):
        ordered = sorted(group, key=lambda place: -strengths.values[place])
        for position, place in enumerate(ordered):
            rank = 1 + sum(strengths.lows[other] > strengths.highs[place] for other in group)
            is_last = position + 1 == len(ordered)
            neighbour = ordered[position - 1 if is_last else position + 1]
            share = win_share(strengths.values[place], strengths.values[neighbour])
            points, low, high = (MIDDLE_POINTS + POINTS_PER_STRENGTH * value[place] for value in (
                strengths.values, strengths.lows, strengths.highs))
            strength = Strength(points, low, high, None if is_last else share)
            words = f"wins {100 * share:.0f}% against {full[neighbour]}"
            rows.append(_standing(entries[place], full[place], by, (rank, number), strength, words))
    judged = {place for group in strengths.groups for place in group}
    for place, entry in enumerate(entries):
        if place not in judged and (entry.n_checked or entry.speeds or entry.shared_speeds):
            rows.append(_standing(entry, full[place], by, (None, -1), None, ""))
    return tuple(rows)


def _standing(
    entry: _Entry, name: str, by: By, rank: tuple[int | None, int], strength: Strength | None, words: str,
) -> Standing:
    speeds = entry.speeds or entry.shared_speeds
    return Standing(
        name=name, model_key=entry.contestant.model_key,
        settings=settings_words(entry.contestant.settings) if by is By.SETTINGS else "",
        rank=rank[0], group=rank[1], strength=strength, words=words,
        n_votes=entry.n_votes, n_wins=entry.n_wins, n_ties=entry.n_ties, n_all_bad=entry.n_all_bad,
        right=Share(entry.n_right, entry.n_checked), tps=sum(speeds) / len(speeds) if speeds else None,
        is_speed_shared=not entry.speeds, size_bytes=entry.size_bytes)


def _with_label(name: str, contestant: Contestant) -> str:
    """Names of one board carry the label always: another variant may join at any time."""
    is_there = not contestant.label or name.startswith(f"{contestant.name} {contestant.label}")
    return name if is_there else f"{name} {contestant.label}"


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)

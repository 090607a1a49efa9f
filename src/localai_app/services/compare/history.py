"""Comparisons as a list shows them: about what, with whom and how far; a blind one without names before the votes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import msgspec

from localai_app.compare.comparison import ComparisonSpec, ComparisonState, Schedule, Way
from localai_app.compare.names import contestant_names
from localai_app.services.stored_json import stored_value
from localai_app.store.comparisons import ComparisonRow
from localai_app.units import format_count

NO_TITLE = "Without a prompt"
WAYS = {Way.SIDE_BY_SIDE: "side by side", Way.IN_TURN: "in turn"}


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One comparison of the list."""

    id: int
    title: str
    created_s: float
    contestants: str
    """Names, or how many there are where they are hidden."""
    way: str
    """Empty before it was decided."""
    state: ComparisonState
    is_running: bool
    """Now, in this program; RUNNING without this was cut off."""
    n_answers: int
    n_cells: int
    n_votes: int

    @property
    def can_go_on(self) -> bool:
        """Whether cells are left that nobody works at."""
        return not self.is_running and (self.state is not ComparisonState.DONE or self.n_answers < self.n_cells)

    @property
    def state_words(self) -> str:
        """How far it is, in a word."""
        if self.is_running:
            return "running"
        return {
            ComparisonState.RUNNING: "not finished", ComparisonState.DONE: "done", ComparisonState.CANCELLED: "cancelled",
        }[self.state]

    @property
    def cells_words(self) -> str:
        """Finished answers of all."""
        done = format_count(self.n_answers)
        return f"{done} of {format_count(self.n_cells)} answers" if self.n_answers < self.n_cells else _counted(done, "answer")

    @property
    def votes_words(self) -> str:
        """Judgements; empty for none."""
        return _counted(format_count(self.n_votes), "vote") if self.n_votes else ""


class _Head(msgspec.Struct, frozen=True):
    """What of a stored head a list needs."""

    spec: ComparisonSpec
    schedule: Schedule | None = None


def history_entry(row: ComparisonRow, running_id: int | None = None) -> HistoryEntry:
    """What the list says of a stored comparison. `running_id`: of the one that runs now."""
    contestants, way, n_cells = _facts(row.id, row.json, row.n_voted_rounds)
    return HistoryEntry(
        id=row.id, title=row.title.strip() or NO_TITLE, created_s=row.created_s, contestants=contestants, way=way,
        state=ComparisonState(row.state), is_running=row.id == running_id, n_answers=row.n_answers, n_cells=n_cells,
        n_votes=row.n_votes)


@lru_cache(maxsize=512)
def _facts(comparison_id: int, json: str, n_voted_rounds: int) -> tuple[str, str, int]:
    """Contestants, way and cells. Lists are painted often, and a head may hold a whole set of prompts."""
    head = stored_value(json, _Head, f"comparison {comparison_id}")
    if head is None:
        return "cannot be read", "", 0
    spec = head.spec
    rounds = len(spec.prompts) * spec.repeats
    if spec.is_blind and n_voted_rounds < rounds:
        contestants = f"blind, {len(spec.contestants)} contestants"
    else:
        contestants = ", ".join(contestant_names(spec.contestants))
    return contestants, WAYS[head.schedule.way] if head.schedule is not None else "", rounds * len(spec.contestants)


def _counted(number: str, word: str) -> str:
    return f"{number} {word}" if number == "1" else f"{number} {word}s"

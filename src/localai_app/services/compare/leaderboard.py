"""The leaderboard of everything that was ever compared and judged here."""

from __future__ import annotations

import threading
from collections import Counter

import msgspec

from localai_app.compare.comparison import Comparison
from localai_app.compare.leaderboard import By, Judges, Leaderboard, leaderboard
from localai_app.errors import AppError
from localai_app.services.compare.comparison_service import ComparisonService
from localai_app.services.events import ComparisonChanged, Event, EventBus, VotesChanged


class LeaderboardService:
    """Reads comparisons once and again when they change; without the texts of answers, which take most of the room."""

    def __init__(self, events: EventBus, comparisons: ComparisonService) -> None:
        self._comparisons = comparisons
        self._lock = threading.Lock()
        self._known: dict[int, Comparison] = {}
        self._changes: Counter[int] = Counter()
        self._unsubscribe = events.subscribe(self._on_event)

    def standings(
        self, tag: str | None = None, judges: Judges = Judges.PEOPLE, by: By = By.VARIANT,
    ) -> Leaderboard:
        """Rows from all stored votes. Slow (a second for thousands of votes): not for the window's thread.

        AppError if the store cannot be read.
        """
        found = (self._comparison(row.id) for row in self._comparisons.rows())
        return leaderboard([one for one in found if one is not None], tag=tag, judges=judges, by=by)

    def close(self) -> None:
        """Hear of no more changes."""
        self._unsubscribe()

    def _comparison(self, comparison_id: int) -> Comparison | None:
        with self._lock:
            known, change = self._known.get(comparison_id), self._changes[comparison_id]
        if known is not None:
            return known
        try:
            full = self._comparisons.get(comparison_id)
        except AppError:
            # Deleted since the list was read, or unreadable: the others still have their standings.
            return None
        slim = msgspec.structs.replace(full, answers=tuple(
            msgspec.structs.replace(answer, text="", thinking="") for answer in full.answers))
        with self._lock:
            if self._changes[comparison_id] == change:
                self._known[comparison_id] = slim
        return slim

    def _on_event(self, event: Event) -> None:
        if isinstance(event, ComparisonChanged | VotesChanged):
            with self._lock:
                self._changes[event.comparison_id] += 1
                self._known.pop(event.comparison_id, None)

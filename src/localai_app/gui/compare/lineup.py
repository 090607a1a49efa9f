"""The contestants of the next run beside the answers of the last one: who stands where, and whose answers are still his."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from localai_app.compare.contestant import MAX_CONTESTANTS, MIN_CONTESTANTS, Contestant, ContestantSettings
from localai_app.services.compare.drafts import DraftContestant


@dataclass(frozen=True, slots=True)
class LineupEntry:
    """A column. `place`: of its answers in the comparison on screen; None: it has none there."""

    draft: DraftContestant
    place: int | None = None


@dataclass(frozen=True, slots=True)
class Lineup:
    """Columns from left to right; every change makes another lineup."""

    entries: tuple[LineupEntry, ...] = ()

    @staticmethod
    def of_draft(contestants: Sequence[DraftContestant]) -> Lineup:
        """Without answers; filled up with empty places to the fewest that can be compared."""
        n_missing = max(0, MIN_CONTESTANTS - len(contestants))
        return Lineup(tuple(LineupEntry(draft) for draft in (*contestants, *(DraftContestant(),) * n_missing)))

    @staticmethod
    def of_comparison(contestants: Sequence[Contestant]) -> Lineup:
        """Those of a comparison, with their answers."""
        return Lineup(tuple(
            LineupEntry(DraftContestant(contestant=contestant), place) for place, contestant in enumerate(contestants)))

    @property
    def drafts(self) -> tuple[DraftContestant, ...]:
        """What is kept of it."""
        return tuple(entry.draft for entry in self.entries)

    @property
    def is_full(self) -> bool:
        """Whether no other can be added."""
        return len(self.entries) >= MAX_CONTESTANTS

    @property
    def can_remove(self) -> bool:
        """Whether there would be enough left."""
        return len(self.entries) > MIN_CONTESTANTS

    def shows_all_of(self, count: int) -> bool:
        """Whether the columns are exactly the contestants of a comparison of `count`, so that it can be judged here."""
        return sorted(entry.place for entry in self.entries if entry.place is not None) == list(range(count)) and (
            len(self.entries) == count)

    def detached(self) -> Lineup:
        """The same contestants without answers."""
        return Lineup(tuple(replace(entry, place=None) for entry in self.entries))

    def with_draft(self, index: int, draft: DraftContestant) -> Lineup:
        """Another contestant in a column; one beyond the last adds a column. Answers stay only with who gave them."""
        entries = list(self.entries)
        if index >= len(entries):
            entries.append(LineupEntry(draft))
        elif entries[index].draft != draft:
            entries[index] = LineupEntry(draft)
        return Lineup(tuple(entries))

    def with_model(self, draft: DraftContestant) -> Lineup:
        """A model in the first empty column, or in another one."""
        empty = (index for index, entry in enumerate(self.entries) if entry.draft.contestant is None)
        return self.with_draft(next(empty, len(self.entries)), draft)

    def with_settings(self, index: int, settings: ContestantSettings) -> Lineup:
        """Other settings for a contestant."""
        draft = self.entries[index].draft
        if draft.contestant is None:
            return self
        contestant = msgspec.structs.replace(draft.contestant, settings=settings)
        return self.with_draft(index, msgspec.structs.replace(draft, contestant=contestant))

    def duplicated(self, index: int) -> Lineup:
        """The same contestant once more, beside itself."""
        copy = LineupEntry(self.entries[index].draft)
        return self if self.is_full else Lineup((*self.entries[: index + 1], copy, *self.entries[index + 1 :]))

    def moved(self, index: int, step: int) -> Lineup:
        """A column one place further (1) or back (-1)."""
        target = index + step
        if not 0 <= target < len(self.entries):
            return self
        entries = list(self.entries)
        entries.insert(target, entries.pop(index))
        return Lineup(tuple(entries))

    def without(self, index: int) -> Lineup:
        """One column less, or an empty one where two are left."""
        left = (*self.entries[:index], *self.entries[index + 1 :])
        return Lineup(left) if self.can_remove else Lineup((*left, LineupEntry(DraftContestant())))

    def after_download(self, repo_id: str, label: str) -> Lineup:
        """What was waited for is there."""
        return Lineup(tuple(
            replace(entry, draft=msgspec.structs.replace(entry.draft, download=None))
            if entry.draft.download == (repo_id, label) else entry for entry in self.entries))

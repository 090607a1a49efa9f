"""Kept comparisons as an item model. What a row says is found out when it is looked at, and no name before its time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from localai_app.gui.chat.dates import relative_date
from localai_app.services.compare.history import HistoryEntry, history_entry
from localai_app.store.comparisons import ComparisonRow

Index = QModelIndex | QPersistentModelIndex
ENTRY_ROLE = Qt.ItemDataRole.UserRole
NO_PARENT = QModelIndex()


class ComparisonListModel(QAbstractListModel):
    """Thousands of rows cost what the visible ones cost."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: tuple[ComparisonRow, ...] = ()
        self._running_id: int | None = None

    def show_rows(self, rows: Sequence[ComparisonRow], running_id: int | None) -> None:
        """Show another list; the same comparisons with other news keep selection and place."""
        shown = tuple(rows)
        is_same = [row.id for row in shown] == [row.id for row in self._rows]
        if is_same:
            self._rows, self._running_id = shown, running_id
            if shown:
                self.dataChanged.emit(self.index(0), self.index(len(shown) - 1))
            return
        self.beginResetModel()
        self._rows, self._running_id = shown, running_id
        self.endResetModel()

    def index_of(self, comparison_id: int | None) -> QModelIndex:
        """The row of a comparison; invalid if it is not shown."""
        for row, known in enumerate(self._rows):
            if known.id == comparison_id:
                return self.index(row)
        return QModelIndex()

    def rowCount(self, parent: Index = NO_PARENT) -> int:
        """One row per comparison."""
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """The title, all of it in words, and the entry for the delegate."""
        if not index.isValid() or index.row() >= len(self._rows):
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self._entry(index).title
        if role == ENTRY_ROLE:
            return self._entry(index)
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            return spoken(self._entry(index))
        return None

    def _entry(self, index: Index) -> HistoryEntry:
        return history_entry(self._rows[index.row()], self._running_id)


def second_line(entry: HistoryEntry) -> str:
    """With whom, how and when."""
    return " · ".join(part for part in (entry.contestants, entry.way, relative_date(entry.created_s, time.time())) if part)


def figures(entry: HistoryEntry) -> str:
    """How many answers and votes there are."""
    return " · ".join(part for part in (entry.cells_words, entry.votes_words) if part)


def spoken(entry: HistoryEntry) -> str:
    """A whole row in words."""
    return f"{entry.title}: {second_line(entry)}, {entry.state_words}, {figures(entry)}"

"""Models that another computer could run, one a row."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from localai_app.fit.result import Verdict
from localai_app.gui.models.wording import BASIS_WORDS, speed_figures
from localai_app.gui.widgets.badge import verdict_short, verdict_tone, verdict_words
from localai_app.services.candidates import runs
from localai_app.services.views import DiscoveryRow
from localai_app.units import format_context, format_gib

Index = QModelIndex | QPersistentModelIndex
NEW_WORDS = "newly possible"


class Column(IntEnum):
    """The columns in order."""

    MODEL = 0
    VARIANT = 1
    NEEDS = 2
    CONTEXT = 3
    PLACE = 4
    SPEED = 5


HEADER = ("Model", "Variant", "Needs", "Context", "Where", "tok/s")
PILL_ROLE = Qt.ItemDataRole.UserRole + 1
"""(text, tone) of a pill in the cell, or None."""


class PossibleTableModel(QAbstractTableModel):
    """Newly possible models first, each group by quality; the first `limit` of them, or all."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._all: tuple[DiscoveryRow, ...] = ()
        self._new_ids: frozenset[str] = frozenset()
        self._limit: int | None = None

    @property
    def total_count(self) -> int:
        """How many models run, shown or not."""
        return len(self._all)

    def show_rows(self, rows: Sequence[DiscoveryRow], new_ids: frozenset[str], limit: int | None) -> None:
        """List what of `rows` runs; `limit` None: all of it."""
        running = [row for row in rows if runs(row)]
        running.sort(key=lambda row: (row.model.id not in new_ids, -row.model.quality, row.model.name))
        self.beginResetModel()
        self._all, self._new_ids, self._limit = tuple(running), new_ids, limit
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own signature
        """One row for each model that is shown."""
        if parent.isValid():
            return 0
        return len(self._all) if self._limit is None else min(self._limit, len(self._all))

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own signature
        """The columns of `HEADER`."""
        return 0 if parent.isValid() else len(HEADER)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Titles of the columns."""
        if orientation is not Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return HEADER[section]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Text of a cell, its pill, its words for screen readers and on hover."""
        if not index.isValid() or index.row() >= self.rowCount():
            return None
        row = self._all[index.row()]
        is_new = row.model.id in self._new_ids
        if role == Qt.ItemDataRole.DisplayRole:
            return _text(row, index.column())
        if role == PILL_ROLE:
            return _pill(row, index.column(), is_new=is_new)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return _spoken(row, is_new=is_new) if index.column() == Column.MODEL else _text(row, index.column())
        if role == Qt.ItemDataRole.ToolTipRole:
            return _hint(row, index.column())
        return None


def _text(row: DiscoveryRow, column: int) -> str:
    fit, file = row.fit, row.file
    if fit is None or file is None:
        return row.model.name if column == Column.MODEL else ""
    return {
        Column.MODEL: row.model.name, Column.VARIANT: file.label, Column.NEEDS: format_gib(fit.total_bytes),
        Column.CONTEXT: format_context(fit.ctx), Column.PLACE: verdict_short(fit.verdict), Column.SPEED: speed_figures(fit),
    }[Column(column)]


def _pill(row: DiscoveryRow, column: int, *, is_new: bool) -> tuple[str, str] | None:
    if column == Column.MODEL and is_new:
        return NEW_WORDS, "accent"
    if column == Column.PLACE and row.fit is not None:
        return verdict_short(row.fit.verdict), verdict_tone(row.fit.verdict)
    return None


def _hint(row: DiscoveryRow, column: int) -> str | None:
    if row.fit is None:
        return None
    return {
        Column.MODEL: row.model.summary, Column.PLACE: verdict_words(row.fit.verdict),
        Column.SPEED: BASIS_WORDS[row.fit.speed.basis]}.get(Column(column))


def _spoken(row: DiscoveryRow, *, is_new: bool) -> str:
    verdict = row.fit.verdict if row.fit is not None else Verdict.UNKNOWN
    speed = _text(row, Column.SPEED)
    return ", ".join(part for part in (
        row.model.name, NEW_WORDS if is_new else "", _text(row, Column.VARIANT), verdict_words(verdict),
        f"needs {_text(row, Column.NEEDS)}", f"{speed} tokens per second" if speed else "") if part)

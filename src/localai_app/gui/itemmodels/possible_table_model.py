"""Models that another computer could run, one a row."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from PySide6.QtCore import QObject, Qt

from localai_app.fit.result import Verdict
from localai_app.gui.itemmodels.record_table_model import Index, RecordTableModel
from localai_app.gui.models.wording import BASIS_WORDS, speed_figures
from localai_app.gui.widgets.badge import verdict_short, verdict_tone, verdict_words
from localai_app.services.candidates import runs
from localai_app.services.views import DiscoveryRow
from localai_app.units import format_context, format_gib

NEW_WORDS = "newly possible"


class Column(IntEnum):
    """The columns in order."""

    MODEL = 0
    VARIANT = 1
    NEEDS = 2
    CONTEXT = 3
    PLACE = 4
    SPEED = 5


PILL_ROLE = Qt.ItemDataRole.UserRole + 1
"""(text, tone) of a pill in the cell, or None."""


class PossibleTableModel(RecordTableModel[DiscoveryRow]):
    """Newly possible models first, each group by quality; the first `limit` of them, or all."""

    header = ("Model", "Variant", "Needs", "Context", "Where", "tok/s")
    first_figure = len(Column)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._new_ids: frozenset[str] = frozenset()
        self._total_count = 0

    @property
    def total_count(self) -> int:
        """How many models run, shown or not."""
        return self._total_count

    def show_rows(self, rows: Sequence[DiscoveryRow], new_ids: frozenset[str], limit: int | None) -> None:
        """List what of `rows` runs; `limit` None: all of it."""
        running = [row for row in rows if runs(row)]
        running.sort(key=lambda row: (row.model.id not in new_ids, -row.model.quality, row.model.name))
        self._new_ids, self._total_count = new_ids, len(running)
        self.show_records(running[:limit])

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Besides: the pill of a cell, and words of each cell's own but the first."""
        if not index.isValid():
            return None
        row, column = self._records[index.row()], index.column()
        if role == PILL_ROLE:
            return _pill(row, column, is_new=row.model.id in self._new_ids)
        if role == Qt.ItemDataRole.ToolTipRole:
            return _hint(row, column)
        if role == Qt.ItemDataRole.AccessibleTextRole and column != Column.MODEL:
            return _text(row, column)
        return super().data(index, role)

    def text(self, record: DiscoveryRow, column: int) -> str:
        """What stands in a cell."""
        return _text(record, column)

    def spoken(self, record: DiscoveryRow) -> str:
        """A whole row in words."""
        return _spoken(record, is_new=record.model.id in self._new_ids)


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

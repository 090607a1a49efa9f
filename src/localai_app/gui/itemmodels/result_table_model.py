"""The answers of a comparison: a row for each prompt and repeat, a column for each contestant."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from localai_app.compare.result_rows import ResultCell, ResultRow
from localai_app.compare.scores import Mark
from localai_app.gui.theme import ThemeState

Index = QModelIndex | QPersistentModelIndex
_TONES = {Mark.RIGHT: "good", Mark.WRONG: "bad", Mark.FAILED: "warn", Mark.UNCHECKED: "text", Mark.OPEN: "faint"}


class Column(IntEnum):
    """The columns before those of the contestants."""

    PROMPT = 0
    TAG = 1
    REPEAT = 2


FIRST_CONTESTANT = len(Column)


class ResultTableModel(QAbstractTableModel):
    """Shows rows as they are handed in; what stays the same keeps its place, so that a running comparison can be read."""

    def __init__(self, theme: ThemeState, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._rows: tuple[ResultRow, ...] = ()
        self._names: tuple[str, ...] = ()

    def show_rows(self, rows: Sequence[ResultRow], names: Sequence[str]) -> None:
        """List these, with the titles of their columns."""
        is_same_shape = [(row.prompt, row.repeat) for row in rows] == [(row.prompt, row.repeat) for row in self._rows]
        if is_same_shape and tuple(names) == self._names:
            changed = [number for number, row in enumerate(rows) if row != self._rows[number]]
            self._rows = tuple(rows)
            for number in changed:
                self.dataChanged.emit(self.index(number, 0), self.index(number, self.columnCount() - 1))
            return
        self.beginResetModel()
        self._rows, self._names = tuple(rows), tuple(names)
        self.endResetModel()

    def row_at(self, row: int) -> ResultRow:
        """What stands in a row."""
        return self._rows[row]

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own signature
        """One row for each prompt and repeat."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own signature
        """The prompt, its tag and repeat, and the contestants."""
        return 0 if parent.isValid() else FIRST_CONTESTANT + len(self._names)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Titles of the columns; a long name is whole on hover."""
        if orientation is not Qt.Orientation.Horizontal:
            return None
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return ("Prompt", "Tag", "Repeat", *self._names)[section]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Words of a cell in the colour of its mark; the rest of what is known on hover."""
        if not index.isValid():
            return None
        row, column = self._rows[index.row()], index.column()
        cell = row.cells[column - FIRST_CONTESTANT] if column >= FIRST_CONTESTANT else None
        if role == Qt.ItemDataRole.DisplayRole:
            return cell.words if cell is not None else _head(row, column)
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            return _spoken(row, cell, column)
        if role == Qt.ItemDataRole.ForegroundRole and cell is not None:
            return self._theme.palette.color(_TONES[cell.mark])
        return None


def _head(row: ResultRow, column: int) -> str:
    return (f"{row.prompt + 1}. {row.title}", row.tag, str(row.repeat + 1))[column]


def _spoken(row: ResultRow, cell: ResultCell | None, column: int) -> str:
    return _head(row, column) if cell is None else cell.details

"""What was predicted and measured, newest first, one figure a row."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from localai_app.services.measurement_words import MeasurementRow

Index = QModelIndex | QPersistentModelIndex


class Column(IntEnum):
    """The columns in order."""

    MODEL = 0
    WHAT = 1
    WHERE = 2
    PREDICTED = 3
    MEASURED = 4
    ERROR = 5


HEADER = ("Model", "What", "Where", "Predicted", "Measured", "Off by")


class MeasurementTableModel(QAbstractTableModel):
    """Rows as they are handed in."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: tuple[MeasurementRow, ...] = ()

    def show_rows(self, rows: Sequence[MeasurementRow]) -> None:
        """List these."""
        self.beginResetModel()
        self._rows = tuple(rows)
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own signature
        """One row for each figure."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own signature
        """The columns of `HEADER`."""
        return 0 if parent.isValid() else len(HEADER)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Titles of the columns, aligned as their figures."""
        if orientation is not Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return HEADER[section]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(section)
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Text of a cell, and the whole row in words for screen readers and on hover."""
        if not index.isValid():
            return None
        row = self._rows[index.row()]
        cells = (row.model, row.what, row.where, row.predicted, row.measured, row.error_words)
        if role == Qt.ItemDataRole.DisplayRole:
            return cells[index.column()]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(index.column())
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            off = f", off by {row.error_words}" if row.error_words else ""
            return f"{row.model}, {row.where}: {row.what}, predicted {row.predicted}, measured {row.measured}{off}"
        return None


def _alignment(column: int) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignRight if column >= Column.PREDICTED else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter

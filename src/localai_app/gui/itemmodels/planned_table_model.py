"""Files that an installed model could be made into."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from localai_app.fit.quality import loss_words
from localai_app.gui.itemmodels.record_table_model import RecordTableModel
from localai_app.services.compare.stored_files import PlannedFile
from localai_app.units import format_file_size


class Column(IntEnum):
    """The columns in order."""

    LABEL = 0
    WORDS = 1
    SIZE = 2
    SHARE = 3


@dataclass(frozen=True, slots=True)
class PlannedLine:
    """A file that could be made, beside the one that it would be made of."""

    file: PlannedFile
    source_bytes: int


class PlannedTableModel(RecordTableModel[PlannedLine]):
    """One row for each label, the best first."""

    header = ("Type", "Usual loss", "Size", "Of the source")
    first_figure = Column.SIZE

    @property
    def lines(self) -> tuple[PlannedLine, ...]:
        """What is listed."""
        return self._records

    def text(self, record: PlannedLine, column: int) -> str:
        """What stands in a cell."""
        file = record.file
        share = f"{round(100 * file.size_bytes / record.source_bytes)}%" if record.source_bytes else ""
        return (file.label, loss_words(file.label), format_file_size(file.size_bytes), share)[column]

    def spoken(self, record: PlannedLine) -> str:
        """A whole row in words."""
        return f"{record.file.label}: {format_file_size(record.file.size_bytes)}, {loss_words(record.file.label)}"

"""The figures of one benchmark, beside those of an earlier one."""

from __future__ import annotations

from enum import IntEnum

from localai_app.gui.itemmodels.record_table_model import RecordTableModel
from localai_app.services.benchmark_words import BenchmarkLine


class Column(IntEnum):
    """The columns in order."""

    WHAT = 0
    SPEED = 1
    SPREAD = 2
    EARLIER = 3
    CHANGE = 4


class BenchmarkTableModel(RecordTableModel[BenchmarkLine]):
    """One row for each length or depth."""

    header = ("What", "Speed", "Spread", "Earlier", "Change")
    first_figure = Column.SPEED

    def text(self, record: BenchmarkLine, column: int) -> str:
        """What stands in a cell."""
        return (record.what, record.speed, record.spread, record.earlier, record.change)[column]

    def spoken(self, record: BenchmarkLine) -> str:
        """A whole row in words."""
        before = f", earlier {record.earlier}" if record.earlier else ""
        return f"{record.what}: {record.speed} {record.spread}".rstrip() + before

"""What was predicted and measured, newest first, one figure a row."""

from __future__ import annotations

from enum import IntEnum

from localai_app.gui.itemmodels.record_table_model import RecordTableModel
from localai_app.services.measurement_words import MeasurementRow


class Column(IntEnum):
    """The columns in order."""

    MODEL = 0
    WHAT = 1
    WHERE = 2
    PREDICTED = 3
    MEASURED = 4
    ERROR = 5


class MeasurementTableModel(RecordTableModel[MeasurementRow]):
    """One row for each figure."""

    header = ("Model", "What", "Where", "Predicted", "Measured", "Off by")
    first_figure = Column.PREDICTED

    def text(self, record: MeasurementRow, column: int) -> str:
        """What stands in a cell."""
        return (record.model, record.what, record.where, record.predicted, record.measured, record.error_words)[column]

    def spoken(self, record: MeasurementRow) -> str:
        """A whole row in words."""
        off = f", off by {record.error_words}" if record.error_words else ""
        return f"{record.model}, {record.where}: {record.what}, predicted {record.predicted}, measured {record.measured}{off}"

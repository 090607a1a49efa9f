"""A list of cards in a column of reading width that scrolls."""

from __future__ import annotations

from PySide6.QtWidgets import QScrollArea, QVBoxLayout

from localai_app.gui.metrics import SPACE_3, SPACE_6
from localai_app.gui.widgets.page_parts import centered_column

COLUMN_WIDTH = 1120


def scrolled_column(scroll: QScrollArea) -> QVBoxLayout:
    """Put an empty column into `scroll`; returns its layout."""
    column = QVBoxLayout()
    column.setSpacing(SPACE_3)
    centered_column(scroll, column, COLUMN_WIDTH, (SPACE_6, SPACE_6, SPACE_6, SPACE_6))
    return column

"""One row of a card: an icon, a fact, what is to be said of it, and perhaps a button."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from localai_app.gui.metrics import SPACE_1, SPACE_3
from localai_app.gui.styling import label, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.icon_label import IconLabel


class FactRow(QWidget):
    """`more` may be empty."""

    def __init__(
        self, theme: ThemeState, icon: tuple[str, str], words: str, more: str = "", action: QPushButton | None = None,
    ) -> None:
        """`icon`: its name and its colour."""
        super().__init__()
        line = QHBoxLayout(self)
        set_spacing(line, SPACE_3)
        # One line beside a button, which is higher, stands in the middle of it, and so does its icon.
        place = Qt.AlignmentFlag.AlignTop if more or action is None else Qt.AlignmentFlag.AlignVCenter
        line.addWidget(IconLabel(icon[0], theme, icon[1]), alignment=place)
        texts = QVBoxLayout()
        set_spacing(texts, SPACE_1)
        texts.addWidget(label(words, "strong", wrap=True, selectable=True))
        if more:
            texts.addWidget(label(more, "muted", wrap=True, selectable=True))
        line.addLayout(texts, 1)
        if action is not None:
            line.addWidget(action, 0, Qt.AlignmentFlag.AlignTop)

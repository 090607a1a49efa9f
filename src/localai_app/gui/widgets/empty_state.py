"""What a page shows while it has nothing to show: what this is, and the one button that fills it."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from localai_app.gui.metrics import ICON_LARGE, SPACE_2, SPACE_4
from localai_app.gui.styling import button, label
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.icon_label import IconLabel

TEXT_WIDTH = 360


class EmptyState(QWidget):
    """An icon, a sentence, an explanation and at most one button (none if `button_text` is empty)."""

    button_pressed = Signal()

    def __init__(
        self, theme: ThemeState, icon_name: str, title: str, text: str, button_text: str = "", parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._picture = IconLabel(icon_name, theme, "faint", ICON_LARGE)
        self._title = label(title, "lead", wrap=True)
        self._text = label(text, "muted", wrap=True)
        for line in (self._title, self._text):
            line.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.button = button(button_text, "primary")
        self.button.setVisible(bool(button_text))
        self.button.clicked.connect(self.button_pressed)
        layout = QVBoxLayout(self)
        layout.setSpacing(SPACE_2)
        layout.addStretch(2)
        layout.addWidget(self._picture, alignment=Qt.AlignmentFlag.AlignHCenter)
        layout.addSpacing(SPACE_2)
        layout.addLayout(self._words())
        layout.addSpacing(SPACE_4)
        layout.addWidget(self.button, alignment=Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(3)

    def _words(self) -> QHBoxLayout:
        """The texts in a narrow column; stretches keep it in the middle and let it grow as high as the text needs."""
        column = QWidget()
        column.setFixedWidth(TEXT_WIDTH)
        lines = QVBoxLayout(column)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.setSpacing(SPACE_2)
        lines.addWidget(self._title)
        lines.addWidget(self._text)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(column)
        row.addStretch(1)
        return row

    def set_words(self, title: str, text: str, button_text: str = "") -> None:
        """Say something else."""
        self._title.setText(title)
        self._text.setText(text)
        self.button.setText(button_text)
        self.button.setVisible(bool(button_text))

"""A part of a panel that opens and closes under its title."""

from __future__ import annotations

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QPushButton, QVBoxLayout, QWidget

from localai_app.gui.metrics import ICON_SMALL, SPACE_3
from localai_app.gui.styling import button, set_icon, set_spacing
from localai_app.gui.theme import ThemeState


class Fold(QWidget):
    """Closed at first; the title is a button that the keyboard reaches."""

    def __init__(self, title: str, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.head: QPushButton = button(title, "row", compact=True)
        self.head.setCheckable(True)
        self.head.setIconSize(QSize(ICON_SMALL, ICON_SMALL))
        self.head.toggled.connect(self._on_toggled)
        self._content = QWidget()
        self._column = QVBoxLayout(self._content)
        set_spacing(self._column, SPACE_3, (0, SPACE_3, 0, SPACE_3))
        layout = QVBoxLayout(self)
        set_spacing(layout, 0)
        layout.addWidget(self.head)
        layout.addWidget(self._content)
        self._on_toggled(False)

    def add(self, part: QWidget) -> None:
        """Put a widget at the end of the part that folds."""
        self._column.addWidget(part)

    def open(self) -> None:
        """Show what is inside."""
        self.head.setChecked(True)

    def _on_toggled(self, is_open: bool) -> None:
        self._content.setVisible(is_open)
        set_icon(self.head, "caret-down" if is_open else "caret-right", self._theme, size=ICON_SMALL)
        self.head.setAccessibleDescription("Open" if is_open else "Closed")

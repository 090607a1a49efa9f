"""The first page: this computer, what is suggested for it, and other ways to begin."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from localai_app.gui.bridge import Bridge
from localai_app.gui.metrics import SPACE_11, SPACE_14
from localai_app.gui.models.suggestions_view import SuggestionsView
from localai_app.gui.styling import set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.services.app_services import AppServices

CONTENT_WIDTH = 1120


class FirstStartPage(QWidget):
    """Suggestions in a centred column that scrolls where the window is small."""

    chat_requested = Signal(str)
    page_requested = Signal(str)

    def __init__(self, services: AppServices, theme: ThemeState, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.suggestions = SuggestionsView(services, theme, bridge)
        self.suggestions.setMaximumWidth(CONTENT_WIDTH)
        self.suggestions.chat_requested.connect(self.chat_requested)
        self.suggestions.page_requested.connect(self.page_requested)
        self.suggestions.browse_requested.connect(lambda: self.page_requested.emit("models"))
        content = set_role(QWidget(), "page")
        column = QHBoxLayout(content)
        set_spacing(column, 0, (SPACE_14, SPACE_11, SPACE_14, SPACE_11))
        column.addStretch(1)
        column.addWidget(self.suggestions, 1000)
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setWidget(content)
        layout = QVBoxLayout(self)
        set_spacing(layout, 0)
        layout.addWidget(scroll)

    def open_file(self, path: Path) -> None:
        """Use a model file where it is."""
        self.suggestions.open_file(path)

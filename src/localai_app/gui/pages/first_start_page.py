"""The first page: this computer, what is suggested for it, and other ways to begin."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from localai_app.gui.bridge import Bridge
from localai_app.gui.metrics import SPACE_6, SPACE_8, SPACE_11, SPACE_14
from localai_app.gui.models.file_drop import dropped_model
from localai_app.gui.models.installed_models import InstalledModels
from localai_app.gui.models.suggestions_view import SuggestionsView
from localai_app.gui.styling import set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.services.app_services import AppServices

CONTENT_WIDTH = 1120
NARROW = 800
"""Below this width the margins give way to the content."""


class FirstStartPage(QWidget):
    """Suggestions in a centred column that scrolls where the window is small. A model file can be dropped onto it."""

    chat_requested = Signal(str)
    page_requested = Signal(str)
    model_requested = Signal(str)
    """A repository whose variants are to be shown, where this page stands alone."""

    def __init__(
        self, services: AppServices, theme: ThemeState, bridge: Bridge, installed: InstalledModels | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.suggestions = SuggestionsView(services, theme, bridge, installed)
        self.suggestions.setMaximumWidth(CONTENT_WIDTH)
        self.suggestions.chat_requested.connect(self.chat_requested)
        self.suggestions.page_requested.connect(self.page_requested)
        self.suggestions.browse_requested.connect(lambda: self.page_requested.emit("models"))
        if installed is None:
            self.suggestions.model_requested.connect(self.model_requested)
        content = set_role(QWidget(), "page")
        self._column = QHBoxLayout(content)
        self._column.addStretch(1)
        self._column.addWidget(self.suggestions, 1000)
        self._column.addStretch(1)
        self._set_margins()
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setWidget(content)
        layout = QVBoxLayout(self)
        set_spacing(layout, 0)
        layout.addWidget(scroll)
        self.setAcceptDrops(True)

    def open_file(self, path: Path) -> None:
        """Use a model file where it is."""
        self.suggestions.open_file(path)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take model files only."""
        if dropped_model(event.mimeData()) is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Open the file that was dropped."""
        path = dropped_model(event.mimeData())
        if path is not None:
            event.acceptProposedAction()
            self.open_file(path)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Give the content more of a narrow window."""
        super().resizeEvent(event)
        self._set_margins()

    def _set_margins(self) -> None:
        side, top = (SPACE_6, SPACE_8) if self.width() < NARROW else (SPACE_14, SPACE_11)
        set_spacing(self._column, 0, (side, top, side, top))

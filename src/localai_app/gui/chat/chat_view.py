"""The right side of the chat page: title, transcript or an empty state, engine strip, composer. No services here."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QStackedWidget, QVBoxLayout, QWidget

from localai_app.gui import metrics
from localai_app.gui.chat.composer import Composer
from localai_app.gui.chat.engine_strip import EngineStrip
from localai_app.gui.chat.model_chooser import ModelChooser
from localai_app.gui.chat.title_edit import TitleEdit
from localai_app.gui.chat.transcript import Transcript
from localai_app.gui.chat.welcome import Welcome
from localai_app.gui.styling import icon_button, set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.empty_state import EmptyState


class ChatView(QWidget):
    """Puts the widgets of a chat in their places."""

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        set_role(self, "panel")
        self.title = TitleEdit(theme)
        self.chooser = ModelChooser(theme)
        self.panel_button = icon_button("sliders-horizontal", "Settings of this chat", theme)
        self.panel_button.setCheckable(True)
        self.transcript = Transcript(theme)
        self.welcome = Welcome(theme)
        self.no_model = EmptyState(
            theme, "models", "No model yet",
            "A model is the part that answers. Choose one that fits this computer; it is downloaded once and then works "
            "without the internet.", "Get a model")
        self.strip = EngineStrip(theme)
        self.composer = Composer(theme)
        self._has_part = False
        self._stack = QStackedWidget()
        for widget in (self.welcome, self.transcript, self.no_model):
            self._stack.addWidget(widget)
        column = QVBoxLayout(self)
        set_spacing(column, 0)
        column.addWidget(self._build_header())
        column.addWidget(self._stack, 1)
        column.addLayout(self._build_foot())

    @property
    def shown(self) -> QWidget | None:
        """The welcome, the transcript or the state without a model."""
        return self._stack.currentWidget()

    def show_part(self, part: QWidget) -> None:
        """Show one of the three; without a model there is nothing to write to."""
        if part is self.shown and self._has_part:
            return
        self._has_part = True
        self._stack.setCurrentWidget(part)
        self.composer.setVisible(part is not self.no_model)
        self.strip.setVisible(part is not self.no_model)
        self.chooser.setVisible(part is not self.no_model)
        self.panel_button.setVisible(part is not self.no_model)

    def _build_header(self) -> QWidget:
        header = set_role(QWidget(), "toolbar")
        row = QHBoxLayout(header)
        set_spacing(row, metrics.SPACE_3, (metrics.SPACE_6, 0, metrics.SPACE_6, 0))
        row.addWidget(self.title, 1)
        row.addWidget(self.chooser)
        row.addWidget(self.panel_button)
        return header

    def _build_foot(self) -> QHBoxLayout:
        foot = QHBoxLayout()
        set_spacing(foot, 0, (metrics.SPACE_6, 0, metrics.SPACE_6, metrics.SPACE_5))
        inner = QWidget()
        inner.setMaximumWidth(metrics.READING_WIDTH)
        column = QVBoxLayout(inner)
        set_spacing(column, metrics.SPACE_2)
        column.addWidget(self.strip)
        column.addWidget(self.composer)
        foot.addStretch(1)
        foot.addWidget(inner, 1000)
        foot.addStretch(1)
        return foot

"""What the engine is doing, right above the composer: loading, failed, or a model without a chat template that works."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QSizePolicy, QVBoxLayout, QWidget

from localai_app.errors import AppError, Remedy
from localai_app.gui import metrics
from localai_app.gui.chat.reduced_note import ReducedNote
from localai_app.gui.icons import icon_pixmap
from localai_app.gui.styling import button, label, set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.error_banner import ErrorBanner
from localai_app.services.chat_format_words import template_notice
from localai_app.services.views import EngineState, EngineStatus

LOAD_ANYWAY = "Load anyway…"
KEEP_LOADED = "Keep what is loaded"


class EngineStrip(QWidget):
    """Takes no room while there is nothing to say."""

    cancel_requested = Signal()
    remedy_requested = Signal(object)
    load_anyway_requested = Signal()
    """Or the other way out that the error offers."""
    template_requested = Signal()
    """To choose another chat template."""
    full_set_up_requested = Signal()

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._loading = QWidget()
        self._words = label("", "caption")
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setAccessibleName("Loading the model")
        self._cancel = button("Cancel", "ghost", compact=True)
        self._cancel.setAccessibleName("Cancel loading")
        self._cancel.clicked.connect(self.cancel_requested)
        self._step = label("", "caption", wrap=True)
        row = QHBoxLayout()
        set_spacing(row, metrics.SPACE_3)
        row.addWidget(self._words)
        row.addWidget(self._bar, 1)
        row.addWidget(self._cancel)
        loading = QVBoxLayout(self._loading)
        set_spacing(loading, metrics.SPACE_1)
        loading.addLayout(row)
        loading.addWidget(self._step)
        self.reduced = ReducedNote(theme)
        self.reduced.full_requested.connect(self.full_set_up_requested)
        self._template = self._build_template_note()
        self._banner = ErrorBanner(theme)
        self._banner.remedy_requested.connect(self.remedy_requested)
        self._banner.other_requested.connect(self.load_anyway_requested)
        column = self._column = QVBoxLayout(self)
        set_spacing(column, metrics.SPACE_2)
        for widget in (self._banner, self._template, self.reduced, self._loading):
            column.addWidget(widget)
        self._loading.hide()
        self._template.hide()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Maximum)
        theme.changed.connect(self._draw_sign)

    def event(self, event: QEvent) -> bool:
        """Keep off the transcript above as long as there is something to say."""
        if event.type() is QEvent.Type.LayoutRequest:
            self._column.setContentsMargins(0, 0 if self._column.isEmpty() else metrics.SPACE_2, 0, 0)
        return super().event(event)

    @property
    def banner(self) -> ErrorBanner:
        """The error, if one is shown."""
        return self._banner

    @property
    def loading_words(self) -> str:
        """What is said while a model loads; empty otherwise."""
        return self._words.text() if self._loading.isVisibleTo(self) else ""

    @property
    def step_words(self) -> str:
        """What failed just now and what is tried instead; empty while nothing has failed."""
        return self._step.text() if self._step.isVisibleTo(self) else ""

    @property
    def template_note(self) -> str:
        """What is said about the chat template; empty where there is nothing to say."""
        return self._template_words.text() if self._template.isVisibleTo(self) else ""

    def show_state(self, state: EngineState, model_name: str, *, is_error_told: bool = False) -> None:
        """Follow the engine. `is_error_told`: the transcript says already what went wrong."""
        is_loading = state.status is EngineStatus.LOADING
        self._loading.setVisible(is_loading)
        if is_loading:
            percent = round(state.fraction * 100)
            self._words.setText(f"Loading {model_name}" + (f", {percent}%" if percent else "…"))
            self._bar.setRange(0, 100 if percent else 0)
            self._bar.setValue(percent)
            self._step.setText(state.steps[-1] if state.steps else "")
            self._step.setVisible(bool(state.steps))
        self.reduced.show_state(state)
        note = template_notice(state.loaded.format) if state.loaded is not None else ""
        self._template_words.setText(note)
        self._template.setVisible(bool(note))
        has_failed = state.status is EngineStatus.FAILED and state.error is not None
        # The transcript offers to go on, and not to go on in another way.
        is_error_told = is_error_told and (state.error is None or state.error.remedy is not Remedy.LOAD_SAFELY)
        if has_failed and not is_error_told and state.error is not None:
            self.show_error(state.error, may_be_tried=state.may_be_tried)
        elif is_error_told or state.status in (EngineStatus.LOADING, EngineStatus.READY, EngineStatus.ANSWERING):
            self._banner.clear()

    def show_error(self, error: AppError, *, may_be_tried: bool = False) -> None:
        """Show what went wrong; `may_be_tried`: the model was held back and can be loaded anyway."""
        other = KEEP_LOADED if error.remedy is Remedy.MAKE_ROOM else LOAD_ANYWAY if may_be_tried else ""
        if self._banner.error is not error:
            self._banner.show_error(error, other=other)

    def _build_template_note(self) -> QWidget:
        note = set_role(QWidget(), "banner-info")
        row = QHBoxLayout(note)
        set_spacing(row, metrics.SPACE_2, (metrics.SPACE_3, metrics.SPACE_2, metrics.SPACE_3, metrics.SPACE_2))
        self._sign = QLabel()
        row.addWidget(self._sign)
        self._template_words = label("", wrap=True)
        row.addWidget(self._template_words, 1)
        self.template_button = button("Change…", "ghost", compact=True)
        self.template_button.setAccessibleName("Change the chat template")
        self.template_button.clicked.connect(self.template_requested)
        row.addWidget(self.template_button)
        self._draw_sign()
        return note

    def _draw_sign(self) -> None:
        self._sign.setPixmap(icon_pixmap("info", self._theme, "accent", metrics.ICON, self.devicePixelRatioF()))

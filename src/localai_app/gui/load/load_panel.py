"""How one model is loaded: controls at the left, what they mean at the right, and the buttons that act on it."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from localai_app.errors import AppError
from localai_app.fit.result import FitResult, Verdict
from localai_app.gui.bridge import Bridge
from localai_app.gui.load.fit_question import FitQuestion
from localai_app.gui.load.fit_view import FitView
from localai_app.gui.load.load_anyway import LoadAnyway
from localai_app.gui.load.load_form import LoadForm
from localai_app.gui.load.stored_note import StoredNote
from localai_app.gui.load.template_dialog import edit_template
from localai_app.gui.load.wording import in_force_words
from localai_app.gui.metrics import SPACE_1, SPACE_2, SPACE_4, SPACE_6
from localai_app.gui.models.text_scale import scaled
from localai_app.gui.models.wording import ZERO_WIDTH_SPACE, breakable
from localai_app.gui.styling import button, label, set_role, set_spacing
from localai_app.gui.tasks import run_in_background
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.error_banner import ErrorBanner
from localai_app.services.app_services import AppServices
from localai_app.services.events import EngineChanged, Event, HardwareReported, MemoryMeasured, ModelLoaded, TuningChanged
from localai_app.services.load_previews import LoadPreview
from localai_app.services.load_settings import LoadSettings
from localai_app.services.tuning_words import tuning_sentence
from localai_app.units import GIB

SIDE_BY_SIDE_FROM = 720
FORM_SHARE, VIEW_SHARE = 5, 7
NOTABLE_BYTES = GIB // 4
"""Free memory that moves less than this changes nothing that can be seen."""


class LoadPanel(QWidget):
    """Opens a model in the background. `load_started` when it is loaded, `close_requested` when it is not."""

    load_started = Signal(str)
    close_requested = Signal()

    def __init__(
        self, services: AppServices, theme: ThemeState, bridge: Bridge, model_key: str, parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._services = services
        self._key = model_key
        self._preview: LoadPreview | None = None
        self._fit: FitResult | None = None
        self._remembered = LoadSettings()
        self._free_bytes = 0
        self._title = label(breakable(model_key.rpartition("/")[2]), "heading", wrap=True)
        self._title.setMinimumWidth(1)
        self._state = label("", "muted", wrap=True)
        self.stored = StoredNote(services, model_key)
        self.error = ErrorBanner(theme)
        self.form = LoadForm()
        self.form.changed.connect(self._on_changed)
        self.form.template.edit_requested.connect(
            lambda: edit_template(self.form.template, services.paths.worker_dir, theme))
        self.view = FitView(theme)
        self.anyway = LoadAnyway(self)
        self._question = FitQuestion(self)
        self._question.answered.connect(self._on_fit)
        self._question.failed.connect(self._on_failure)
        self._make_buttons()
        self._lay_out()
        self._show_state()
        self._show_buttons()
        bridge.event_published.connect(self._on_event)
        run_in_background(self, lambda: services.load_previews.open(model_key), self._on_opened, self._on_failure)

    def _make_buttons(self) -> None:
        self.reset_button = button("Back to automatic", "ghost")
        self.reset_button.setToolTip("Forget what was chosen for this model: the settings hold, and the rest is chosen to fit")
        self.reset_button.clicked.connect(self._on_reset_clicked)
        self.save_button = button("Save without loading")
        self.save_button.clicked.connect(lambda: self._remember())
        self.close_button = button("Close")
        self.close_button.clicked.connect(self.close_requested)
        self.load_button = button("Load", "primary")
        self.load_button.setDefault(True)
        self.load_button.clicked.connect(self._on_load_clicked)

    def _lay_out(self) -> None:
        content = QWidget()
        self._columns = QBoxLayout(QBoxLayout.Direction.LeftToRight, content)
        set_spacing(self._columns, SPACE_4)
        self._columns.addWidget(self.form, FORM_SHARE)
        self._columns.addWidget(self.view, VIEW_SHARE)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setWidget(content)
        head = QVBoxLayout()
        set_spacing(head, SPACE_1)
        head.addWidget(self._title)
        head.addWidget(self._state)
        head.addWidget(self.stored)
        foot = QHBoxLayout()
        set_spacing(foot, SPACE_2)
        foot.addWidget(self.reset_button)
        foot.addStretch(1)
        for control in (self.save_button, self.close_button, self.load_button):
            foot.addWidget(control)
        layout = QVBoxLayout(self)
        set_spacing(layout, SPACE_4, (SPACE_6, SPACE_6, SPACE_6, SPACE_6))
        layout.addLayout(head)
        layout.addWidget(self.error)
        layout.addWidget(scroll, 1)
        layout.addLayout(foot)
        self.form.show_defaults(self._services.load_previews.default_request())
        self.form.setEnabled(False)

    @property
    def title(self) -> str:
        """Which model it is about."""
        return self._title.text().replace(ZERO_WIDTH_SPACE, "")

    @property
    def state_words(self) -> str:
        """Whether and how the model is loaded now."""
        return self._state.text()

    @property
    def fit(self) -> FitResult | None:
        """The fit that is shown."""
        return self._fit

    def resizeEvent(self, event: QResizeEvent) -> None:
        """One column where there is no room for two."""
        super().resizeEvent(event)
        is_wide = self.width() >= scaled(SIDE_BY_SIDE_FROM, self)
        directions = QBoxLayout.Direction
        self._columns.setDirection(directions.LeftToRight if is_wide else directions.TopToBottom)

    def _on_opened(self, preview: LoadPreview) -> None:
        self._preview = preview
        model = preview.facts.model
        self._key = model.key
        has_label = bool(model.label) and model.label not in model.name
        self._title.setText(breakable(f"{model.name} · {model.label}" if has_label else model.name))
        self.form.setEnabled(True)
        self._remembered = self._services.load_settings.get(self._key)
        self._show_model(self._remembered)
        self.form.show_measured(measured_words(self._services, self._preview))
        self._show_state()
        self.form.context.spin.setFocus()

    def _show_model(self, settings: LoadSettings) -> None:
        """What can be chosen, and these settings chosen."""
        if self._preview is not None:
            previews = self._services.load_previews
            self.form.show_model(self._preview.facts, previews.gpus(), previews.default_request())
            self.form.show_settings(settings)
            self._on_changed()

    def _on_changed(self) -> None:
        self._show_buttons()
        if self._preview is not None:
            self._question.ask(self._preview, self.form.settings)

    def _on_fit(self, fit: FitResult, is_final: bool) -> None:
        self._fit = fit
        self.form.show_fit(fit)
        self.view.show_fit(fit, is_final=is_final)
        self._show_buttons()

    def _on_failure(self, error: AppError) -> None:
        self.error.show_error(error, offer_remedy=False)
        self.view.setVisible(self._fit is not None)
        self.form.setVisible(self._preview is not None)
        self._show_buttons()

    def _on_event(self, event: Event) -> None:
        match event:
            case EngineChanged() | ModelLoaded():
                self._show_state()
                self._show_buttons()
            case TuningChanged(model_key=model_key) if model_key == self._key:
                self.form.show_measured(measured_words(self._services, self._preview))
            case HardwareReported():
                self._show_model(self.form.settings)
            case MemoryMeasured(memory=memory, gpus=gpus):
                free = memory.available_bytes + sum(gpu.free_bytes or 0 for gpu in gpus)
                if abs(free - self._free_bytes) >= NOTABLE_BYTES:
                    self._free_bytes = free
                    self._on_changed()
            case _:
                pass

    def _show_state(self) -> None:
        model = self._services.engine.find(self._key)
        self._state.setText(in_force_words(model.state) if model is not None else "Not loaded")

    def _show_buttons(self) -> None:
        model = self._services.engine.find(self._key)
        is_loaded = model is not None and model.state.is_alive
        words = "Load again with these settings" if is_loaded else "Load"
        if self._is_against_advice():
            words = "Load anyway…"
        self.load_button.setText(words)
        set_role(self.load_button, "" if self._is_against_advice() else "primary")
        self.load_button.setEnabled(self._preview is not None)
        settings = self.form.settings
        self.reset_button.setEnabled(self._preview is not None and not settings.is_default)
        self.save_button.setEnabled(self._preview is not None and settings != self._remembered)

    def _is_against_advice(self) -> bool:
        return self._fit is not None and self._fit.verdict in (Verdict.NO, Verdict.UNKNOWN)

    def _on_reset_clicked(self) -> None:
        self._show_model(LoadSettings())

    def _on_load_clicked(self) -> None:
        fit = self._fit
        if fit is not None and self._is_against_advice():
            self.anyway.ask(
                self.title, fit.reasons[0] if fit.reasons else "", is_too_large=fit.verdict is Verdict.NO,
                on_yes=lambda: self._load(anyway=True))
        else:
            self._load(anyway=False)

    def _load(self, *, anyway: bool) -> None:
        if self._remember():
            self._services.engine.load(self._key, anyway=anyway)
            self.load_started.emit(self._key)

    def _remember(self) -> bool:
        """Keep what is chosen for the next loads; false, with the reason on screen, where it cannot be kept."""
        settings = self.form.settings
        try:
            self._services.load_settings.set(self._key, settings)
        except AppError as error:
            self.error.show_error(error, offer_remedy=False)
            return False
        self._remembered = settings
        self._show_buttons()
        return True


def measured_words(services: AppServices, preview: LoadPreview | None) -> str:
    """How the model was measured to run fastest here, as a sentence; empty where it was not."""
    measured = services.tuning_memory.all_of(preview.facts.model) if preview is not None else ()
    return tuning_sentence(measured[0] if measured else None)

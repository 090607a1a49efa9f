"""The bottom line: which model is loaded, where it runs, how full its context is, how fast it answers, and the network."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QWidget

from localai_app.engine.protocol import Loaded
from localai_app.errors import Remedy
from localai_app.gui.metrics import SPACE_5, SPACE_6, STATUS_HEIGHT
from localai_app.gui.styling import label, set_role
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.elided_label import ElidedLabel
from localai_app.gui.widgets.loaded_models import LoadedModels
from localai_app.services.views import DownloadStatus, DownloadView, EngineState, EngineStatus
from localai_app.units import format_bytes_per_s, format_count, format_speed

HIDDEN = "Names are hidden until the vote"


class StatusLine(QFrame):
    """Shows words only; pages do the work."""

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        set_role(self, "statusbar")
        self.setAccessibleName("Status")
        self._model = ElidedLabel("No model loaded", "caption-strong")
        self.models = LoadedModels(theme)
        self._place = label("", "caption")
        self._context = label("", "caption")
        self._speed = label("", "caption")
        self._network = label("No network in use", "caption")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(SPACE_6, 0, SPACE_6, 0)
        layout.setSpacing(SPACE_5)
        for part in (self._model, self.models, self._place, self._context, self._speed):
            layout.addWidget(part)
        layout.addStretch(1)
        layout.addWidget(self._network)
        self._state, self._next_model = EngineState(EngineStatus.NONE), ""
        self._hides_names = False
        theme.changed.connect(self._on_theme_changed)
        self._on_theme_changed()

    def show_engine(self, state: EngineState, next_model: str = "") -> None:
        """Show the engine's state; `next_model` is what a message would load while nothing is loaded."""
        self._state, self._next_model = state, next_model
        self._model.setText(HIDDEN if self._hides_names else model_words(state, next_model))
        self._place.setText(place_words(state.loaded) if state.loaded is not None else "")
        self._context.setText(context_words(state))
        self._speed.setText(format_speed(state.tps) if state.tps else "")
        self._fit()

    @property
    def hides_names(self) -> bool:
        """Whether no model may be named now."""
        return self._hides_names

    def set_names_hidden(self, hides_names: bool) -> None:
        """Name no model while it must not be told whose answers are on screen."""
        if hides_names != self._hides_names:
            self._hides_names = hides_names
            self.models.setEnabled(not hides_names)
            self.show_engine(self._state, self._next_model)

    def show_network(self, downloads: Sequence[DownloadView], others: str = "") -> None:
        """Show whether downloads use the network, or else other computers do (`others`, in words)."""
        self._network.setText(network_words(downloads, others))
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Leave out what does not fit."""
        super().resizeEvent(event)
        self._fit()

    @property
    def words(self) -> str:
        """Everything that the line says, for tests and screen readers."""
        parts = (self._model, self.models, self._place, self._context, self._speed, self._network)
        return " | ".join(part.text() for part in parts if part.text())

    def _fit(self) -> None:
        """Show every part that says something; in a narrow window where it runs goes first, then the speed."""
        parts = (self._context, self._network, self._speed, self._place)
        room = self.width() - 2 * SPACE_6 - min(self._model.sizeHint().width(), self.width() // 3)
        if not self.models.isHidden():
            room -= self.models.sizeHint().width() + SPACE_5
        for part in parts:
            room -= part.sizeHint().width() + SPACE_5
            part.setVisible(bool(part.text()) and (room >= 0 or part is self._network))

    def _on_theme_changed(self) -> None:
        self._fit()
        self.setFixedHeight(max(STATUS_HEIGHT, round(STATUS_HEIGHT * self._theme.sizes.caption / 12)))


def model_words(state: EngineState, next_model: str = "") -> str:
    """Which model, and what it is doing if it cannot answer now; else which one loads with the next message."""
    match state.status:
        case EngineStatus.NONE:
            return f"{next_model} loads when you send" if next_model else "No model loaded"
        case EngineStatus.LOADING:
            return f"Loading {state.model_name} · {state.fraction:.0%}"
        case EngineStatus.FAILED if state.error is not None and state.error.remedy is Remedy.MAKE_ROOM:
            return f"{state.model_name} waits for room"
        case EngineStatus.FAILED:
            return f"{state.model_name} stopped" if state.model_name else "The engine stopped"
        case _:
            return state.model_name


def place_words(loaded: Loaded) -> str:
    """Where the model runs: "CPU" or "GPU 33/33 layers"."""
    if loaded.gpu_layers <= 0:
        return "CPU"
    return f"GPU {min(loaded.gpu_layers, loaded.n_layer)}/{loaded.n_layer} layers"


def context_words(state: EngineState) -> str:
    """How full the context is, in tokens."""
    if state.loaded is None:
        return ""
    return f"context {format_count(state.context_used)} / {format_count(state.loaded.ctx)}"


def network_words(downloads: Sequence[DownloadView], others: str = "") -> str:
    """What uses the network: downloads, else `others`."""
    active = [view for view in downloads if view.status is DownloadStatus.DOWNLOADING]
    if not active:
        return others or "No network in use"
    what = "1 model" if len(active) == 1 else f"{len(active)} models"
    speed = sum(view.bytes_per_s or 0.0 for view in active)
    return f"Downloading {what}, {format_bytes_per_s(speed)}" if speed > 0 else f"Downloading {what}"

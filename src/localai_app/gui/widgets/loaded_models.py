"""In the bottom line: how many models are loaded side by side, and a list to use or unload each of them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from localai_app.gui.metrics import SPACE_1, SPACE_2, SPACE_3, SPACE_4, TypeSizes
from localai_app.gui.styling import button, label, set_compact, set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.elided_label import ElidedLabel
from localai_app.services.memory_credit import gpu_shares
from localai_app.services.views import EngineStatus, LoadedModel
from localai_app.units import format_gib

LIST_WIDTH = 400
LEAST_MODELS = 2
"""One model alone is named by the line itself."""


class LoadedModels(QPushButton):
    """A button that opens the list; hidden while fewer than two models are loaded."""

    use_requested = Signal(str)
    unload_requested = Signal(str)

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._models: tuple[LoadedModel, ...] = ()
        self._key_in_use = ""
        self._held: dict[str, int] = {}
        self.list: LoadedModelsList | None = None
        set_compact(set_role(self, "ghost"))
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName("Loaded models")
        self.clicked.connect(self.open_list)
        self.hide()

    def show_models(self, models: Sequence[LoadedModel], key_in_use: str) -> None:
        """Follow the engine."""
        self._models, self._key_in_use = tuple(models), key_in_use
        is_many = len(self._models) >= LEAST_MODELS
        words = f"{len(self._models)} models loaded" if is_many else ""
        if words != self.text():
            self.setText(words)
            self.setToolTip("Shows every loaded model, its memory, and how to unload it" if is_many else "")
            self.setVisible(is_many)
        self._refresh_list()

    def show_memory(self, held: Sequence[tuple[str, int]]) -> None:
        """Show what each model holds of main memory: (its key, bytes)."""
        self._held = dict(held)
        self._refresh_list()

    def open_list(self) -> None:
        """Show the list above the button."""
        opened = self.list = LoadedModelsList(self._theme, self)
        opened.use_requested.connect(self.use_requested)
        opened.unload_requested.connect(self.unload_requested)
        opened.destroyed.connect(self._on_list_closed)
        self._refresh_list()
        opened.adjustSize()
        opened.move(self.mapToGlobal(QPoint(0, -opened.height() - SPACE_1)))
        opened.show()

    def _refresh_list(self) -> None:
        if self.list is not None:
            self.list.show_models(self._models, self._key_in_use, self._held)

    def _on_list_closed(self) -> None:
        self.list = None


class LoadedModelsList(QFrame):
    """A row for each model; closes with a click elsewhere."""

    use_requested = Signal(str)
    unload_requested = Signal(str)

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Popup | Qt.WindowType.FramelessWindowHint)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setAttribute(Qt.WidgetAttribute.WA_TranslucentBackground)
        self.setAccessibleName("Loaded models")
        self.setFixedWidth(round(LIST_WIDTH * max(1.0, theme.sizes.body / TypeSizes().body)))
        frame = set_role(QFrame(), "popup")
        outer = QVBoxLayout(self)
        set_spacing(outer, 0)
        outer.addWidget(frame)
        self._column = QVBoxLayout(frame)
        set_spacing(self._column, SPACE_3, (SPACE_4, SPACE_3, SPACE_3, SPACE_3))
        self._column.addWidget(label("Loaded models", "caption-strong"))
        self._rows: dict[str, LoadedModelRow] = {}

    @property
    def rows(self) -> tuple[LoadedModelRow, ...]:
        """What is shown, in its order."""
        return tuple(self._rows.values())

    def show_models(self, models: Sequence[LoadedModel], key_in_use: str, held: dict[str, int]) -> None:
        """Show these models; a row stays where it is as long as its model is there."""
        keys = [model.key for model in models]
        for key in [key for key in self._rows if key not in keys]:
            row = self._rows.pop(key)
            row.hide()
            row.deleteLater()
            self.adjustSize()
        for model in models:
            if model.key not in self._rows:
                row = self._rows[model.key] = LoadedModelRow(model.key)
                row.use_button.clicked.connect(lambda _checked=False, key=model.key: self.use_requested.emit(key))
                row.unload_button.clicked.connect(lambda _checked=False, key=model.key: self.unload_requested.emit(key))
                self._column.addWidget(row)
            self._rows[model.key].show_model(model, is_in_use=model.key == key_in_use, held_bytes=held.get(model.key, 0))
        if not models:
            self.close()


class LoadedModelRow(QWidget):
    """One model: its name, what it does and holds, and what can be done with it."""

    def __init__(self, key: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.key = key
        self._name = ElidedLabel("", "strong")
        self._facts = ElidedLabel("", "caption")
        self.use_button = button("Use", "ghost", compact=True)
        self.unload_button = button("Unload", compact=True)
        words = QVBoxLayout()
        set_spacing(words, 0)
        words.addWidget(self._name)
        words.addWidget(self._facts)
        row = QHBoxLayout(self)
        set_spacing(row, SPACE_2)
        row.addLayout(words, 1)
        row.addWidget(self.use_button)
        row.addWidget(self.unload_button)

    @property
    def words(self) -> str:
        """What the row says."""
        return f"{self._name.text()}: {self._facts.text()}"

    def show_model(self, model: LoadedModel, *, is_in_use: bool, held_bytes: int) -> None:
        """Show a model as it is now."""
        self._name.setText(model.state.model_name)
        self._facts.setText(" · ".join((doing_words(model, is_in_use=is_in_use), share_words(model, held_bytes))))
        self.use_button.setVisible(not is_in_use)
        self.use_button.setAccessibleName(f"Use {model.state.model_name}")
        self.unload_button.setAccessibleName(f"Unload {model.state.model_name}")


def doing_words(model: LoadedModel, *, is_in_use: bool) -> str:
    """What a loaded model does now."""
    if model.state.status is EngineStatus.ANSWERING:
        return "Answering"
    if is_in_use:
        return "In use"
    minutes = int((time.monotonic() - model.used_s) / 60)
    return f"Unused for {minutes} min" if minutes else "Ready"


def share_words(model: LoadedModel, held_bytes: int) -> str:
    """What a model holds: of each GPU as planned, and of main memory as measured."""
    on_gpus = sum(held for _name, held in gpu_shares(model))
    parts = [f"{format_gib(on_gpus)} on the GPU"] if on_gpus else []
    if held_bytes or not parts:
        parts.append(f"{format_gib(held_bytes)} of memory")
    return ", ".join(parts)

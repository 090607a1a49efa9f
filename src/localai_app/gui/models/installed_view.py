"""The models on this disk, each with what can be done with it."""

from __future__ import annotations

from datetime import datetime

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMessageBox, QScrollArea, QVBoxLayout, QWidget

from localai_app.errors import AppError
from localai_app.gui.bridge import Bridge
from localai_app.gui.metrics import SPACE_1, SPACE_3, SPACE_4, SPACE_5, SPACE_6
from localai_app.gui.models.reveal import reveal_in_folder
from localai_app.gui.styling import button, divider, icon_button, label, set_role, set_spacing
from localai_app.gui.tasks import run_in_background
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.badge import Badge
from localai_app.gui.widgets.elided_label import ElidedLabel
from localai_app.gui.widgets.empty_state import EmptyState
from localai_app.gui.widgets.error_banner import ErrorBanner
from localai_app.services.app_services import AppServices
from localai_app.services.events import Event, LibraryChanged
from localai_app.services.views import InstalledModel
from localai_app.units import format_file_size, format_speed


class InstalledRow(QWidget):
    """One model with its buttons."""

    chat_requested = Signal(str)
    reveal_requested = Signal(str)
    remove_requested = Signal(str)

    def __init__(self, model: InstalledModel, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = model
        words = QVBoxLayout()
        set_spacing(words, SPACE_1)
        title = QHBoxLayout()
        set_spacing(title, SPACE_3)
        title.addWidget(ElidedLabel(model.name, "strong"))
        if model.label:
            title.addWidget(Badge(model.label))
        if not model.is_complete:
            title.addWidget(Badge("incomplete", "warn"))
        title.addStretch(1)
        words.addLayout(title)
        words.addWidget(ElidedLabel(facts_words(model), "caption"))
        chat = button("Chat", compact=True)
        chat.setAccessibleName(f"Chat with {model.name}")
        chat.setEnabled(model.is_complete)
        chat.clicked.connect(lambda: self.chat_requested.emit(self._model.key))
        reveal = icon_button("folder", f"Show {model.name} in its folder", theme)
        reveal.clicked.connect(lambda: self.reveal_requested.emit(self._model.key))
        remove = icon_button("trash", f"Remove {model.name}", theme)
        remove.clicked.connect(lambda: self.remove_requested.emit(self._model.key))
        layout = QHBoxLayout(self)
        set_spacing(layout, SPACE_3, (SPACE_5, SPACE_3, SPACE_4, SPACE_3))
        layout.addLayout(words, 1)
        for control in (chat, reveal, remove):
            layout.addWidget(control)


class InstalledView(QWidget):
    """A card with a row for each installed model; an empty state that leads to the suggestions."""

    chat_requested = Signal(str)
    suggestions_requested = Signal()
    count_changed = Signal(int)

    def __init__(self, services: AppServices, theme: ThemeState, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._theme = theme
        self._error = ErrorBanner(theme)
        self._empty = EmptyState(
            theme, "models", "No model on this computer yet",
            "Models are files of one to some hundred gigabytes. See which ones run well here.", "See suggestions")
        self._empty.button_pressed.connect(self.suggestions_requested)
        self._card = set_role(QFrame(), "card")
        self._rows = QVBoxLayout(self._card)
        set_spacing(self._rows, 0, (0, SPACE_1, 0, SPACE_1))
        self._total = label("", "caption")
        content = set_role(QWidget(), "page")
        inner = QVBoxLayout(content)
        set_spacing(inner, SPACE_3, (SPACE_6, SPACE_6, SPACE_6, SPACE_6))
        for part in (self._error, self._total, self._card, self._empty):
            inner.addWidget(part)
        inner.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setWidget(content)
        layout = QVBoxLayout(self)
        set_spacing(layout, 0)
        layout.addWidget(scroll)
        bridge.event_published.connect(self._on_event)
        self.refresh()

    def refresh(self) -> None:
        """Read the list anew."""
        models = self._services.library.models()
        while self._rows.count():
            item = self._rows.takeAt(0)
            widget = item.widget() if item is not None else None
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        for index, model in enumerate(models):
            if index:
                self._rows.addWidget(divider())
            row = InstalledRow(model, self._theme)
            row.chat_requested.connect(self.chat_requested)
            row.reveal_requested.connect(self._on_reveal_requested)
            row.remove_requested.connect(self._on_remove_requested)
            self._rows.addWidget(row)
        self._card.setVisible(bool(models))
        self._empty.setVisible(not models)
        self._total.setVisible(bool(models))
        self._total.setText(total_words(models, str(self._services.settings.models_folder)))
        self.count_changed.emit(len(models))

    def _on_event(self, event: Event) -> None:
        if isinstance(event, LibraryChanged):
            self.refresh()

    def _on_reveal_requested(self, key: str) -> None:
        try:
            reveal_in_folder(self._services.library.get(key).paths[0])
        except AppError as error:
            self._error.show_error(error)

    def _on_remove_requested(self, key: str) -> None:
        self._error.clear()
        try:
            model = self._services.library.get(key)
            freed_bytes = self._services.library.freed_bytes(key)
        except AppError as error:
            self._error.show_error(error)
            return
        if self._confirm(model, freed_bytes):
            if self._services.engine.state.model_key == key:
                self._services.engine.unload()
            run_in_background(self, lambda: self._services.library.remove(key), lambda _freed: None, self._error.show_error)

    def _confirm(self, model: InstalledModel, freed_bytes: int) -> bool:
        box = QMessageBox(self)
        box.setIcon(QMessageBox.Icon.NoIcon)
        box.setText(f"Remove {model.name} {model.label}?".replace(" ?", "?"))
        box.setInformativeText(removal_words(model, freed_bytes))
        remove = box.addButton("Remove", QMessageBox.ButtonRole.AcceptRole)
        set_role(remove, "danger")
        box.addButton("Keep", QMessageBox.ButtonRole.RejectRole)
        box.exec()
        confirmed = box.clickedButton() is remove
        box.deleteLater()
        return confirmed


def facts_words(model: InstalledModel) -> str:
    """Size, speed, last use and where it lies, in one line."""
    parts = [format_file_size(model.size_bytes)]
    parts.append(f"{format_speed(model.tps)} measured" if model.tps else "speed not measured yet")
    if model.last_used_s is not None:
        parts.append(f"used {datetime.fromtimestamp(model.last_used_s):%d %b %Y}")
    parts.append(model.repo_id or str(model.paths[0].parent))
    return " · ".join(parts)


def total_words(models: tuple[InstalledModel, ...], folder: str) -> str:
    """How many models, how much space, and where."""
    noun = "model" if len(models) == 1 else "models"
    return f"{len(models)} {noun}, {format_file_size(sum(model.size_bytes for model in models))}. Downloads go to {folder}"


def removal_words(model: InstalledModel, freed_bytes: int) -> str:
    """What removing does to the files."""
    if freed_bytes:
        return f"Its files go to the trash. Emptying the trash frees {format_file_size(freed_bytes)}. Chats with it stay."
    return f"It is only taken off this list; the file stays in {model.paths[0].parent}. Chats with it stay."

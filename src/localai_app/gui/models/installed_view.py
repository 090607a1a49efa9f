"""The models on this disk, each with what can be done with it."""

from __future__ import annotations

from datetime import datetime

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMenu, QScrollArea, QVBoxLayout, QWidget

from localai_app.errors import AppError, Remedy
from localai_app.fit.result import FitResult
from localai_app.gui.folder_words import folder_words
from localai_app.gui.metrics import SPACE_1, SPACE_3, SPACE_4, SPACE_5
from localai_app.gui.models.installed_models import InstalledModels
from localai_app.gui.models.removal import Removal
from localai_app.gui.models.reveal import reveal_in_folder
from localai_app.gui.models.scrolled_column import scrolled_column
from localai_app.gui.styling import button, divider, icon_button, label, set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.badge import Badge, verdict_words
from localai_app.gui.widgets.elided_label import ElidedLabel
from localai_app.gui.widgets.empty_state import EmptyState
from localai_app.gui.widgets.error_banner import ErrorBanner
from localai_app.services.app_services import AppServices
from localai_app.services.views import InstalledModel
from localai_app.units import format_file_size, format_speed, format_speed_range


class InstalledRow(QWidget):
    """One model with its buttons."""

    chat_requested = Signal(str)
    compare_requested = Signal(str)
    loss_requested = Signal(str)
    requantize_requested = Signal(str)
    load_panel_requested = Signal(str)
    reveal_requested = Signal(str)
    remove_requested = Signal(str)

    def __init__(self, model: InstalledModel, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._key = model.key
        self._name = ElidedLabel("", "strong")
        self._label = Badge()
        self._verdict = Badge()
        self._verdict.hide()
        self._incomplete = Badge("incomplete", "warn")
        self._incomplete.setToolTip("A part of it is missing; download it again")
        self._facts = ElidedLabel("", "caption")
        self.chat_button = button("Chat", compact=True)
        self.chat_button.clicked.connect(lambda: self.chat_requested.emit(self._key))
        self.load_button = button("Load…", compact=True)
        self.load_button.setToolTip("Choose how it is loaded, and see what that needs")
        self.load_button.clicked.connect(lambda: self.load_panel_requested.emit(self._key))
        self.compare_button = button("Compare", compact=True)
        self.compare_button.setToolTip("Put it beside other models on the Compare page")
        self.compare_button.clicked.connect(lambda: self.compare_requested.emit(self._key))
        self.more_button = icon_button("dots", f"More about {model.name}", theme)
        self.more_button.clicked.connect(self._on_more_clicked)
        self.reveal_button = icon_button("folder", f"Show {model.name} in its folder", theme)
        self.reveal_button.clicked.connect(lambda: self.reveal_requested.emit(self._key))
        self.remove_button = icon_button("trash", f"Remove {model.name}", theme)
        self.remove_button.clicked.connect(lambda: self.remove_requested.emit(self._key))
        self._lay_out()
        self.show_model(model)

    def _lay_out(self) -> None:
        title = QHBoxLayout()
        set_spacing(title, SPACE_3)
        for part in (self._name, self._label, self._verdict, self._incomplete):
            title.addWidget(part)
        title.addStretch(1)
        words = QVBoxLayout()
        set_spacing(words, SPACE_1)
        words.addLayout(title)
        words.addWidget(self._facts)
        layout = QHBoxLayout(self)
        set_spacing(layout, SPACE_1, (SPACE_5, SPACE_3, SPACE_4, SPACE_3))
        layout.addLayout(words, 1)
        layout.addSpacing(SPACE_3)
        for control in (
            self.load_button, self.compare_button, self.chat_button, self.reveal_button, self.remove_button, self.more_button):
            layout.addWidget(control)

    def show_model(self, model: InstalledModel, fit: FitResult | None = None) -> None:
        """Show the model as it is now, and how it would run; `fit` None: not known yet."""
        self._name.setText(model.name)
        self._label.show_text(model.label, "neutral")
        self._label.setVisible(bool(model.label))
        self._incomplete.setVisible(not model.is_complete)
        self._verdict.setVisible(fit is not None and model.is_complete)
        if fit is not None:
            self._verdict.show_verdict(fit.verdict, short=True)
            self._verdict.setToolTip("\n".join((verdict_words(fit.verdict), *fit.reasons[:1])))
        self._facts.setText(facts_words(model, fit))
        self.chat_button.setAccessibleName(f"Chat with {model.name}")
        self.chat_button.setEnabled(model.is_complete)
        self.compare_button.setAccessibleName(f"Compare {model.name} with others")
        self.compare_button.setEnabled(model.is_complete)
        self.load_button.setAccessibleName(f"Load {model.name}, with settings")
        self.load_button.setEnabled(model.is_complete)
        self.more_button.setEnabled(model.is_complete)


    def build_menu(self) -> QMenu:
        """What is done more seldom."""
        menu = QMenu(self)
        menu.addAction("What does it lose?").triggered.connect(lambda: self.loss_requested.emit(self._key))
        menu.addAction("Re-quantize…").triggered.connect(lambda: self.requantize_requested.emit(self._key))
        return menu

    def _on_more_clicked(self) -> None:
        menu = self.build_menu()
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(self.more_button.mapToGlobal(self.more_button.rect().bottomLeft()))


class InstalledView(QWidget):
    """A card with a row for each installed model; an empty state that leads to the suggestions."""

    chat_requested = Signal(str)
    compare_requested = Signal(str)
    loss_requested = Signal(str)
    requantize_requested = Signal(str)
    load_panel_requested = Signal(str)
    suggestions_requested = Signal()
    page_requested = Signal(str)
    count_changed = Signal(int)

    def __init__(
        self, services: AppServices, theme: ThemeState, installed: InstalledModels, parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._services = services
        self._theme = theme
        self._installed = installed
        self._lines: dict[str, InstalledRow] = {}
        self.error = ErrorBanner(theme)
        self.error.remedy_requested.connect(self._on_remedy_requested)
        self.removal = Removal(services, self, self.error.show_error)
        self.empty = EmptyState(
            theme, "models", "No model on this computer yet",
            "Models are files of one to some hundred gigabytes. See which ones run well here.", "See suggestions")
        self.empty.button_pressed.connect(self.suggestions_requested)
        self.empty.hide()
        self._card = set_role(QFrame(), "card")
        self._rows = QVBoxLayout(self._card)
        set_spacing(self._rows, 0, (0, SPACE_1, 0, SPACE_1))
        self._card.hide()
        self._total = label("", "caption", wrap=True)
        self._list = QScrollArea()
        column = scrolled_column(self._list)
        for part in (self.error, self._total, self._card):
            column.addWidget(part)
        column.addStretch(1)
        layout = QVBoxLayout(self)
        set_spacing(layout, 0)
        layout.addWidget(self._list)
        layout.addWidget(self.empty)
        installed.changed.connect(self.refresh)
        installed.fits_changed.connect(self.refresh)
        self.refresh()

    @property
    def rows(self) -> tuple[InstalledRow, ...]:
        """The rows in order."""
        return tuple(self._lines.values())

    def refresh(self) -> None:
        """Show the list as it was read last; rows stay the same widgets while the same models are listed."""
        models = self._installed.models
        if [model.key for model in models] != list(self._lines):
            self._rebuild(models)
        for model in models:
            self._lines[model.key].show_model(model, self._services.installed_fits.fit(model.key))
        self._card.setVisible(bool(models))
        self._total.setText(total_words(models, folder_words(self._services.settings.models_folder)) if models else "")
        is_empty = self._installed.is_read and not models
        self.empty.setVisible(is_empty)
        self._list.setVisible(not is_empty)
        self.count_changed.emit(len(models))

    def _rebuild(self, models: tuple[InstalledModel, ...]) -> None:
        while (item := self._rows.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        self._lines.clear()
        for model in models:
            if self._lines:
                self._rows.addWidget(divider())
            row = InstalledRow(model, self._theme)
            row.chat_requested.connect(self.chat_requested)
            row.compare_requested.connect(self.compare_requested)
            row.loss_requested.connect(self.loss_requested)
            row.requantize_requested.connect(self.requantize_requested)
            row.load_panel_requested.connect(self.load_panel_requested)
            row.reveal_requested.connect(self._on_reveal_requested)
            row.remove_requested.connect(self._on_remove_requested)
            self._lines[model.key] = row
            self._rows.addWidget(row)

    def _on_reveal_requested(self, key: str) -> None:
        self.error.clear()
        model = next((model for model in self._installed.models if model.key == key), None)
        if model is None:
            return
        try:
            reveal_in_folder(model.paths[0])
        except AppError as error:
            self.error.show_error(error, offer_remedy=False)

    def _on_remove_requested(self, key: str) -> None:
        self.error.clear()
        self.removal.ask(key)

    def _on_remedy_requested(self, remedy: Remedy) -> None:
        if remedy in (Remedy.OPEN_SETTINGS, Remedy.CHOOSE_FOLDER):
            self.page_requested.emit("settings")
        else:
            self.suggestions_requested.emit()


def facts_words(model: InstalledModel, fit: FitResult | None = None) -> str:
    """Size, speed, last use and where it lies, in one line."""
    parts = [format_file_size(model.size_bytes)]
    if model.tps:
        parts.append(f"{format_speed(model.tps)} measured")
    elif fit is not None and fit.speed.low is not None and fit.speed.high is not None:
        parts.append(f"{format_speed_range(fit.speed.low, fit.speed.high)} expected")
    else:
        parts.append("speed not measured yet")
    if model.last_used_s is not None:
        parts.append(f"used {day_words(datetime.fromtimestamp(model.last_used_s), datetime.now())}")
    parts.append(model.repo_id or folder_words(model.paths[0].parent))
    return " · ".join(parts)


def day_words(then: datetime, now: datetime) -> str:
    """today, yesterday, 12 Nov 2024."""
    recent = {0: "today", 1: "yesterday"}
    return recent.get((now.date() - then.date()).days, f"{then.day} {then:%b %Y}")


def total_words(models: tuple[InstalledModel, ...], folder: str) -> str:
    """How many models, how much space, and where."""
    noun = "model" if len(models) == 1 else "models"
    return f"{len(models)} {noun}, {format_file_size(sum(model.size_bytes for model in models))}. Downloads go to {folder}"

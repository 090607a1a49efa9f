"""What this computer is, which models are suggested for it, and other ways to begin."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QVBoxLayout, QWidget

from localai_app.catalog.tasks import TASK_WORDS
from localai_app.errors import AppError, Remedy
from localai_app.fit.result import Verdict
from localai_app.gui.bridge import Bridge
from localai_app.gui.metrics import SPACE_2, SPACE_3, SPACE_6
from localai_app.gui.models.card_row import CardRow
from localai_app.gui.models.installed_models import InstalledModels
from localai_app.gui.models.machine_strip import MachineStrip
from localai_app.gui.models.reveal import open_model_page
from localai_app.gui.models.suggestion_card import SuggestionCard
from localai_app.gui.models.task_chips import TaskChips
from localai_app.gui.styling import button, label, set_spacing
from localai_app.gui.tasks import run_in_background
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.error_banner import ErrorBanner
from localai_app.services.app_services import AppServices
from localai_app.services.events import (
    DownloadChanged,
    DownloadFinished,
    Event,
    HardwareReported,
    MemoryMeasured,
    SuggestionsChanged,
)
from localai_app.services.views import DiscoveryRow, InstalledModel, Suggestion, SuggestionKind, Suggestions
from localai_app.units import format_gib, format_wait

N_CARDS = 3


class SuggestionsView(QWidget):
    """One click on a card downloads its model and ends in a chat with it."""

    chat_requested = Signal(str)
    page_requested = Signal(str)
    browse_requested = Signal()
    model_requested = Signal(str)
    """A repository, to choose another variant of it."""

    def __init__(
        self, services: AppServices, theme: ThemeState, bridge: Bridge, installed: InstalledModels | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._services = services
        self._installed = installed or InstalledModels(services, bridge, self)
        self._wanted_downloads: set[int] = set()
        """Downloads that were started by a card: they end in a chat."""
        self._title = label("Looking at this computer…", "title", wrap=True)
        self._subtitle = label("This takes a second or two.", "muted", wrap=True)
        self._strip = MachineStrip()
        self._strip.details_requested.connect(lambda: self.page_requested.emit("performance"))
        self.tasks = TaskChips(services.settings, bridge)
        self._error = ErrorBanner(theme)
        self._error.remedy_requested.connect(self._on_remedy_requested)
        self.cards = [SuggestionCard(theme) for _ in range(N_CARDS)]
        self._row = CardRow(self.cards)
        self._none = label("", "muted", wrap=True)
        self._none.hide()
        self._found_button = button("")
        self._found_button.clicked.connect(self._on_found_clicked)
        self._found_button.hide()
        self._open_button = button("Open a model file…")
        self._open_button.clicked.connect(self._on_open_clicked)
        self._browse_button = button("Browse all models")
        self._browse_button.clicked.connect(self.browse_requested)
        self._lay_out()
        self._connect_cards()
        bridge.event_published.connect(self._on_event)
        self._installed.changed.connect(self._show_states)
        self._show_suggestions()
        self._show_machine()
        self._count_found()

    def _lay_out(self) -> None:
        others = QHBoxLayout()
        set_spacing(others, SPACE_3)
        for control in (self._found_button, self._open_button, self._browse_button):
            others.addWidget(control)
        others.addStretch(1)
        head = QVBoxLayout()
        set_spacing(head, SPACE_2)
        head.addWidget(self._title)
        head.addWidget(self._subtitle)
        layout = QVBoxLayout(self)
        set_spacing(layout, SPACE_6)
        layout.addLayout(head)
        for part in (self._strip, self._error):
            layout.addWidget(part)
        offers = QVBoxLayout()
        set_spacing(offers, SPACE_3)
        offers.addWidget(self.tasks)
        offers.addWidget(self._none)
        offers.addWidget(self._row)
        layout.addLayout(offers)
        layout.addLayout(others)
        layout.addStretch(1)

    def _connect_cards(self) -> None:
        downloads = self._services.downloads
        for card in self.cards:
            card.download_requested.connect(self._on_download_requested)
            card.chat_requested.connect(self.chat_requested)
            card.progress.pause_requested.connect(downloads.pause)
            card.progress.resume_requested.connect(downloads.resume)
            card.progress.cancel_requested.connect(downloads.cancel)
            card.progress.remedy_requested.connect(lambda remedy, card=card: self._on_remedy_requested(remedy, card))

    def _on_event(self, event: Event) -> None:
        match event:
            case HardwareReported():
                self._show_machine()
            case MemoryMeasured() if self.isVisible():
                self._show_machine()
            case SuggestionsChanged():
                self._show_suggestions()
            case DownloadChanged():
                self._show_states()
            case DownloadFinished(download_id=download_id, model_key=model_key):
                self._show_states()
                if download_id in self._wanted_downloads:
                    self._wanted_downloads.discard(download_id)
                    if self.isVisible():
                        self.chat_requested.emit(model_key)
            case _:
                pass

    def _show_machine(self) -> None:
        report = self._services.hardware.report
        if report is not None:
            self._strip.show_report(report)

    def _show_suggestions(self) -> None:
        suggestions = self._services.discovery.suggestions
        if suggestions is None:
            return
        self._title.setText(title_words(suggestions))
        self._subtitle.setText(subtitle_words(suggestions, self._services.discovery.rows()))
        preferred = first_choice(suggestions.cards)
        for index, card in enumerate(self.cards):
            card.setVisible(index < len(suggestions.cards))
            if index < len(suggestions.cards):
                suggestion = suggestions.cards[index]
                card.show_suggestion(suggestion, self._time_words(suggestion), is_first_choice=suggestion is preferred)
        self._row.setVisible(bool(suggestions.cards))
        self.tasks.setVisible(suggestions.runnable_count > 0)
        self._none.setVisible(suggestions.runnable_count > 0 and not suggestions.cards)
        self._none.setText(f"No known model for {TASK_WORDS[suggestions.task].lower()} fits into the free memory.")
        self._show_states()

    def _show_states(self) -> None:
        downloads = {(view.repo_id, view.label): view for view in self._services.downloads.downloads()}
        for card in self.cards:
            if card.suggestion is not None:
                key = (card.suggestion.model.repo_id, card.suggestion.file.label)
                card.show_state(downloads.get(key), self._installed.key_of(*key))

    def _time_words(self, suggestion: Suggestion) -> str:
        seconds, is_measured = self._services.downloads.expected_duration(suggestion.file.size_bytes)
        words = f"about {format_wait(seconds)}"
        return words if is_measured else f"{words} at 100 Mbit/s"

    def _on_remedy_requested(self, remedy: Remedy, card: SuggestionCard | None = None) -> None:
        repo_id = card.suggestion.model.repo_id if card is not None and card.suggestion is not None else ""
        if remedy is Remedy.OPEN_MODEL_PAGE and repo_id:
            open_model_page(self._services.hub, repo_id)
        elif remedy is Remedy.CHOOSE_MODEL and repo_id:
            self.model_requested.emit(repo_id)
        else:
            self.page_requested.emit("settings")

    def _on_download_requested(self, suggestion: Suggestion) -> None:
        self._error.clear()
        try:
            download_id = self._services.downloads.start(suggestion.model.repo_id, suggestion.file.label)
        except AppError as error:
            self._error.show_error(error)
            return
        self._wanted_downloads.add(download_id)
        self._show_states()

    def _count_found(self) -> None:
        run_in_background(self, self._services.library.found_elsewhere, self._on_found_counted, self._error.show_error)

    def _on_found_counted(self, count: int) -> None:
        self._found_button.setVisible(count > 0)
        noun = "model" if count == 1 else "models"
        self._found_button.setText(f"Use {count} {noun} already on this computer")

    def _on_found_clicked(self) -> None:
        run_in_background(self, self._services.library.link_found, self._on_found_linked, self._error.show_error)

    def _on_found_linked(self, _count: int) -> None:
        self._count_found()
        self.page_requested.emit("models")

    def _on_open_clicked(self) -> None:
        name, _filter = QFileDialog.getOpenFileName(self, "Open a model file", str(Path.home()), "Models (*.gguf)")
        if name:
            self.open_file(Path(name))

    def open_file(self, path: Path) -> None:
        """List a model file where it is and chat with it; an error is shown if it is no model."""
        self._error.clear()
        run_in_background(self, lambda: self._services.library.link(path), self._on_file_linked, self._error.show_error)

    def _on_file_linked(self, model: InstalledModel) -> None:
        self.chat_requested.emit(model.key)


def first_choice(cards: Sequence[Suggestion]) -> Suggestion | None:
    """The balanced card; where that is no model to chat with, the first one that is."""
    chats = [card for card in cards if not card.model.is_base] or list(cards)
    return next((card for card in chats if card.kind is SuggestionKind.BALANCED), chats[0] if chats else None)


def title_words(suggestions: Suggestions) -> str:
    """How many of the known models run here."""
    if suggestions.runnable_count == 0:
        return "None of the known models fits into the free memory"
    if suggestions.total_count == 1:
        return "This computer can run the one model of this catalog"
    return f"This computer can run {suggestions.runnable_count} of {suggestions.total_count} models"


def subtitle_words(suggestions: Suggestions, rows: tuple[DiscoveryRow, ...]) -> str:
    """What that rests on; where nothing runs, how much is missing for the smallest model and what to do."""
    if suggestions.runnable_count:
        return "Calculated from each model's dimensions and the memory that is free right now, before anything is downloaded."
    too_large = [(row.fit, row.model) for row in rows if row.fit is not None and row.fit.verdict is Verdict.NO]
    advice = "Close other programs to free memory, or open a smaller model file of your own."
    if not too_large:
        return advice
    fit, model = min(too_large, key=lambda pair: pair[0].total_bytes)
    free = sum(device.free_bytes for device in fit.devices)
    kept = sum(device.reserve_bytes for device in fit.devices)
    return (f"The smallest, {model.name}, needs {format_gib(fit.total_bytes)}; {format_gib(free)} is free, of which "
            f"{format_gib(min(free, kept))} is kept for other programs. {advice}")


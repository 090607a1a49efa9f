"""What this computer is, which models are suggested for it, and other ways to begin."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QVBoxLayout, QWidget

from localai_app.errors import AppError
from localai_app.gui.bridge import Bridge
from localai_app.gui.metrics import SPACE_2, SPACE_3, SPACE_4, SPACE_6
from localai_app.gui.models.machine_strip import MachineStrip
from localai_app.gui.models.suggestion_card import SuggestionCard
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
    LibraryChanged,
    MemoryMeasured,
    SuggestionsChanged,
)
from localai_app.services.views import InstalledModel, Suggestion, Suggestions
from localai_app.units import format_duration, format_file_size

N_CARDS = 3


class SuggestionsView(QWidget):
    """One click on a card downloads its model and ends in a chat with it."""

    chat_requested = Signal(str)
    page_requested = Signal(str)
    browse_requested = Signal()

    def __init__(self, services: AppServices, theme: ThemeState, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._wanted_downloads: set[int] = set()
        """Downloads that were started by a card: they end in a chat."""
        self._installed: dict[tuple[str, str], str] = {}
        """Keys of the installed models by repository and label."""
        self._title = label("Looking at this computer…", "title", wrap=True)
        self._subtitle = label("This takes a second or two.", "muted", wrap=True)
        self._strip = MachineStrip()
        self._strip.details_requested.connect(lambda: self.page_requested.emit("performance"))
        self._error = ErrorBanner(theme)
        self._error.remedy_requested.connect(lambda _remedy: self.page_requested.emit("settings"))
        self.cards = [SuggestionCard(theme) for _ in range(N_CARDS)]
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
        self._read_library()
        self._show_suggestions()
        self._show_machine()
        self._count_found()

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        set_spacing(row, SPACE_4)
        for card in self.cards:
            row.addWidget(card, 1)
            card.hide()
        others = QHBoxLayout()
        set_spacing(others, SPACE_3)
        for control in (self._found_button, self._open_button, self._browse_button):
            others.addWidget(control)
        others.addStretch(1)
        layout = QVBoxLayout(self)
        set_spacing(layout, 0)
        layout.addWidget(self._title)
        layout.addSpacing(SPACE_2)
        layout.addWidget(self._subtitle)
        layout.addSpacing(SPACE_6)
        layout.addWidget(self._strip)
        layout.addSpacing(SPACE_6)
        layout.addWidget(self._error)
        layout.addLayout(row)
        layout.addSpacing(SPACE_6)
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
            case LibraryChanged():
                self._read_library()
                self._show_states()
            case DownloadFinished(download_id=download_id, model_key=model_key):
                self._show_states()
                if download_id in self._wanted_downloads:
                    self._wanted_downloads.discard(download_id)
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
        self._title.setText(_title_of(suggestions))
        self._subtitle.setText(_subtitle_of(suggestions))
        for index, card in enumerate(self.cards):
            card.setVisible(index < len(suggestions.cards))
            if index < len(suggestions.cards):
                suggestion = suggestions.cards[index]
                card.show_suggestion(suggestion, self._download_words(suggestion))
        self._show_states()

    def _show_states(self) -> None:
        downloads = {(view.repo_id, view.label): view for view in self._services.downloads.downloads()}
        for card in self.cards:
            if card.suggestion is not None:
                key = (card.suggestion.model.repo_id, card.suggestion.file.label)
                card.show_state(downloads.get(key), self._installed.get(key, ""))

    def _read_library(self) -> None:
        self._installed = {(model.repo_id, model.label): model.key for model in self._services.library.models()}

    def _download_words(self, suggestion: Suggestion) -> str:
        size = suggestion.file.size_bytes
        about = "" if suggestion.file.is_exact else "about "
        seconds, is_measured = self._services.downloads.expected_duration(size)
        words = f"{about}{format_file_size(size)} · {format_duration(max(1.0, seconds))}"
        return words if is_measured else f"{words} at 100 Mbit/s"

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


def _title_of(suggestions: Suggestions) -> str:
    if suggestions.runnable_count == 0:
        return "None of the known models fits into this computer's free memory"
    if suggestions.total_count == 1:
        return "This computer can run the one model of this catalog"
    return f"This computer can run {suggestions.runnable_count} of {suggestions.total_count} models"


def _subtitle_of(suggestions: Suggestions) -> str:
    if suggestions.runnable_count == 0:
        return "Close other programs to free memory, or open a smaller model file of your own."
    return "Calculated from each model's dimensions and the memory that is free right now, before anything is downloaded."

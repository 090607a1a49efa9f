"""Where prompt sets come from and go to: files, and past chats."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QFileDialog, QWidget

from localai_app.compare.prompt_file import FILE_SUFFIXES
from localai_app.compare.prompts import PromptSet
from localai_app.gui.compare.chat_choice_dialog import ChatChoiceDialog
from localai_app.gui.tasks import run_in_background
from localai_app.gui.theme import ThemeState
from localai_app.services.app_services import AppServices
from localai_app.store.records import Conversation

READ_FILTER = f"Prompts ({' '.join(f'*{suffix}' for suffix in FILE_SUFFIXES)})"
WRITE_FILTER = "Prompts (*.json)"
CHATS_NAME = "From my chats"


class PromptSources(QObject):
    """Works in the background. `found` has a set that is not kept yet, `failed` an AppError."""

    found = Signal(object)
    failed = Signal(object)

    def __init__(self, services: AppServices, theme: ThemeState, window: QWidget) -> None:
        super().__init__(window)
        self._sets = services.compare.prompt_sets
        self._chat = services.chat
        self._theme = theme
        self._window = window

    def import_file(self, path: Path) -> None:
        """Read the prompts of a file."""
        run_in_background(self, lambda: self._sets.from_file(path), self.found.emit, self.failed.emit)

    def export_to(self, prompt_set: PromptSet, path: Path) -> None:
        """Write a set into a file."""
        run_in_background(self, lambda: self._sets.export(prompt_set.name, path), lambda _done: None, self.failed.emit)

    def ask_for_file(self) -> None:
        """Let a file be chosen and read it."""
        name, _filter = QFileDialog.getOpenFileName(self._window, "Import prompts", str(Path.home()), READ_FILTER)
        if name:
            self.import_file(Path(name))

    def ask_where_to(self, prompt_set: PromptSet) -> None:
        """Let a place be chosen and write a set there."""
        name, _filter = QFileDialog.getSaveFileName(
            self._window, "Export this set", str(Path.home() / "prompts.json"), WRITE_FILTER)
        if name:
            self.export_to(prompt_set, Path(name))

    @Slot()
    def ask_for_chats(self) -> None:
        """Let chats be chosen and take what was asked in them."""
        run_in_background(self, self._chat.conversations, self._show_chats, self.failed.emit)

    def _show_chats(self, chats: tuple[Conversation, ...]) -> None:
        dialog = ChatChoiceDialog(chats, self._sets.free_name(CHATS_NAME), self._theme, self._window)
        dialog.chats_chosen.connect(self._on_chats_chosen)
        dialog.open()

    @Slot(object, str, bool)
    def _on_chats_chosen(self, chats: tuple[int, ...], name: str, first_only: bool) -> None:
        wanted = name.strip() or CHATS_NAME
        run_in_background(
            self, lambda: self._sets.from_chats(chats, wanted, first_only=first_only), self.found.emit, self.failed.emit)

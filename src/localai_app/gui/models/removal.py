"""Removing an installed model: asked first, with the space that it frees."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QMessageBox, QWidget

from localai_app.errors import AppError
from localai_app.gui.folder_words import folder_words
from localai_app.gui.styling import set_role
from localai_app.gui.tasks import run_in_background
from localai_app.services.app_services import AppServices
from localai_app.services.views import InstalledModel
from localai_app.units import format_file_size


class Removal(QObject):
    """Asks, then removes in the background; the library tells everybody when it is done."""

    def __init__(self, services: AppServices, parent: QWidget, on_failure: Callable[[AppError], None]) -> None:
        super().__init__(parent)
        self._services = services
        self._window = parent
        self._on_failure = on_failure
        self.box: QMessageBox | None = None

    def ask(self, key: str) -> None:
        """Show the question once it is known what removing frees."""

        def look() -> tuple[InstalledModel, int]:
            return self._services.library.get(key), self._services.library.freed_bytes(key)

        run_in_background(self, look, self._show, self._on_failure)

    def _show(self, answer: tuple[InstalledModel, int]) -> None:
        model, freed_bytes = answer
        box = QMessageBox(self._window)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setWindowTitle("Remove model")
        box.setText(f"Remove {model.name} {model.label}".rstrip() + "?")
        box.setInformativeText(removal_words(model, freed_bytes))
        remove = box.addButton("Move to trash" if freed_bytes else "Take off the list", QMessageBox.ButtonRole.AcceptRole)
        set_role(remove, "danger")
        keep = box.addButton("Keep", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(keep)
        box.setEscapeButton(keep)
        remove.clicked.connect(lambda: self._remove(model.key))
        box.finished.connect(self._on_closed)
        self.box = box
        box.open()

    def _on_closed(self, _result: int) -> None:
        self.box = None

    def _remove(self, key: str) -> None:
        if self._services.engine.find(key) is not None:
            self._services.engine.unload(key)
        run_in_background(self, lambda: self._services.library.remove(key), lambda _freed: None, self._on_failure)


def removal_words(model: InstalledModel, freed_bytes: int) -> str:
    """What removing does to the files."""
    if freed_bytes:
        noun = "file goes" if len(model.paths) == 1 else "files go"
        return f"Its {noun} to the trash; emptying the trash frees {format_file_size(freed_bytes)}. Chats with it stay."
    return f"It is only taken off this list; the file stays in {folder_words(model.paths[0].parent)}. Chats with it stay."

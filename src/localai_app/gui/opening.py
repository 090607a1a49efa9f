"""Opens what was given from outside: a model file, a link to the Hub, or a page's name."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QUrl

from localai_app.gui.main_window import MainWindow
from localai_app.gui.messages import Messages
from localai_app.gui.tasks import run_in_background
from localai_app.services.app_services import AppServices
from localai_app.services.views import InstalledModel

LINK_STARTS = ("hf:", "http://", "https://")


def full_target(target: str) -> str:
    """The same target for a process that runs in another folder: files by their full path, links as they are."""
    if not target.lower().endswith(".gguf") or target.lower().startswith(LINK_STARTS):
        return target
    name = QUrl(target).toLocalFile() if target.lower().startswith("file:") else target
    return str(Path(name).expanduser().absolute())


def open_target(target: str, window: MainWindow, services: AppServices, messages: Messages) -> None:
    """Add a .gguf file to the library and chat with it, or show a repository of the Hub; errors become messages.

    A link may end in .gguf too: then it names a file of a repository.
    """
    if not target.lower().endswith(".gguf") or target.lower().startswith(LINK_STARTS):
        window.open_reference(target)
        return
    path = Path(full_target(target))

    def on_linked(model: InstalledModel) -> None:
        window.open_chat(model.key)

    run_in_background(window, lambda: services.library.link(path), on_linked, messages.error)

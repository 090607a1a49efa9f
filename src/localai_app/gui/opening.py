"""Opens what was given from outside: a model file, a link to the Hub, or a page's name."""

from __future__ import annotations

from pathlib import Path

from localai_app.gui.main_window import MainWindow
from localai_app.gui.messages import Messages
from localai_app.gui.tasks import run_in_background
from localai_app.services.app_services import AppServices
from localai_app.services.views import InstalledModel


def open_target(target: str, window: MainWindow, services: AppServices, messages: Messages) -> None:
    """Add a .gguf file to the library and chat with it, or show a repository of the Hub; errors become messages."""
    if not target.lower().endswith(".gguf"):
        window.open_reference(target)
        return
    path = Path(target.removeprefix("file://")).expanduser().absolute()

    def on_linked(model: InstalledModel) -> None:
        window.open_chat(model.key)

    run_in_background(window, lambda: services.library.link(path), on_linked, messages.error)

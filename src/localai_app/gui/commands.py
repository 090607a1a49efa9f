"""What the command box offers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from localai_app.errors import AppError
from localai_app.gui.dialogs.command_box import BoxCommand
from localai_app.gui.pages.factory import RAIL_ENTRIES
from localai_app.services.app_services import AppServices
from localai_app.services.views import EngineStatus, InstalledModel
from localai_app.settings.declaration import SETTINGS


class Navigator(Protocol):
    """What commands need of the window."""

    def show_page(self, name: str) -> object:
        """Show a page by its name."""

    def show_setting(self, key: str) -> None:
        """Show the settings with one of them in view."""

    def new_chat(self) -> None:
        """Begin a new chat."""

    def open_load_panel(self, model_key: str) -> None:
        """Show how a model is loaded."""


def box_commands(
    services: AppServices, window: Navigator, report_error: Callable[[AppError], None], *, hides_names: bool = False,
) -> list[BoxCommand]:
    """Everything that can be done from the command box now; `hides_names`: but for what names a model."""
    return [
        BoxCommand("New chat", "Chat", "plus", window.new_chat, "conversation start"),
        *_page_commands(window),
        *(() if hides_names else _model_commands(services, window, report_error)),
        *_setting_commands(window),
    ]


def _page_commands(window: Navigator) -> Iterator[BoxCommand]:
    for entry in RAIL_ENTRIES:
        yield BoxCommand(f"Go to {entry.text}", "Page", entry.icon_name, _bound(window.show_page, entry.page))


def _model_commands(
    services: AppServices, window: Navigator, report_error: Callable[[AppError], None],
) -> Iterator[BoxCommand]:
    state = services.engine.state
    models = [model for model in services.library.models() if model.is_complete]
    def switch(key: str) -> None:
        if not services.engine.use(key):
            services.engine.load(key)

    for model in models:
        if model.key != state.model_key:
            yield BoxCommand(
                f"Switch to {_title(model)}", "Model", "models", _guarded(switch, model.key, report_error), "load model")
    for model in models:
        yield BoxCommand(
            f"Load settings of {_title(model)}", "Model", "sliders-horizontal", _bound(window.open_load_panel, model.key),
            "context layers gpu memory experts")
    for loaded in services.engine.loaded():
        if loaded.key != state.model_key:
            yield BoxCommand(
                f"Unload {loaded.state.model_name}", "Model", "x", _bound(services.engine.unload, loaded.key),
                "free memory eject")
    if state.status not in (EngineStatus.NONE, EngineStatus.FAILED):
        yield BoxCommand(f"Unload {state.model_name}", "Model", "x", services.engine.unload, "free memory eject")


def _title(model: InstalledModel) -> str:
    return f"{model.name} · {model.label}" if model.label else model.name


def _setting_commands(window: Navigator) -> Iterator[BoxCommand]:
    for spec in SETTINGS:
        yield BoxCommand(
            f"{spec.section.value}: {spec.label}", "Setting", "settings", _bound(window.show_setting, spec.key),
            " ".join(("setting", *spec.keywords)))


def _bound(function: Callable[[str], object], argument: str) -> Callable[[], None]:
    def run() -> None:
        function(argument)

    return run


def _guarded(
    function: Callable[[str], object], argument: str, report_error: Callable[[AppError], None],
) -> Callable[[], None]:
    def run() -> None:
        try:
            function(argument)
        except AppError as error:
            report_error(error)

    return run

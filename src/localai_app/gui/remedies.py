"""The words on the button that does what an error message advises."""

from __future__ import annotations

from localai_app.errors import Remedy

_LABELS: dict[Remedy, str] = {
    Remedy.NONE: "",
    Remedy.RETRY: "Try again",
    Remedy.OPEN_SETTINGS: "Open settings",
    Remedy.CHOOSE_FOLDER: "Choose folder…",
    Remedy.CHOOSE_MODEL: "Choose a model",
    Remedy.RELOAD_MODEL: "Load again",
    Remedy.DOWNLOAD_AGAIN: "Download again",
    Remedy.OPEN_MODEL_PAGE: "Open its page",
    Remedy.SHOW_LOG: "Show log",
    Remedy.CHANGE_LOAD_SETTINGS: "Load settings…",
    Remedy.CHANGE_TEMPLATE: "Choose a template…",
    Remedy.MAKE_ROOM: "Make room",
    Remedy.LOAD_SAFELY: "Load with safe settings",
}


def remedy_label(remedy: Remedy) -> str:
    """The button's words; empty where there is no button."""
    return _LABELS[remedy]

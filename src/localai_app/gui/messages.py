"""Short messages for the user. They may be posted before any window exists; then they wait for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from PySide6.QtCore import QObject, Signal

from localai_app.errors import AppError, Remedy
from localai_app.gui.remedies import remedy_label


class MessageKind(StrEnum):
    """How a message looks and how long it stays."""

    INFO = "info"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class UserMessage:
    """One message: what happened, what to do, and the button that does it (none if `on_button` is None)."""

    kind: MessageKind
    text: str
    advice: str = ""
    button: str = ""
    on_button: Callable[[], object] | None = None
    details: str = ""


class Messages(QObject):
    """Takes messages from anywhere in the window's thread and hands them to whoever shows them."""

    posted = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._waiting: list[UserMessage] = []
        self._has_screen = False
        self._remedies: dict[Remedy, Callable[[], object]] = {}

    def set_remedy(self, remedy: Remedy, action: Callable[[], object]) -> None:
        """Say what the button of a remedy does when the poster of an error does not say so itself."""
        self._remedies[remedy] = action

    def open_screen(self) -> None:
        """Somebody listens to `posted` now: deliver what waited."""
        self._has_screen = True
        waiting, self._waiting = self._waiting, []
        for message in waiting:
            self.posted.emit(message)

    def close_screen(self) -> None:
        """Nobody listens any more: what is posted from now on waits."""
        self._has_screen = False

    def info(self, text: str, *, button: str = "", on_button: Callable[[], object] | None = None) -> None:
        """Say that something happened, perhaps with a button (such as Undo)."""
        self._post(UserMessage(MessageKind.INFO, text, button=button, on_button=on_button))

    def error(self, error: AppError, *, on_remedy: Callable[[], object] | None = None, button: str = "") -> None:
        """Say what went wrong and what to do; without a known action for its remedy there is no button.

        `button`: other words than the remedy's for what `on_remedy` does.
        """
        action = on_remedy or self._remedies.get(error.remedy)
        words = button or remedy_label(error.remedy)
        self._post(UserMessage(
            MessageKind.ERROR, error.message, advice=error.action, button=words if action else "", on_button=action,
            details=error_details(error)))

    def _post(self, message: UserMessage) -> None:
        if self._has_screen:
            self.posted.emit(message)
        else:
            self._waiting.append(message)


def error_details(error: AppError) -> str:
    """Everything about an error as text to copy into a report."""
    lines = [f"{error.message} {error.action}", f"Code: {error.code}"]
    if error.detail:
        lines += ["", error.detail]
    return "\n".join(lines)

"""The application object, which hears what the system wants opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QEvent
from PySide6.QtGui import QFileOpenEvent
from PySide6.QtWidgets import QApplication


class Application(QApplication):
    """On macOS the file or link that somebody clicks comes as an event to the program that runs, and not as an argument."""

    def __init__(self, arguments: Sequence[str]) -> None:
        super().__init__(list(arguments))
        self._opener: Callable[[str], None] | None = None
        self._waiting: list[str] = []

    def set_opener(self, opener: Callable[[str], None]) -> None:
        """Who opens a file's path or a link from now on; gets at once what came before."""
        self._opener = opener
        waiting, self._waiting = self._waiting, []
        for target in waiting:
            opener(target)

    def event(self, event: QEvent) -> bool:
        """Take the requests to open something out of all that happens."""
        if not isinstance(event, QFileOpenEvent):
            return super().event(event)
        target = event.file() or event.url().toString()
        if self._opener is None:
            self._waiting.append(target)
        else:
            self._opener(target)
        return True

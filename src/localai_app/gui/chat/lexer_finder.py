"""Finds lexers off the GUI thread: importing Pygments and a lexer can take 50 ms."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from localai_app.gui.chat.highlighting import find_lexer
from localai_app.gui.tasks import run_in_background

if TYPE_CHECKING:
    from pygments.lexer import Lexer


class LexerFinder(QObject):
    """Remembers the lexer of each language; asked from the GUI thread only."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._known: dict[str, Lexer | None] = {}
        self._waiting: dict[str, list[Callable[[Lexer], None]]] = {}

    def prepare(self, language: str) -> None:
        """Begin to look for a lexer that will be asked for soon."""
        if language and language not in self._known and language not in self._waiting:
            self._waiting[language] = []
            run_in_background(
                self, lambda: find_lexer(language), lambda lexer: self._on_found(language, lexer),
                lambda _error: self._on_found(language, None))

    def find(self, language: str, receiver: QObject, on_found: Callable[[Lexer], None]) -> None:
        """Call `on_found` with the lexer, at once if it is known; never for unknown languages or after `receiver` is gone."""
        self.prepare(language)
        if language in self._known:
            lexer = self._known[language]
            if lexer is not None:
                on_found(lexer)
            return
        waiting = self._waiting[language]
        waiting.append(on_found)
        receiver.destroyed.connect(lambda: waiting.remove(on_found) if on_found in waiting else None)

    def _on_found(self, language: str, lexer: Lexer | None) -> None:
        self._known[language] = lexer
        waiting = self._waiting.pop(language, [])
        if lexer is not None:
            for on_found in tuple(waiting):
                on_found(lexer)
        waiting.clear()

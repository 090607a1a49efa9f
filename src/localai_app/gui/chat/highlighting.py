"""Colours for finished code: lexed by Pygments in short slices, so that no long block stops the window."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer
from PySide6.QtGui import QColor, QTextBlock, QTextCharFormat, QTextDocument, QTextLayout

from localai_app.gui.theme import Palette, ThemeState

if TYPE_CHECKING:
    from pygments.lexer import Lexer

MAX_CHARACTERS = 200_000
"""Longer code stays plain."""
SLICE_S = 0.004
"""How long one slice of work may keep the window."""

_BEYOND_16_BITS = re.compile("[\U00010000-\U0010ffff]")
"""Qt counts these characters as two."""


def find_lexer(language: str) -> Lexer | None:
    """The lexer for a language as a model names it, or None. Imports Pygments, which takes some 50 ms the first time."""
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        lexer: Lexer = get_lexer_by_name(language.strip().lower(), stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None
    return lexer


class CodeHighlighter(QObject):
    """Colours one document once; again when the theme changes."""

    def __init__(self, document: QTextDocument, theme: ThemeState) -> None:
        super().__init__(document)
        self._document = document
        self._theme = theme
        self._lexer: Lexer | None = None
        self._tokens: Iterator[tuple[int, Any, str]] = iter(())
        self._block = QTextBlock()
        self._ranges: list[QTextLayout.FormatRange] = []
        self._colors: dict[Any, QTextCharFormat | None] = {}
        self._timer = QTimer(self, interval=0)
        self._timer.timeout.connect(self._work)
        theme.changed.connect(self._restart)

    @property
    def is_working(self) -> bool:
        """Whether slices are still to come."""
        return self._timer.isActive()

    def start(self, lexer: Lexer) -> None:
        """Colour the document as it is now."""
        self._lexer = lexer
        self._restart()

    def _restart(self) -> None:
        if self._lexer is None or self._document.characterCount() > MAX_CHARACTERS:
            return
        self._colors = {}
        self._ranges = []
        self._block = self._document.begin()
        text = _BEYOND_16_BITS.sub("\ue000\ue000", self._document.toPlainText())
        self._tokens = self._lexer.get_tokens_unprocessed(text)
        self._timer.start()

    def _work(self) -> None:
        end = time.perf_counter() + SLICE_S
        for position, token, text in self._tokens:
            self._add(position, token, text)
            if time.perf_counter() > end:
                return
        self._finish_block()
        self._timer.stop()

    def _add(self, position: int, token: Any, text: str) -> None:
        """Mark one token, which may span lines."""
        char_format = self._format_of(token)
        if char_format is None:
            return
        for line in text.splitlines(keepends=True):
            while self._block.isValid() and position >= self._block.position() + self._block.length():
                self._finish_block()
                self._block = self._block.next()
            if not self._block.isValid():
                return
            entry = QTextLayout.FormatRange()
            entry.start = position - self._block.position()
            entry.length = len(line.rstrip("\n"))
            entry.format = char_format
            self._ranges.append(entry)
            position += len(line)

    def _finish_block(self) -> None:
        if self._block.isValid() and self._ranges:
            self._block.layout().setFormats(self._ranges)
            self._document.markContentsDirty(self._block.position(), self._block.length())
        self._ranges = []

    def _format_of(self, token: Any) -> QTextCharFormat | None:
        if token not in self._colors:
            color = token_color(token, self._theme.palette)
            char_format: QTextCharFormat | None = None
            if color:
                char_format = QTextCharFormat()
                char_format.setForeground(QColor(color))
            self._colors[token] = char_format
        return self._colors[token]


def token_color(token: Any, palette: Palette) -> str:
    """The colour of a kind of token, or an empty string for ordinary text; four colours are enough to read code."""
    from pygments.token import Comment, Generic, Keyword, Name, Number, Operator, String

    roles = (
        (Comment, palette.muted), (Keyword, palette.accent), (Operator.Word, palette.accent), (Name.Tag, palette.accent),
        (String, palette.good), (Number, palette.warn), (Name.Decorator, palette.warn), (Name.Attribute, palette.warn),
        (Generic.Inserted, palette.good), (Generic.Deleted, palette.bad), (Generic.Heading, palette.accent),
    )
    return next((color for kind, color in roles if token in kind), "")

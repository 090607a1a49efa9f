"""The scrolling middle of a column: thinking, the answer as Markdown, or why there is none."""

from __future__ import annotations

import math
import time

from PySide6.QtCore import Qt, QTimer, QUrl, Signal
from PySide6.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from localai_app.engine.protocol import Channel
from localai_app.gui.chat.lexer_finder import LexerFinder
from localai_app.gui.chat.markdown_view import MarkdownView
from localai_app.gui.chat.thinking_box import ThinkingBox
from localai_app.gui.metrics import SPACE_1, SPACE_2, SPACE_3, SPACE_4
from localai_app.gui.styling import label, set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.services.thinking import AnswerText

REPAINT_MS = 67
"""From the first new text on, so twelve to fifteen times a second: up to six columns stream at once."""
REPAINT_SHARE = 12
"""A repaint that took longer makes the next one wait this many times as long: six columns leave half of the time free."""
LONGEST_MS = 400
"""But never as long as this: the first repaint of all imports what it needs."""
AT_END = 8
"""Pixels from the end within which a reader is taken to follow the text."""


class AnswerBody(QScrollArea):
    """Takes text as it comes and shows it at its own pace. `scrolled_by_hand`: the place, from 0 to 1."""

    link_clicked = Signal(QUrl)
    scrolled_by_hand = Signal(float)
    repainted = Signal()

    def __init__(self, theme: ThemeState, lexers: LexerFinder, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._parts = AnswerText()
        self._waiting: list[tuple[Channel, str]] = []
        self._thought_s: float | None = None
        self._is_streaming = False
        self._timer = QTimer(self, singleShot=True, timerType=Qt.TimerType.PreciseTimer)
        self._pause_ms = REPAINT_MS
        self._repainted_s = 0.0
        self._timer.timeout.connect(self.repaint_now)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.note = label("", "muted", wrap=True)
        self.error = label("", "text-bad", wrap=True, selectable=True)
        self.thinking = ThinkingBox(theme)
        self.markdown = MarkdownView(theme, lexers)
        self.markdown.link_clicked.connect(self.link_clicked)
        content = set_role(QWidget(), "panel")
        column = QVBoxLayout(content)
        set_spacing(column, SPACE_2, (SPACE_4, SPACE_3, SPACE_4, SPACE_3))
        for part in (self.note, self.error, self.thinking, self.markdown):
            column.addWidget(part)
            part.hide()
        column.addStretch(1)
        column.setSpacing(SPACE_1 + SPACE_2)
        self.setWidget(content)
        bar = self.verticalScrollBar()
        bar.actionTriggered.connect(self._on_scrolled_by_hand)
        bar.rangeChanged.connect(self._on_range_changed)
        self._follows = True
        bar.valueChanged.connect(self._on_value_changed)

    @property
    def answer(self) -> str:
        """The whole answer without its thinking, also what waits to be shown."""
        return self._parts.answer

    def show_note(self, words: str) -> None:
        """Say why there is no text yet; empty: nothing."""
        self.note.setText(words)
        self.note.setVisible(bool(words))

    def show_error(self, words: str) -> None:
        """Say why there is no answer, and what to do; empty: nothing is wrong."""
        self.error.setText(words)
        self.error.setVisible(bool(words))

    def show_text(self, parts: AnswerText, *, is_final: bool, thought_s: float | None = None) -> None:
        """Show a text from its beginning, unless it is what is shown already."""
        self._thought_s = thought_s or None
        is_same = (parts.thinking.strip(), parts.answer) == (self._parts.thinking.strip(), self._parts.answer)
        if is_same and is_final:
            self.repaint_now()
            self.markdown.finish()
        elif not is_same or not self._is_streaming:
            self._waiting.clear()
            self._follows = not is_final
            self.thinking.set_text(parts.thinking)
            self.markdown.set_text(parts.answer, is_final=is_final)
        self._parts = AnswerText(parts.thinking, parts.answer, is_open=parts.is_open)
        self._is_streaming = not is_final
        if is_final:
            self._timer.stop()
        self._show_parts()

    def append(self, channel: Channel, text: str, *, takes_back: bool = False, thought_s: float | None = None) -> None:
        """Add streaming text."""
        self._is_streaming = True
        self._thought_s = thought_s or self._thought_s
        self._parts.add(channel, text, takes_back=takes_back)
        if takes_back:
            self._waiting.clear()
            self.thinking.set_text(self._parts.thinking)
            self.markdown.set_text(self._parts.answer, is_final=False)
        else:
            self._waiting.append((channel, text))
        if not self._timer.isActive():
            # The time since the last repaint counts, so that waiting for the next token does not slow the pace down.
            since_ms = (time.perf_counter() - self._repainted_s) * 1000
            self._timer.start(max(0, math.ceil(self._pause_ms - since_ms)))

    def repaint_now(self) -> None:
        """Show what came since the last time."""
        self._timer.stop()
        self._repainted_s = started_s = time.perf_counter()
        waiting, self._waiting = self._waiting, []
        thought = "".join(text for channel, text in waiting if channel is Channel.THINKING)
        said = "".join(text for channel, text in waiting if channel is not Channel.THINKING)
        if thought:
            self.thinking.append(thought)
            self.thinking.flush()
        if said:
            self.markdown.append(said)
            self.markdown.flush()
        self._show_parts()
        self.repainted.emit()
        cost_ms = (time.perf_counter() - started_s) * 1000
        self._pause_ms = min(LONGEST_MS, max(REPAINT_MS, round(cost_ms * REPAINT_SHARE)))

    def scroll_to(self, place: float) -> None:
        """Show the same part of the text as another column, from 0 (its beginning) to 1 (its end)."""
        bar = self.verticalScrollBar()
        bar.setValue(round(place * bar.maximum()))

    def _show_parts(self) -> None:
        thought = self._parts.thinking.strip()
        self.thinking.setVisible(bool(thought))
        if thought and self._is_streaming and self._parts.is_open:
            self.thinking.show_running(self._thought_s)
        elif thought:
            self.thinking.show_ended(self._thought_s, is_complete=not self._parts.is_open)
        self.markdown.setVisible(bool(self._parts.answer))

    def _on_scrolled_by_hand(self, _action: int) -> None:
        bar = self.verticalScrollBar()
        if bar.maximum() > 0:
            self.scrolled_by_hand.emit(bar.sliderPosition() / bar.maximum())

    def _on_value_changed(self, value: int) -> None:
        self._follows = value >= self.verticalScrollBar().maximum() - AT_END

    def _on_range_changed(self, _minimum: int, maximum: int) -> None:
        """A reader who is at the end of a text that grows stays there."""
        if self._is_streaming and self._follows:
            self.verticalScrollBar().setValue(maximum)

"""One message of the transcript: what the user said, or an answer."""

from __future__ import annotations

from html import escape

import msgspec
from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import QGuiApplication, QResizeEvent
from PySide6.QtWidgets import QFrame, QSizePolicy, QVBoxLayout, QWidget

from localai_app.engine.protocol import Channel, FinishReason
from localai_app.gui import metrics
from localai_app.gui.chat.answer_asides import AnswerAsides
from localai_app.gui.chat.answer_footer import AnswerFooter
from localai_app.gui.chat.history_mark import HistoryMark, place_mark
from localai_app.gui.chat.interruption import Interruption
from localai_app.gui.chat.lexer_finder import LexerFinder
from localai_app.gui.chat.markdown_view import MarkdownView
from localai_app.gui.chat.plain_text import harmless
from localai_app.gui.chat.quiet_button import QuietButton
from localai_app.gui.chat.rich_text import RichTextView
from localai_app.gui.chat.thinking_box import ThinkingBox
from localai_app.gui.chat.tool_call_box import ToolCallBox
from localai_app.gui.styling import label, set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.services.events import AnswerProgressed
from localai_app.services.thinking import AnswerText, parts_of
from localai_app.store.records import Message, MessageState
from localai_app.units import format_count

FOLDED_CHARACTERS = 4_000
SHOWN_CHARACTERS = 60_000
BUBBLE_SHARE = 0.85
"""Widest bubble as a share of the column."""
BUBBLE_PADDING = metrics.SPACE_4


class QuestionView(QWidget):
    """What the user said, at the right, in a bubble no wider than its text."""

    retry_requested = Signal()

    def __init__(self, message: Message, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.message = message
        self._bubble = set_role(QFrame(self), "bubble")
        self._text = RichTextView(theme, self._bubble)
        self._text.setAccessibleName("You said")
        self._more = QuietButton("", "", theme, self._bubble)
        self._more.clicked.connect(self._show_all)
        inside = QVBoxLayout(self._bubble)
        set_spacing(inside, metrics.SPACE_1, (BUBBLE_PADDING, 10, BUBBLE_PADDING, 10))
        inside.addWidget(self._text)
        inside.addWidget(self._more, 0, Qt.AlignmentFlag.AlignLeft)
        self._retry = QuietButton("Answer this question", "retry", theme)
        self._retry.clicked.connect(self.retry_requested)
        self._retry.hide()
        self._mark: HistoryMark | None = None
        self._column = QVBoxLayout(self)
        set_spacing(self._column, metrics.SPACE_1)
        self._column.addWidget(self._bubble, 0, Qt.AlignmentFlag.AlignRight)
        self._column.addWidget(self._retry, 0, Qt.AlignmentFlag.AlignRight)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        n_characters = len(message.text)
        self._more.setVisible(n_characters > FOLDED_CHARACTERS)
        self._more.setText(f"Show more of {format_count(n_characters)} characters")
        self._show(message.text[:FOLDED_CHARACTERS] + ("…" if n_characters > FOLDED_CHARACTERS else ""))

    @property
    def shown_text(self) -> str:
        """The text in the bubble."""
        return str(self._text.toPlainText())

    @property
    def mark_words(self) -> str:
        """What is said above the message of the full context; empty if nothing is."""
        return self._mark.words if self._mark is not None else ""

    def show_mark(self, words: str) -> None:
        """Say above the message where the history was cut; empty: it was not cut here."""
        self._mark = place_mark(self._column, self._mark, words)

    def set_retry_visible(self, is_visible: bool) -> None:
        """Offer to answer this question, because nothing does."""
        self._retry.setVisible(is_visible)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """A new width makes a new bubble."""
        super().resizeEvent(event)
        self._fit_width()

    def _show(self, text: str) -> None:
        self._text.show_html(f'<p class="said">{escape(harmless(text), quote=False)}</p>')
        self._natural_width = self._measure()
        self._fit_width()

    def _show_all(self) -> None:
        rest = len(self.message.text) - SHOWN_CHARACTERS
        note = f"\n\n… {format_count(rest)} more characters" if rest > 0 else ""
        self._show(self.message.text[:SHOWN_CHARACTERS] + note)
        self._more.hide()

    def _measure(self) -> int:
        """How wide the text would be on lines of its own."""
        document = self._text.document().clone()
        document.setTextWidth(-1)
        return round(document.idealWidth() + 1.5)

    def _fit_width(self) -> None:
        widest = max(120, round(self.width() * BUBBLE_SHARE))
        self._bubble.setFixedWidth(min(self._natural_width + 2 * BUBBLE_PADDING, widest))


class AnswerView(QWidget):
    """An answer: thinking, Markdown, what went wrong, figures."""

    link_clicked = Signal(QUrl)
    retry_requested = Signal()
    continue_requested = Signal()
    why_slow_requested = Signal()

    def __init__(self, message: Message, theme: ThemeState, lexers: LexerFinder, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.message = message
        self._parts = AnswerText()
        self._thought_s: float | None = None
        self._markdown = MarkdownView(theme, lexers, self)
        self._markdown.link_clicked.connect(self.link_clicked)
        self._waiting = label("…", "muted")
        self._waiting.setAccessibleName("The answer has not begun")
        self._interruption = Interruption(theme, self)
        self._interruption.retry_requested.connect(self.retry_requested)
        self._interruption.hide()
        self._footer = AnswerFooter(theme, self)
        self._footer.copy_requested.connect(self.copy_answer)
        self._footer.retry_requested.connect(self.retry_requested)
        self._footer.continue_requested.connect(self.continue_requested)
        self._footer.why_slow_requested.connect(self.why_slow_requested)
        self._context_used = 0
        self._is_last = self._can_outgrow = False
        self._mark: HistoryMark | None = None
        self._column = QVBoxLayout(self)
        set_spacing(self._column, metrics.SPACE_3)
        for widget in (self._waiting, self._markdown, self._interruption, self._footer):
            self._column.addWidget(widget)
        self._asides = AnswerAsides(self._column, theme, self._waiting, self._interruption)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.show_message(message)

    @property
    def markdown(self) -> MarkdownView:
        """The rendered answer."""
        return self._markdown

    @property
    def thinking(self) -> ThinkingBox | None:
        """The folded thinking, if there is any."""
        return self._asides.thinking

    @property
    def calls(self) -> tuple[ToolCallBox, ...]:
        """The tools that the answer asks for."""
        return tuple(self._asides.calls)

    @property
    def footer(self) -> AnswerFooter:
        """Figures and actions."""
        return self._footer

    @property
    def interruption(self) -> Interruption:
        """What went wrong; hidden if nothing did."""
        return self._interruption

    @property
    def is_interrupted(self) -> bool:
        """Whether the answer was cut off by a failure."""
        return self.message.state is MessageState.INTERRUPTED

    @property
    def filled_context(self) -> bool:
        """Whether the answer ended because the context was full."""
        stats = self.message.stats
        return self.message.state is MessageState.DONE and stats is not None and (
            stats.finish_reason == FinishReason.CONTEXT.value)

    @property
    def context_used(self) -> int:
        """Tokens of the context that the chat takes with this answer; 0 while unknown."""
        return self._context_used

    def show_message(self, message: Message) -> None:
        """Show a message as stored: from scratch if its text is not what has streamed."""
        is_streaming = message.state is MessageState.STREAMING
        parts = parts_of(message)
        has_streamed = bool(self._parts.thinking or self._parts.answer)
        is_same = has_streamed and (parts.thinking, parts.answer) == (self._parts.thinking.strip(), self._parts.answer)
        self.message, self._parts = message, parts
        if not is_same:
            self._show_parts(is_final=not is_streaming)
        elif not is_streaming:
            self._markdown.finish()
        if message.stats is not None and message.stats.thinking_s:
            self._thought_s = message.stats.thinking_s
        self._show_thinking()
        self._asides.show_calls(message.tool_calls)
        self._waiting.setVisible(is_streaming and not (parts.answer or parts.thinking))
        self._interruption.setVisible(message.state is MessageState.INTERRUPTED)
        if message.state is MessageState.INTERRUPTED:
            self._interruption.show_error(message.error, has_text=bool((parts.thinking + parts.answer).strip()))
        if message.stats is not None:
            self._context_used = message.stats.context_used
        self._footer.show_final(message.stats, message.state, message.cut)
        self._update_actions()

    def append(self, event: AnswerProgressed) -> None:
        """Add streaming text, also to an answer that had ended."""
        parts = self._parts
        if self.message.state is not MessageState.STREAMING:
            self._show_parts(is_final=False)
        parts.add(event.channel, event.text, takes_back=event.takes_back)
        self.message = msgspec.structs.replace(
            self.message, text=parts.answer, thinking=parts.thinking, state=MessageState.STREAMING)
        self._waiting.hide()
        self._interruption.hide()
        self._thought_s = event.stats.thinking_s or None
        if event.takes_back:
            self._show_parts(is_final=False)
        elif event.channel is Channel.THINKING:
            self._asides.add_thinking(event.text)
        elif event.channel is Channel.ANSWER:
            self._markdown.show()
            self._markdown.append(event.text)
        else:
            self._asides.add_call_text(event.text)
        self._show_thinking()
        self._context_used = event.stats.context_used
        self._footer.show_live(event.stats)
        self._update_actions()

    def set_last(self, is_last: bool) -> None:
        """Only the last answer can be asked for again."""
        self._is_last = is_last
        self._interruption.set_retry_visible(is_last)
        self._update_actions()

    @property
    def mark_words(self) -> str:
        """What is said above the message of the full context; empty if nothing is."""
        return self._mark.words if self._mark is not None else ""

    def show_mark(self, words: str) -> None:
        """Say above the message where the history was cut; empty: it was not cut here."""
        self._mark = place_mark(self._column, self._mark, words)

    def set_can_outgrow(self, can_outgrow: bool) -> None:
        """Whether the answer can go on where it filled the context."""
        if can_outgrow != self._can_outgrow:
            self._can_outgrow = can_outgrow
            self._update_actions()

    def copy_answer(self) -> None:
        """Put the answer without its thinking on the clipboard, as Markdown."""
        QGuiApplication.clipboard().setText(self._parts.answer.strip())
        self._footer.confirm_copied()

    def _show_parts(self, *, is_final: bool) -> None:
        """Show all of the text anew."""
        parts = self._parts
        self._asides.set_thinking(parts.thinking)
        self._markdown.setVisible(bool(parts.answer))
        self._markdown.set_text(parts.answer, is_final=is_final)

    def _show_thinking(self) -> None:
        is_open = self._parts.is_open
        self._asides.show_state(
            self._thought_s, is_running=is_open and self.message.state is MessageState.STREAMING, is_complete=not is_open)

    def _update_actions(self) -> None:
        is_streaming = self.message.state is MessageState.STREAMING
        is_interrupted = self.message.state is MessageState.INTERRUPTED
        self._footer.set_actions_visible(
            can_copy=not is_streaming and bool(self._parts.answer),
            can_retry=not is_streaming and self._is_last and not is_interrupted,
            can_continue=not is_streaming and self._is_last and self._can_outgrow and self.filled_context)

"""Markdown that may still be streaming: finished segments stay as they are, only the tail is replaced."""

from __future__ import annotations

import time

from PySide6.QtCore import QEvent, QSize, QTimer, QUrl, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from localai_app.gui.chat.code_block import CodeBlock
from localai_app.gui.chat.lexer_finder import LexerFinder
from localai_app.gui.chat.markdown_html import CodePart, Part
from localai_app.gui.chat.markdown_stream import MarkdownStream
from localai_app.gui.chat.rich_text import LIST_INDENT, PARAGRAPH_GAP, RichTextView
from localai_app.gui.chat.segments import extended
from localai_app.gui.theme import ThemeState

FLUSH_INTERVAL_MS = 33
FLUSH_SHARE = 4
"""A flush that took longer makes the next one wait this many times as long, so that three quarters of the time stay free."""

SegmentWidget = RichTextView | CodeBlock


class MarkdownView(QWidget):
    """A column of segment widgets. `link_clicked` carries the address of a pressed link."""

    link_clicked = Signal(QUrl)

    def __init__(self, theme: ThemeState, lexers: LexerFinder, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._lexers = lexers
        self._stream = MarkdownStream()
        self._segments: list[Part] = []
        self._tail: list[Part] = []
        self._widgets: list[SegmentWidget] = []
        self._timer = QTimer(self, singleShot=True, interval=FLUSH_INTERVAL_MS)
        self._timer.timeout.connect(self.flush)
        self._indents: dict[SegmentWidget, int] = {}
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    @property
    def segments(self) -> tuple[Part, ...]:
        """What is shown and final."""
        return tuple(self._segments)

    @property
    def widgets(self) -> tuple[SegmentWidget, ...]:
        """The widgets in order, the tail included."""
        return tuple(self._widgets)

    @property
    def is_flush_due(self) -> bool:
        """Whether text waits to be shown."""
        return self._timer.isActive()

    def set_text(self, text: str, *, is_final: bool = True) -> None:
        """Show another text from scratch."""
        self._timer.stop()
        self._stream = MarkdownStream()
        self._segments, self._tail = [], []
        self._stream.feed(text)
        self._advance(is_final=is_final)

    def append(self, text: str) -> None:
        """Add streaming text; it is shown with the next flush."""
        self._stream.feed(text)
        if not self._timer.isActive():
            self._timer.start()

    def flush(self) -> None:
        """Show what came since the last time."""
        self._timer.stop()
        started_s = time.perf_counter()
        self._advance(is_final=False)
        cost_ms = (time.perf_counter() - started_s) * 1000
        self._timer.setInterval(max(FLUSH_INTERVAL_MS, round(cost_ms * FLUSH_SHARE)))

    def finish(self) -> None:
        """The text is complete."""
        self._timer.stop()
        self._advance(is_final=True)

    def sizeHint(self) -> QSize:
        """As wide as it may be."""
        return QSize(200, self.minimumHeight())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """A new width makes new heights."""
        super().resizeEvent(event)
        self._arrange()

    def event(self, event: QEvent) -> bool:
        """A widget inside has another height."""
        if event.type() == QEvent.Type.LayoutRequest:
            self._arrange()
        return bool(super().event(event))

    def _advance(self, *, is_final: bool) -> None:
        n_settled = max(0, len(self._segments) - 1)
        self._segments = extended(self._segments, self._stream.advance(is_final=is_final))
        self._tail = [] if is_final else self._stream.tail()
        shown = [*self._segments, *self._tail]
        for index in range(n_settled, len(shown)):
            self._show(index, shown[index], is_finished=index < len(self._segments))
        while len(self._widgets) > len(shown):
            widget = self._widgets.pop()
            self._indents.pop(widget)
            _discard(widget)
        self._arrange()

    def _show(self, index: int, part: Part, *, is_finished: bool) -> None:
        widget = self._widgets[index] if index < len(self._widgets) else None
        if isinstance(part, CodePart):
            code_block = widget if isinstance(widget, CodeBlock) else CodeBlock(self._theme, self._lexers, self)
            self._put(index, code_block, part.indent)
            code_block.show_code(part.code, part.language, is_finished=is_finished)
        else:
            text = widget if isinstance(widget, RichTextView) else self._new_text()
            self._put(index, text, part.indent)
            text.show_html(part.html)

    def _put(self, index: int, widget: SegmentWidget, indent: int) -> None:
        """Place a widget at `index`, in place of one of the other kind."""
        if index == len(self._widgets):
            self._widgets.append(widget)
        elif self._widgets[index] is not widget:
            self._indents.pop(self._widgets[index])
            _discard(self._widgets[index])
            self._widgets[index] = widget
        self._indents[widget] = indent * LIST_INDENT
        widget.setVisible(True)

    def _arrange(self) -> None:
        """Stack the widgets; each finds its height once it has its width."""
        top = 0
        for widget in self._widgets:
            left = self._indents[widget]
            width = max(1, self.width() - left)
            if widget.width() != width:
                widget.resize(width, widget.height())
            height = widget.sizeHint().height()
            widget.setGeometry(left, top, width, height)
            top += height + PARAGRAPH_GAP
        height = max(0, top - PARAGRAPH_GAP)
        if self.minimumHeight() != height or self.maximumHeight() != height:
            self.setFixedHeight(height)

    def _new_text(self) -> RichTextView:
        view = RichTextView(self._theme, self)
        view.anchorClicked.connect(self.link_clicked)
        return view




def _discard(widget: SegmentWidget) -> None:
    widget.hide()
    widget.deleteLater()

"""What stands beside an answer without being it: its thinking above, the tools that it asks for below."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QVBoxLayout, QWidget

from localai_app.gui.chat.thinking_box import ThinkingBox
from localai_app.gui.chat.tool_call_box import ToolCallBox
from localai_app.gui.theme import ThemeState
from localai_app.store.records import CallRecord


class AnswerAsides:
    """Builds each part when there is something to show. The thinking stands before the widget `below`, calls before `end`."""

    def __init__(self, column: QVBoxLayout, theme: ThemeState, below: QWidget, end: QWidget) -> None:
        self._column = column
        self._theme = theme
        self._answer, self._end = below, end
        self.thinking: ThinkingBox | None = None
        self.calls: list[ToolCallBox] = []

    def set_thinking(self, text: str) -> None:
        """Show all of the thinking anew; nothing where there is none."""
        if text:
            self._thinking_box().set_text(text)

    def add_thinking(self, text: str) -> None:
        """Add streaming thinking."""
        self._thinking_box().append(text)

    def show_state(self, seconds: float | None, *, is_running: bool, is_complete: bool) -> None:
        """Say whether the model still thinks, and how long it thought (None: nobody measured it)."""
        if self.thinking is None:
            return
        if is_running:
            self.thinking.show_running(seconds)
        else:
            self.thinking.show_ended(seconds, is_complete=is_complete)

    def add_call_text(self, text: str) -> None:
        """Add what the model writes of a call that is not complete."""
        self._call_box(0).append(text)

    def show_calls(self, calls: Sequence[CallRecord]) -> None:
        """Show complete calls."""
        for index, call in enumerate(calls):
            self._call_box(index).show_call(call)

    def _thinking_box(self) -> ThinkingBox:
        if self.thinking is None:
            self.thinking = ThinkingBox(self._theme, self._answer.parentWidget())
            self._column.insertWidget(self._column.indexOf(self._answer), self.thinking)
        return self.thinking

    def _call_box(self, index: int) -> ToolCallBox:
        while len(self.calls) <= index:
            box = ToolCallBox(self._theme, self._end.parentWidget())
            self.calls.append(box)
            self._column.insertWidget(self._column.indexOf(self._end), box)
        return self.calls[index]

"""A tool that an answer asks for: its name, and its arguments folded below."""

from __future__ import annotations

import msgspec
from PySide6.QtWidgets import QWidget

from localai_app.gui.chat.folded_text import FoldedText
from localai_app.gui.theme import ThemeState
from localai_app.store.records import CallRecord


class ToolCallBox(FoldedText):
    """Shows a call. Nothing runs it."""

    role = "aside-code"

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(theme, "Asking for a tool…", "Tool call", parent)
        self.setToolTip("The model asks for a tool. Local AI runs none.")

    def show_call(self, call: CallRecord) -> None:
        """A complete call, or one that could not be read, as the model wrote it."""
        self.flush()
        if call.problem:
            self.set_title(f"A tool call that cannot be read: {call.problem}")
            self.set_text(call.raw)
        else:
            self.set_title(f"Asks for the tool {call.name}")
            self.set_text(msgspec.json.format(call.arguments_json.encode(), indent=2).decode())

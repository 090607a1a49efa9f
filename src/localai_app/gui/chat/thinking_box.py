"""The folded thinking of an answer: one line that opens to the whole text."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from localai_app.gui.chat.folded_text import FoldedText
from localai_app.gui.theme import ThemeState
from localai_app.units import format_duration

SHOWN_FROM_S = 1.0
"""A running time below this would only flicker."""


class ThinkingBox(FoldedText):
    """Shows what a model thought. Its text is plain: it is not the answer."""

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(theme, "Thinking…", "Thinking", parent)

    def show_running(self, seconds: float | None = None) -> None:
        """The model still thinks."""
        so_far = f" {seconds:.0f} s" if seconds is not None and seconds >= SHOWN_FROM_S else ""
        self.set_title(f"Thinking…{so_far}")

    def show_ended(self, seconds: float | None, *, is_complete: bool = True) -> None:
        """The thinking is over; `seconds` None if nobody measured it."""
        self.flush()
        if not is_complete:
            self.set_title("Thinking, cut off")
        else:
            self.set_title(f"Thought for {format_duration(seconds)}" if seconds is not None else "Thoughts")

"""Turns to another prompt or repeat of a comparison."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QWidget

from localai_app.gui.metrics import SPACE_1, SPACE_3
from localai_app.gui.styling import icon_button, label, set_compact, set_spacing
from localai_app.gui.theme import ThemeState


class PlacePager(QWidget):
    """`turned` has the prompt and the repeat, both from 0 on. Hidden where there is only one answer of each."""

    turned = Signal(int, int)

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._place, self._counts = (0, 0), (1, 1)
        self.prompts, self.repeats = _Turner("prompt", theme), _Turner("repeat", theme)
        self.prompts.stepped.connect(lambda step: self._turn(step, 0))
        self.repeats.stepped.connect(lambda step: self._turn(0, step))
        row = QHBoxLayout(self)
        set_spacing(row, SPACE_3)
        row.addWidget(self.prompts)
        row.addWidget(self.repeats)

    def show_place(self, prompt: int, n_prompts: int, repeat: int, n_repeats: int) -> None:
        """Where the answers on screen stand."""
        self._place, self._counts = (prompt, repeat), (n_prompts, n_repeats)
        self.prompts.show_place(prompt, n_prompts)
        self.repeats.show_place(repeat, n_repeats)
        self.setVisible(n_prompts > 1 or n_repeats > 1)

    def step(self, step: int) -> None:
        """To the next answers (1) or those before (-1), through the repeats of each prompt."""
        n_repeats = self._counts[1]
        place = self._place[0] * n_repeats + self._place[1] + step
        if 0 <= place < self._counts[0] * n_repeats:
            self.turned.emit(*divmod(place, n_repeats))

    def _turn(self, prompts: int, repeats: int) -> None:
        prompt, repeat = self._place[0] + prompts, self._place[1] + repeats
        if 0 <= prompt < self._counts[0] and 0 <= repeat < self._counts[1]:
            self.turned.emit(prompt, repeat)


class _Turner(QWidget):
    """‹ prompt 3 of 20 ›"""

    stepped = Signal(int)

    def __init__(self, noun: str, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._noun = noun
        self.back = set_compact(icon_button("caret-left", f"Previous {noun}", theme, size=14))
        self.on = set_compact(icon_button("caret-right", f"Next {noun}", theme, size=14))
        self.back.clicked.connect(lambda: self.stepped.emit(-1))
        self.on.clicked.connect(lambda: self.stepped.emit(1))
        self.words = label("", "caption")
        row = QHBoxLayout(self)
        set_spacing(row, SPACE_1)
        for part in (self.back, self.words, self.on):
            row.addWidget(part)

    def show_place(self, place: int, count: int) -> None:
        self.words.setText(f"{self._noun} {place + 1} of {count}")
        self.back.setEnabled(place > 0)
        self.on.setEnabled(place < count - 1)
        self.setVisible(count > 1)

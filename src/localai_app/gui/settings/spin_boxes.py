"""Spin boxes in which any number can be typed, so that a refused one can be explained instead of swallowed."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtGui import QValidator
from PySide6.QtWidgets import QDoubleSpinBox, QSpinBox


class OpenSpinBox(QSpinBox):
    """A spin box in which any number can be typed, so that a refused one can be explained instead of swallowed."""

    refused = Signal(str)

    def validate(self, text: str, position: int) -> tuple[QValidator.State, str, int]:
        """Accept every number while it is typed."""
        state, text, position = _state_of(super().validate(text, position), text, position)
        if state is QValidator.State.Invalid and _is_number(self.cleaned(text)):
            state = QValidator.State.Intermediate
        return state, text, position

    def fixup(self, text: str) -> str:
        """Called when a number out of range is left: tell it, and go back."""
        if _is_number(self.cleaned(text)):
            self.refused.emit(self.cleaned(text))
        return str(super().fixup(text) or text)

    def cleaned(self, text: str) -> str:
        """The number in a text with its unit."""
        return text.removesuffix(self.suffix()).replace(",", "").strip()


class OpenDoubleSpinBox(QDoubleSpinBox):
    """The same for numbers with decimals."""

    refused = Signal(str)

    def validate(self, text: str, position: int) -> tuple[QValidator.State, str, int]:
        """Accept every number while it is typed."""
        state, text, position = _state_of(super().validate(text, position), text, position)
        if state is QValidator.State.Invalid and _is_number(self.cleaned(text)):
            state = QValidator.State.Intermediate
        return state, text, position

    def fixup(self, text: str) -> str:
        """Called when a number out of range is left: tell it, and go back."""
        if _is_number(self.cleaned(text)):
            self.refused.emit(self.cleaned(text))
        return str(super().fixup(text) or text)

    def cleaned(self, text: str) -> str:
        """The number in a text with its unit."""
        return text.removesuffix(self.suffix()).strip()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _state_of(result: object, text: str, position: int) -> tuple[QValidator.State, str, int]:
    """Qt's answer in one form: the binding returns a state alone or with the text and the position."""
    if isinstance(result, tuple):
        return result[0], str(result[1]) if len(result) > 1 else text, int(result[2]) if len(result) > 2 else position
    assert isinstance(result, QValidator.State)
    return result, text, position

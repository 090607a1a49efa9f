"""A number of layers or blocks, or automatic."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from localai_app.gui.metrics import SPACE_1, SPACE_2
from localai_app.gui.settings.spin_boxes import OpenSpinBox
from localai_app.gui.styling import label, set_role, set_spacing, set_style_property
from localai_app.gui.widgets.wheel_guard import ignore_wheel_unless_focused

AUTOMATIC = -1
MOST = 1000
"""Where it is not known how many there are."""


class CountField(QWidget):
    """`value` None: automatic."""

    value_changed = Signal()

    def __init__(self, title: str, help_words: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.spin = OpenSpinBox()
        self.spin.setRange(AUTOMATIC, MOST)
        self.spin.setSpecialValueText("Automatic")
        self.spin.setAccessibleName(title)
        self.spin.setAccessibleDescription(help_words)
        self.spin.setToolTip(help_words)
        self.spin.setKeyboardTracking(False)
        self.spin.lineEdit().setTextMargins(SPACE_2 + 1, 0, 0, 0)
        self.spin.valueChanged.connect(lambda _value: self.value_changed.emit())
        self.spin.refused.connect(self._on_refused)
        ignore_wheel_unless_focused(self.spin)
        self._hint = label("", "caption", wrap=True)
        head = QHBoxLayout()
        set_spacing(head, SPACE_2)
        head.addWidget(label(title, "strong"))
        head.addStretch(1)
        head.addWidget(self.spin)
        layout = QVBoxLayout(self)
        set_spacing(layout, SPACE_1)
        layout.addLayout(head)
        layout.addWidget(self._hint)

    @property
    def value(self) -> int | None:
        """The number that was chosen; None: automatic."""
        return None if self.spin.value() == AUTOMATIC else self.spin.value()

    @property
    def hint(self) -> str:
        """What is said below."""
        return self._hint.text()

    def show_limit(self, most: int) -> None:
        """How many there are; 0: not known. A number beyond it that was set is kept."""
        self.spin.blockSignals(True)
        self.spin.setMaximum(max(most or MOST, self.spin.value()))
        self.spin.blockSignals(False)

    def show_value(self, value: int | None) -> None:
        """Show what is chosen, without announcing it."""
        self.spin.blockSignals(True)
        if value is not None and value > self.spin.maximum():
            self.spin.setMaximum(value)
        self.spin.setValue(AUTOMATIC if value is None else value)
        self.spin.blockSignals(False)

    def show_hint(self, words: str, *, is_out_of_reach: bool = False) -> None:
        """Say what the number means now; `is_out_of_reach`: it does not fit."""
        set_role(self._hint, "caption-warn" if is_out_of_reach else "caption")
        set_style_property(self.spin, "invalid", is_out_of_reach)
        self._hint.setText(words)
        self._hint.setVisible(bool(words))

    def _on_refused(self, _text: str) -> None:
        self.show_hint(f"Enter a number up to {self.spin.maximum()}, or leave it automatic.")

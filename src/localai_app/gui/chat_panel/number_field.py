"""One number of the sampling: its control, where its value comes from, and the way back."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from localai_app.engine.sampling import SamplingSpec
from localai_app.gui.metrics import SPACE_1, SPACE_2
from localai_app.gui.settings.spin_boxes import OpenDoubleSpinBox, OpenSpinBox
from localai_app.gui.styling import button, label, set_role, set_spacing, set_style_property
from localai_app.gui.widgets.wheel_guard import ignore_wheel_unless_focused

SPIN_WIDTH = 104


class NumberField(QWidget):
    """`value_chosen` has the key and the value; None: as it would be without this chat."""

    value_chosen = Signal(str, object)

    def __init__(self, spec: SamplingSpec, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.spec = spec
        self.spin = _spin_of(spec)
        self.spin.setAccessibleName(spec.label)
        self.spin.setAccessibleDescription(spec.help)
        self.spin.setFixedWidth(SPIN_WIDTH)
        self.spin.setKeyboardTracking(False)
        self.spin.lineEdit().setTextMargins(SPACE_2 + 1, 0, 0, 0)
        self.spin.valueChanged.connect(self._on_value_changed)
        self.spin.refused.connect(self._on_refused)
        ignore_wheel_unless_focused(self.spin)
        self._origin = label("", "caption", wrap=True)
        self.reset_button = button("Reset", "link", compact=True)
        self.reset_button.setAccessibleName(f"Reset {spec.label}")
        self.reset_button.clicked.connect(lambda: self.value_chosen.emit(self.spec.key, None))
        head, foot = QHBoxLayout(), QHBoxLayout()
        for row in (head, foot):
            set_spacing(row, SPACE_2)
        head.addWidget(label(spec.label), 1)
        head.addWidget(self.spin)
        foot.addWidget(self._origin, 1)
        foot.addWidget(self.reset_button)
        column = QVBoxLayout(self)
        set_spacing(column, SPACE_1 // 2)
        column.addLayout(head)
        column.addLayout(foot)
        self.setToolTip(spec.help)

    @property
    def origin(self) -> str:
        """What is said of where the value comes from."""
        return self._origin.text()

    def show_value(self, value: float, origin: str, *, is_own: bool, instead: float) -> None:
        """Show a value without announcing it; `instead` is what it would be without the chat's own."""
        self.spin.blockSignals(True)
        self.spin.setValue(int(value) if self.spec.is_whole else value)  # type: ignore[arg-type]
        self.spin.blockSignals(False)
        self.reset_button.setVisible(is_own)
        self.reset_button.setToolTip(f"Back to {instead:g}")
        set_role(self._origin, "caption")
        set_style_property(self.spin, "invalid", False)
        self._origin.setText(origin)

    def _on_value_changed(self, value: float) -> None:
        self.value_chosen.emit(self.spec.key, self.spec.typed(round(value, 6)))

    def _on_refused(self, _text: str) -> None:
        set_role(self._origin, "caption-bad")
        set_style_property(self.spin, "invalid", True)
        self._origin.setText(f"Choose a number from {self.spec.minimum:g} to {self.spec.maximum:g}.")


def _spin_of(spec: SamplingSpec) -> OpenSpinBox | OpenDoubleSpinBox:
    if spec.is_whole:
        whole = OpenSpinBox()
        whole.setRange(int(spec.minimum), int(spec.maximum))
        whole.setSingleStep(int(spec.step))
        spin: OpenSpinBox | OpenDoubleSpinBox = whole
    else:
        spin = OpenDoubleSpinBox()
        spin.setDecimals(2)
        spin.setRange(spec.minimum, spec.maximum)
        spin.setSingleStep(spec.step)
    if spec.off == spec.minimum:
        spin.setSpecialValueText("Off")
    return spin

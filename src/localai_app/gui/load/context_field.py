"""The length of the context as a slider and as a number, with what is known of it below."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QSlider, QVBoxLayout, QWidget

from localai_app.fit.result import FitResult, Verdict
from localai_app.gui.metrics import SPACE_1, SPACE_2
from localai_app.gui.models.context_card import SLIDER_HEIGHT, context_steps
from localai_app.gui.settings.spin_boxes import OpenSpinBox
from localai_app.gui.styling import button, label, set_role, set_spacing, set_style_property
from localai_app.gui.widgets.wheel_guard import ignore_wheel_unless_focused
from localai_app.units import format_count

SHORTEST_CTX = 256
LONGEST_CTX = 1_048_576
UNKNOWN_CTX_TRAIN = 131_072


class ContextField(QWidget):
    """`value` None: automatic, and the length that the program chose is shown."""

    value_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._value: int | None = None
        self._ctx_train = 0
        self._longest = 0
        self._steps = context_steps(UNKNOWN_CTX_TRAIN)
        self.spin = OpenSpinBox()
        self.spin.setRange(SHORTEST_CTX, LONGEST_CTX)
        self.spin.setSingleStep(1024)
        self.spin.setGroupSeparatorShown(True)
        self.spin.setSuffix(" tokens")
        self.spin.setAccessibleName("Context in tokens")
        self.spin.setKeyboardTracking(False)
        self.spin.lineEdit().setTextMargins(SPACE_2 + 1, 0, 0, 0)
        self.spin.valueChanged.connect(self._on_typed)
        self.spin.refused.connect(self._on_refused)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Context length")
        self.slider.setMinimumHeight(SLIDER_HEIGHT)
        self.slider.setPageStep(2)
        self.slider.valueChanged.connect(self._on_moved)
        for control in (self.spin, self.slider):
            ignore_wheel_unless_focused(control)
        self._hint = label("", "caption", wrap=True)
        self.longest_button = button("", "link")
        self.longest_button.clicked.connect(lambda: self._choose(self._longest))
        self.longest_button.hide()
        self._lay_out()
        self.show_limits(0)

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        set_spacing(head, SPACE_2)
        head.addWidget(label("Context", "strong"))
        head.addStretch(1)
        head.addWidget(self.spin)
        layout = QVBoxLayout(self)
        set_spacing(layout, SPACE_1)
        layout.addLayout(head)
        layout.addWidget(self.slider)
        layout.addWidget(self._hint)
        layout.addWidget(self.longest_button, alignment=Qt.AlignmentFlag.AlignLeft)

    @property
    def value(self) -> int | None:
        """Tokens that were chosen; None: automatic."""
        return self._value

    @property
    def hint(self) -> str:
        """What is said below."""
        return self._hint.text()

    def show_limits(self, ctx_train: int) -> None:
        """Offer lengths up to what the model was made for; 0: not known."""
        self._ctx_train = ctx_train
        self._steps = context_steps(ctx_train or UNKNOWN_CTX_TRAIN)
        self.slider.blockSignals(True)
        self.slider.setRange(0, len(self._steps) - 1)
        self.slider.blockSignals(False)
        self._show_number(self.spin.value())

    def show_value(self, value: int | None, default: int) -> None:
        """Show what is chosen, or what the settings ask for where nothing is; announces nothing."""
        self._value = value
        self._show_number(value if value is not None else default)

    def show_fit(self, fit: FitResult) -> None:
        """Say how much fits; while it is automatic, show the length that was chosen."""
        if self._value is None and fit.verdict is not Verdict.UNKNOWN:
            self._show_number(fit.ctx)
        self._longest = fit.max_ctx.get(fit.kv_type, 0)
        is_known = fit.verdict is not Verdict.UNKNOWN
        wanted = min(self.spin.value(), self._ctx_train or LONGEST_CTX)
        is_too_long = is_known and fit.verdict is Verdict.NO and wanted > self._longest
        set_role(self._hint, "caption-warn" if is_too_long else "caption")
        self._hint.setText(self._words(fit.verdict, is_too_long))
        self.longest_button.setText(f"Use {format_count(self._longest)} tokens")
        self.longest_button.setVisible(is_too_long and self._longest > 0)
        set_style_property(self.spin, "invalid", is_too_long and self._value is not None)

    def _words(self, verdict: Verdict, is_too_long: bool) -> str:
        trained, longest = self._ctx_train, format_count(self._longest)
        made_for = f"The model was made for up to {format_count(trained)} tokens"
        if verdict is Verdict.UNKNOWN:
            return "How much fits is not known."
        if is_too_long:
            return f"Out of reach: {longest} tokens fit now." if self._longest else "Out of reach: no length fits now."
        if trained and self.spin.value() > trained:
            return f"{made_for}; no more is reserved."
        if trained and self._longest >= trained:
            return f"{made_for}; all of them fit now."
        place = "stay on the GPU" if verdict is Verdict.GPU else "fit now"
        return f"Up to {longest} tokens {place}."

    def _choose(self, value: int) -> None:
        self._value = value
        self._show_number(value)
        self.value_changed.emit()

    def _show_number(self, value: int) -> None:
        """Both controls at one length, without announcing it; the slider stands at the step below."""
        for control in (self.spin, self.slider):
            control.blockSignals(True)
        self.spin.setValue(value)
        self.slider.setValue(max((index for index, step in enumerate(self._steps) if step <= value), default=0))
        for control in (self.spin, self.slider):
            control.blockSignals(False)
        self.slider.setAccessibleDescription(f"{format_count(value)} tokens")

    def _on_typed(self, value: int) -> None:
        self._choose(value)

    def _on_moved(self, place: int) -> None:
        self._choose(self._steps[min(place, len(self._steps) - 1)])

    def _on_refused(self, _text: str) -> None:
        self._hint.setText(f"Enter {format_count(SHORTEST_CTX)} to {format_count(LONGEST_CTX)} tokens.")

"""The context that the figures of the variants are for: its length and how finely it is kept."""

from __future__ import annotations

import msgspec
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QSlider, QVBoxLayout, QWidget

from localai_app.engine.protocol import KvType
from localai_app.fit.result import Request
from localai_app.gui.metrics import SPACE_1, SPACE_2, SPACE_4, SPACE_5, SPACE_8
from localai_app.gui.styling import combo_box, label, set_role, set_spacing
from localai_app.units import format_count

SMALLEST_CTX = 2048
SLIDER_HEIGHT = 20
KV_WORDS = {KvType.F16: "16 bit, exact (f16)", KvType.Q8_0: "8 bit, half (q8_0)", KvType.Q4_0: "4 bit, quarter (q4_0)"}


class ContextCard(QFrame):
    """Until somebody moves one of them the settings hold; `request_changed` carries the Request that was made."""

    request_changed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        set_role(self, "card")
        self._base = Request()
        self._steps: tuple[int, ...] = (SMALLEST_CTX,)
        self._wanted_ctx: int | None = None
        """What was chosen by hand; kept for the next model, even where that one cannot go as far."""
        self._kv_chosen = False
        self._value = label("", "caption-strong")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Context length")
        self.slider.setMinimumHeight(SLIDER_HEIGHT)
        self.slider.valueChanged.connect(self._on_moved)
        self.kv_box = combo_box()
        self.kv_box.setAccessibleName("Context precision")
        self.kv_box.setToolTip("How finely the context is kept: fewer bits take less memory and lose a little")
        for kv_type, words in KV_WORDS.items():
            self.kv_box.addItem(words, kv_type.value)
        self.kv_box.currentIndexChanged.connect(self._on_kv_chosen)
        self._taken = label("", "caption-strong")
        self._lay_out()

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        set_spacing(head, SPACE_2)
        head.addWidget(label("Context", "caption"))
        head.addStretch(1)
        head.addWidget(self._value)
        left = QVBoxLayout()
        set_spacing(left, SPACE_2)
        left.addLayout(head)
        left.addWidget(self.slider)
        left.addStretch(1)
        memory = QHBoxLayout()
        set_spacing(memory, SPACE_2)
        memory.addWidget(label("Context memory", "caption"))
        memory.addStretch(1)
        memory.addWidget(self._taken)
        right = QVBoxLayout()
        set_spacing(right, SPACE_1)
        right.addLayout(memory)
        right.addWidget(self.kv_box)
        layout = QHBoxLayout(self)
        set_spacing(layout, SPACE_8, (SPACE_5, SPACE_4, SPACE_5, SPACE_4))
        layout.addLayout(left, 1)
        layout.addLayout(right)

    @property
    def request(self) -> Request | None:
        """What was asked for by hand; None while the settings hold."""
        if self._wanted_ctx is None and not self._kv_chosen:
            return None
        ctx = self._ctx() if self._wanted_ctx is not None else None
        return msgspec.structs.replace(self._base, ctx=ctx, kv_type=KvType(self.kv_box.currentData()))

    def show_limits(self, base: Request, ctx_train: int) -> None:
        """Offer contexts up to what the model was trained for; `base` is what the settings ask for."""
        self._base = base
        self._steps = context_steps(ctx_train)
        wanted = self._wanted_ctx or base.ctx or base.default_ctx
        self.slider.blockSignals(True)
        self.slider.setRange(0, len(self._steps) - 1)
        self.slider.setPageStep(2)
        self.slider.setValue(max(index for index, step in enumerate(self._steps) if step <= max(wanted, self._steps[0])))
        self.slider.blockSignals(False)
        if not self._kv_chosen:
            self.kv_box.blockSignals(True)
            self.kv_box.setCurrentIndex(max(0, self.kv_box.findData(base.kv_type.value)))
            self.kv_box.blockSignals(False)
        self._say_value(self._ctx())

    def show_taken(self, words: str, ctx: int | None = None) -> None:
        """Say how much memory the context takes in the chosen variant, and its length where the program chose it."""
        self._taken.setText(words)
        if ctx is not None and self._wanted_ctx is None:
            self._say_value(ctx)

    def _ctx(self) -> int:
        return self._steps[min(self.slider.value(), len(self._steps) - 1)]

    def _say_value(self, ctx: int) -> None:
        words = f"{format_count(ctx)} tokens"
        self._value.setText(words)
        self.slider.setAccessibleDescription(words)

    def _on_moved(self, _value: int) -> None:
        self._wanted_ctx = self._ctx()
        self._say_value(self._wanted_ctx)
        self.request_changed.emit(self.request)

    def _on_kv_chosen(self, _index: int) -> None:
        self._kv_chosen = True
        self.request_changed.emit(self.request)


def context_steps(ctx_train: int) -> tuple[int, ...]:
    """Lengths to offer: powers of two and the middles between them, up to the trained context, which is always one of them."""
    if ctx_train <= SMALLEST_CTX:
        return (max(1, ctx_train),)
    steps = []
    step = SMALLEST_CTX
    while step < ctx_train:
        steps.append(step)
        if step * 3 // 2 < ctx_train:
            steps.append(step * 3 // 2)
        step *= 2
    return (*steps, ctx_train)

"""How several GPUs share a model: the one to use alone, and the parts of the layers."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from localai_app.gui.metrics import SPACE_1, SPACE_2
from localai_app.gui.styling import combo_box, label, set_spacing, set_style_property
from localai_app.gui.widgets.gauge import short_gpu_name
from localai_app.gui.widgets.wheel_guard import ignore_wheel_unless_focused
from localai_app.services.load_previews import LoadGpu
from localai_app.services.load_settings import parse_parts, split_words

MAIN_HELP = "The GPU that is used alone where the model fits on it"
PARTS_HELP = "How the GPUs share the layers, in the order above: 3, 1 gives the first one three times as many"
HINT = "A number for each GPU, such as {example}; empty shares them as fits best."


class SharedLayers(QWidget):
    """Shown where there are two GPUs or more."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._count = 0
        self.main_box = combo_box()
        self.main_box.setAccessibleName("Main GPU")
        self.main_box.setToolTip(MAIN_HELP)
        self.main_box.activated.connect(lambda _index: self.changed.emit())
        ignore_wheel_unless_focused(self.main_box)
        self.parts = QLineEdit()
        self.parts.setAccessibleName("Layers for each GPU")
        self.parts.setAccessibleDescription(PARTS_HELP)
        self.parts.setToolTip(PARTS_HELP)
        self.parts.setPlaceholderText("Automatic")
        self.parts.editingFinished.connect(self._on_parts_edited)
        self._hint = label("", "caption", wrap=True)
        self._last: tuple[float, ...] = ()
        layout = QVBoxLayout(self)
        set_spacing(layout, SPACE_2)
        for title, control in (("Main GPU", self.main_box), ("Layers for each GPU", self.parts)):
            row = QHBoxLayout()
            set_spacing(row, SPACE_2)
            row.addWidget(label(title, "strong"))
            row.addStretch(1)
            row.addWidget(control)
            layout.addLayout(row)
        layout.addSpacing(SPACE_1)
        layout.addWidget(self._hint)

    @property
    def main_device(self) -> str:
        """The GPU that was chosen; empty: automatic."""
        return str(self.main_box.currentData() or "")

    @property
    def tensor_split(self) -> tuple[float, ...]:
        """The parts that were entered; empty: automatic."""
        return self._last

    def show_gpus(self, gpus: Sequence[LoadGpu]) -> None:
        """Offer these."""
        self._count = len(gpus)
        chosen = self.main_device
        self.main_box.clear()
        self.main_box.addItem("Automatic", "")
        for gpu in gpus:
            self.main_box.addItem(f"{short_gpu_name(gpu.name)} ({gpu.id})" if gpu.id != gpu.name else gpu.name, gpu.id)
        self._choose(chosen)
        self._show_hint(is_wrong=False)
        self.setVisible(len(gpus) > 1)

    def show_values(self, main_device: str, tensor_split: tuple[float, ...]) -> None:
        """Show what is chosen, without announcing it."""
        self._choose(main_device)
        self._last = tensor_split
        self.parts.setText(split_words(tensor_split) if tensor_split else "")
        self._show_hint(is_wrong=False)

    def _choose(self, name: str) -> None:
        index = self.main_box.findData(name)
        if index < 0:
            # One that is not here now keeps its place in what is remembered.
            self.main_box.addItem(f"{name}, not here now", name)
            index = self.main_box.count() - 1
        self.main_box.setCurrentIndex(index)

    def _on_parts_edited(self) -> None:
        text = self.parts.text().strip()
        parts = parse_parts(text) if text else ()
        self._show_hint(is_wrong=parts is None)
        if parts is not None and parts != self._last:
            self._last = parts
            self.changed.emit()

    def _show_hint(self, *, is_wrong: bool) -> None:
        set_style_property(self.parts, "invalid", is_wrong)
        self._hint.setText(HINT.format(example=", ".join(["3", *["1"] * max(1, self._count - 1)])))

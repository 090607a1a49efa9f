"""What the Discover list shows, and in which order: chips and boxes above it."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from localai_app.catalog.tasks import TASK_WORDS, Task
from localai_app.gui.metrics import SPACE_1, SPACE_2, SPACE_3, SPACE_4
from localai_app.gui.models.discover_order import HUB_ORDERS, Filters, LicenceClass, SizeClass, SortOrder
from localai_app.gui.styling import button, combo_box, set_role, set_spacing

COLUMNS = 2


class FilterBar(QWidget):
    """Two chips and four boxes. `changed` after every choice; `task_chosen` with a Task besides, for others to follow."""

    changed = Signal()
    task_chosen = Signal(object)

    def __init__(self, task: Task, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.fits_chip = _chip("Fits me", "Only models that run on this computer", checked=True)
        self.thinking_chip = _chip("Thinking", "Only models that can think before they answer")
        self.task_box = _box("Task", [_task_words(known) for known in Task])
        self.size_box = _box("Size", [size.value for size in SizeClass])
        self.licence_box = _box("Licence", [licence.value for licence in LicenceClass])
        self.licence_box.setToolTip("Free use: Apache 2.0 or MIT. Others have terms to read first.")
        self.sort_box = _box("Sort by", [order.value for order in SortOrder if order not in HUB_ORDERS])
        self.show_task(task)
        for chip in (self.fits_chip, self.thinking_chip):
            chip.toggled.connect(lambda _checked: self.changed.emit())
        for box in (self.size_box, self.licence_box, self.sort_box):
            box.currentIndexChanged.connect(lambda _index: self.changed.emit())
        self.task_box.currentIndexChanged.connect(self._on_task_chosen)
        self._chips = QHBoxLayout()
        for chip in (self.fits_chip, self.thinking_chip):
            self._chips.addWidget(chip)
        self._chips.addStretch(1)
        self._boxes = QGridLayout()
        self._columns = 0
        self._arrange(COLUMNS)
        layout = QVBoxLayout(self)
        set_spacing(layout, 0)
        layout.addLayout(self._chips)
        layout.addLayout(self._boxes)

    @property
    def order(self) -> SortOrder:
        """How the list is to be sorted."""
        return SortOrder(self.sort_box.currentText())

    def filters(self, words: str) -> Filters:
        """What is chosen, with the words that were typed elsewhere."""
        return Filters(
            words, fits=self.fits_chip.isChecked(), thinking=self.thinking_chip.isChecked(),
            task=list(Task)[self.task_box.currentIndex()], size=list(SizeClass)[self.size_box.currentIndex()],
            licence=list(LicenceClass)[self.licence_box.currentIndex()])

    def show_task(self, task: Task) -> None:
        """Show what was chosen elsewhere."""
        self.task_box.setCurrentIndex(list(Task).index(task))

    def offer_hub_orders(self, is_offered: bool) -> None:
        """Downloads and dates are known only of what the Hub found."""
        if is_offered == (self.sort_box.findText(HUB_ORDERS[0].value) >= 0):
            return
        blocked = QSignalBlocker(self.sort_box)
        if self.order in HUB_ORDERS:
            self.sort_box.setCurrentIndex(0)
        for order in HUB_ORDERS:
            if is_offered:
                self.sort_box.addItem(order.value)
            else:
                self.sort_box.removeItem(self.sort_box.findText(order.value))
        del blocked

    def set_roomy(self, is_roomy: bool, widest: int) -> int:
        """Margins for a wide window or a narrow one; returns the width that chips and boxes need.

        The boxes stand below each other where two of them, with all their words, would be wider than `widest`.
        """
        side, between = (SPACE_4, SPACE_2) if is_roomy else (SPACE_2, SPACE_1)
        set_spacing(self._chips, between, (side, SPACE_3, side, SPACE_1))
        set_spacing(self._boxes, between, (side, SPACE_1, side, SPACE_3))
        needs = [box.sizeHint().width() for box in self._in_order()]
        pair = max(needs[::COLUMNS]) + between + max(needs[1::COLUMNS]) + 2 * side
        self._arrange(COLUMNS if pair <= widest else 1)
        return max(self._chips.sizeHint().width(), pair if pair <= widest else max(needs) + 2 * side)

    def _in_order(self) -> tuple[QComboBox, ...]:
        return self.task_box, self.size_box, self.licence_box, self.sort_box

    def _arrange(self, columns: int) -> None:
        if columns != self._columns:
            self._columns = columns
            self._boxes.setColumnStretch(0, 1)
            self._boxes.setColumnStretch(1, columns - 1)
            for index, box in enumerate(self._in_order()):
                self._boxes.addWidget(box, index // columns, index % columns)

    def _on_task_chosen(self, index: int) -> None:
        self.task_chosen.emit(list(Task)[index])
        self.changed.emit()


def _task_words(task: Task) -> str:
    """Everyday chat leaves no model out."""
    return "Any task" if task is Task.CHAT else TASK_WORDS[task]


def _box(name: str, choices: Sequence[str]) -> QComboBox:
    """A box as wide as its longest choice."""
    box = set_role(combo_box(), "filter")
    box.setAccessibleName(name)
    box.addItems(list(choices))
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return box


def _chip(text: str, meaning: str, *, checked: bool = False) -> QPushButton:
    chip = button(text, "chip")
    chip.setCheckable(True)
    chip.setChecked(checked)
    chip.setToolTip(meaning)
    chip.setAccessibleDescription(meaning)
    return chip

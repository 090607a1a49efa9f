"""Puts a computer together: a ready-made one, or a GPU, how many of it, and main memory."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QCompleter,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QListView,
    QSlider,
    QStyledItemDelegate,
    QVBoxLayout,
    QWidget,
)

from localai_app.gui.metrics import SPACE_1, SPACE_2, SPACE_4
from localai_app.gui.models.text_scale import scaled
from localai_app.gui.styling import combo_box, label, set_role, set_spacing
from localai_app.gui.widgets.wheel_guard import ignore_wheel_unless_focused
from localai_app.hardware.report import HardwareReport
from localai_app.services.machine_parts import KnownGpu
from localai_app.services.what_if import PRESETS, GpuChoice, MachineSpec, machine_with
from localai_app.units import GIB

RAM_STEPS_GIB = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)
COUNTS = (1, 2, 3, 4, 6, 8)
FIRST_PRESET = "desktop-rtx-4090"
FILE_KEY, IN_FILE_WORDS = "file", "As in the file"
OWN_WORDS, NO_GPU_WORDS = "Your own choice", "No GPU"
COMBO_WIDTH = 200
VISIBLE_CHOICES = 14
SLIDER_HEIGHT = 20


class MachinePicker(QWidget):
    """`machine_changed` carries a MachineSpec whenever the choice changes."""

    machine_changed = Signal(object)

    def __init__(self, gpus: tuple[KnownGpu, ...], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._gpus = {gpu.name: gpu for gpu in gpus}
        self._ram_steps: tuple[float, ...] = RAM_STEPS_GIB
        self._ram_wanted_gib: float = RAM_STEPS_GIB[0]
        self._from_file: HardwareReport | None = None
        self.preset_box = _combo("Ready-made computer")
        self.preset_box.addItem(OWN_WORDS, "")
        for key, spec in PRESETS.items():
            self.preset_box.addItem(spec.name, key)
        self.gpu_box = _searchable_combo("GPU")
        self.gpu_box.addItem(NO_GPU_WORDS, "")
        for gpu in gpus:
            self.gpu_box.addItem(gpu.name, gpu.name)
        self.count_box = _combo("Number of GPUs")
        for count in COUNTS:
            self.count_box.addItem(str(count), count)
        self.memory_slider = QSlider(Qt.Orientation.Horizontal)
        self.memory_slider.setAccessibleName("Main memory")
        self.memory_slider.setMinimumHeight(SLIDER_HEIGHT)
        self._memory_value = label("", "caption-strong")
        for control in (self.preset_box, self.gpu_box, self.count_box, self.memory_slider):
            ignore_wheel_unless_focused(control)
        self._lay_out()
        self._show_preset(FIRST_PRESET)
        self.preset_box.currentIndexChanged.connect(self._on_preset_chosen)
        self.gpu_box.currentIndexChanged.connect(self._on_gpu_chosen)
        self.count_box.currentIndexChanged.connect(lambda _index: self._on_part_changed())
        self.memory_slider.valueChanged.connect(self._on_memory_moved)

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        set_spacing(head, SPACE_2)
        head.addWidget(label("Main memory", "caption"))
        head.addStretch(1)
        head.addWidget(self._memory_value)
        memory = QVBoxLayout()
        set_spacing(memory, SPACE_2)
        memory.addLayout(head)
        memory.addWidget(self.memory_slider)
        grid = QGridLayout(self)
        set_spacing(grid, SPACE_4)
        cells = (("Ready-made", self.preset_box, 4), ("GPU (type to search)", self.gpu_box, 4), ("Number", self.count_box, 1))
        for column, (title, box, stretch) in enumerate(cells):
            cell = QVBoxLayout()
            set_spacing(cell, SPACE_1)
            cell.addWidget(label(title, "caption"))
            cell.addWidget(box)
            grid.addLayout(cell, 0, column)
            grid.setColumnStretch(column, stretch)
        grid.addLayout(memory, 1, 0, 1, len(cells))

    @property
    def spec(self) -> MachineSpec:
        """The computer that is chosen."""
        preset = PRESETS.get(self.preset_box.currentData() or "")
        if preset is not None:
            return preset
        return machine_with(
            self._gpus.get(self.gpu_box.currentData() or ""), ram_gib=self._ram_gib(), count=self.count_box.currentData())

    @property
    def report(self) -> HardwareReport | None:
        """The computer from a file, while that is chosen; None: what `spec` describes."""
        return self._from_file if self.preset_box.currentData() == FILE_KEY else None

    def show_file(self, words: str, report: HardwareReport) -> None:
        """Choose a computer from a file; it may be one that the other controls cannot show."""
        self._from_file = report
        place = self.preset_box.findData(FILE_KEY)
        if place < 0:
            self.preset_box.addItem(words, FILE_KEY)
            place = self.preset_box.count() - 1
        self.preset_box.setItemText(place, words)
        blocked = QSignalBlocker(self.preset_box)
        self.preset_box.setCurrentIndex(place)
        del blocked
        self._enable_parts()
        self.machine_changed.emit(self.spec)

    def _enable_parts(self) -> None:
        """The parts of a computer from a file are in that file."""
        report = self.report
        for control in (self.gpu_box, self.count_box, self.memory_slider):
            control.setEnabled(report is None)
        self.gpu_box.setEditText(self.gpu_box.itemText(self.gpu_box.currentIndex()) if report is None else IN_FILE_WORDS)
        if report is None:
            self._fit_controls()
        else:
            self._memory_value.setText(f"{report.memory.total_bytes / GIB:.4g} GiB")

    def _ram_gib(self) -> float:
        return self._ram_steps[min(self.memory_slider.value(), len(self._ram_steps) - 1)]

    def _show_preset(self, key: str) -> None:
        """Set all controls to a ready-made computer."""
        spec = PRESETS[key]
        choice = spec.gpus[0] if spec.gpus else GpuChoice(name="")
        blocked = [QSignalBlocker(box) for box in (self.preset_box, self.gpu_box, self.count_box)]
        self.preset_box.setCurrentIndex(self.preset_box.findData(key))
        self.gpu_box.setCurrentIndex(max(0, self.gpu_box.findData(choice.name)))
        self.count_box.setCurrentIndex(max(0, self.count_box.findData(choice.count)))
        del blocked
        self._ram_wanted_gib = spec.ram_bytes / GIB
        self._fit_controls()

    def _fit_controls(self) -> None:
        """Offer what the chosen GPU allows: memory sizes of chips that have it inside, and only one of them."""
        gpu = self._gpus.get(self.gpu_box.currentData() or "")
        is_inside = gpu is not None and gpu.shares_main_memory
        self.count_box.setEnabled(gpu is not None and not is_inside)
        if not self.count_box.isEnabled():
            blocked = QSignalBlocker(self.count_box)
            self.count_box.setCurrentIndex(0)
            del blocked
        sizes = tuple(sorted(gpu.memory_gib)) if gpu is not None and is_inside else ()
        self._ram_steps = sizes or RAM_STEPS_GIB
        nearest = min(range(len(self._ram_steps)), key=lambda index: abs(self._ram_steps[index] - self._ram_wanted_gib))
        blocked = QSignalBlocker(self.memory_slider)
        self.memory_slider.setRange(0, len(self._ram_steps) - 1)
        self.memory_slider.setEnabled(len(self._ram_steps) > 1)
        self.memory_slider.setValue(nearest)
        del blocked
        self._say_memory()

    def _say_memory(self) -> None:
        words = f"{self._ram_gib():g} GiB"
        self._memory_value.setText(words)
        self.memory_slider.setAccessibleDescription(words)

    def _on_preset_chosen(self, _index: int) -> None:
        key = self.preset_box.currentData()
        if key in PRESETS:
            self._show_preset(key)
        self._enable_parts()
        self.machine_changed.emit(self.spec)

    def _on_gpu_chosen(self, _index: int) -> None:
        self._fit_controls()
        self._on_part_changed()

    def _on_memory_moved(self, _value: int) -> None:
        self._ram_wanted_gib = self._ram_gib()
        self._say_memory()
        self._on_part_changed()

    def _on_part_changed(self) -> None:
        blocked = QSignalBlocker(self.preset_box)
        self.preset_box.setCurrentIndex(0)
        del blocked
        self.machine_changed.emit(self.spec)


def _combo(name: str) -> QComboBox:
    box = combo_box()
    box.setAccessibleName(name)
    box.setMinimumContentsLength(1)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMaxVisibleItems(VISIBLE_CHOICES)
    return box


def _searchable_combo(name: str) -> QComboBox:
    """A combo box in which any part of an entry can be typed; other text is taken back."""
    box = _combo(name)
    box.setEditable(True)
    box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
    box.setMinimumWidth(scaled(COMBO_WIDTH, box))
    field = set_role(QLineEdit(), "plain")
    field.setAccessibleName(name)
    box.setLineEdit(field)
    completer = QCompleter(box.model(), box)
    completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
    completer.setFilterMode(Qt.MatchFlag.MatchContains)
    completer.setCompletionMode(QCompleter.CompletionMode.PopupCompletion)
    completer.setMaxVisibleItems(VISIBLE_CHOICES)
    found_list = set_role(QListView(), "choices")
    completer.setPopup(found_list)
    # Set again: a completer gives its list a delegate that the style sheet does not reach.
    found_list.setItemDelegate(QStyledItemDelegate(found_list))
    box.setCompleter(completer)

    def take_back() -> None:
        found = box.findText(box.currentText(), Qt.MatchFlag.MatchFixedString)
        if found >= 0 and found != box.currentIndex():
            box.setCurrentIndex(found)
        field.setText(box.itemText(box.currentIndex()))
        field.setCursorPosition(0)

    field.editingFinished.connect(take_back)
    return box

"""This computer in one line: processor, memory, graphics, engine."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from localai_app.gui.metrics import SPACE_2, SPACE_4, SPACE_5, SPACE_8
from localai_app.gui.styling import button, label, set_role, set_spacing
from localai_app.gui.widgets.elided_label import ElidedLabel
from localai_app.hardware.report import HardwareReport
from localai_app.units import format_gib


class MachineStrip(QFrame):
    """Filled by `show_report`; says that it is looking until then."""

    details_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        set_role(self, "card")
        self._values: dict[str, ElidedLabel] = {}
        layout = QHBoxLayout(self)
        set_spacing(layout, SPACE_8, (SPACE_5, SPACE_4, SPACE_5, SPACE_4))
        for name in ("Processor", "Memory", "Graphics", "Engine"):
            column = QVBoxLayout()
            set_spacing(column, SPACE_2 // 2)
            column.addWidget(label(name, "caption"))
            value = ElidedLabel("Looking…", "strong")
            self._values[name] = value
            column.addWidget(value)
            layout.addLayout(column)
        layout.addStretch(1)
        self.details_button = button("Details")
        self.details_button.setAccessibleName("Details of this computer")
        self.details_button.clicked.connect(self.details_requested)
        layout.addWidget(self.details_button)

    def show_report(self, report: HardwareReport) -> None:
        """Show what the probes found."""
        cpu, memory = report.cpu, report.memory
        cores = "1 core" if cpu.physical_cores == 1 else f"{cpu.physical_cores} cores"
        self._values["Processor"].setText(f"{cpu.model}, {cores}")
        self._values["Memory"].setText(f"{format_gib(memory.total_bytes)}, {format_gib(memory.available_bytes)} free")
        self._values["Graphics"].setText(graphics_words(report))
        self._values["Engine"].setText(engine_words(report))


def graphics_words(report: HardwareReport) -> str:
    """The largest GPU and how many there are."""
    if not report.gpus:
        return "None, the processor computes"
    gpu = max(report.gpus, key=lambda one: one.total_bytes or 0)
    words = gpu.name.removeprefix("NVIDIA GeForce ").removeprefix("NVIDIA ")
    if gpu.total_bytes is not None:
        words += f", {format_gib(gpu.total_bytes)}"
    if gpu.free_bytes is not None:
        words += f", {format_gib(gpu.free_bytes)} free"
    return words if len(report.gpus) == 1 else f"{words}, and {len(report.gpus) - 1} more"


def engine_words(report: HardwareReport) -> str:
    """Which devices llama.cpp itself lists."""
    if report.engine_devices is None:
        return "llama.cpp, being asked…"
    kinds = [device for device in report.engine_devices if device.kind in ("gpu", "integrated_gpu")]
    if kinds:
        return f"llama.cpp, sees {kinds[0].description}"
    return "llama.cpp, on the processor"

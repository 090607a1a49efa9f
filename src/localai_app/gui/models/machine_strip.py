"""This computer in one line: processor, memory, graphics, engine."""

from __future__ import annotations

import re

from PySide6.QtCore import Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from localai_app.gui.metrics import SPACE_1, SPACE_4, SPACE_5, SPACE_6
from localai_app.gui.models.text_scale import scaled
from localai_app.gui.styling import button, label, set_role, set_spacing
from localai_app.gui.widgets.elided_label import ElidedLabel
from localai_app.gui.widgets.gauge import short_gpu_name
from localai_app.hardware.report import HardwareReport
from localai_app.units import GIB, format_gib

COLUMNS = {"Processor": 26, "Memory": 26, "Graphics": 31, "Engine": 26}
"""Shares of the width: fixed, so that nothing moves when the figures arrive."""
NARROW = 760
_CPU_NOISE = re.compile(
    r"\((?:R|TM)\)|\b(?:AMD|Intel|Genuine)\b|\b\d+-Core Processor\b|\bProcessor\b|\bCPU\b|@.*$|\bwith Radeon.*$|\b\d+th Gen\b",
    re.IGNORECASE)


class MachineStrip(QFrame):
    """Filled by `show_report`; says that it is looking until then."""

    details_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        set_role(self, "card")
        self._values: dict[str, ElidedLabel] = {}
        self._titles: dict[str, QLabel] = {}
        layout = self._strip = QHBoxLayout(self)
        set_spacing(layout, SPACE_6, (SPACE_5, SPACE_4, SPACE_5, SPACE_4))
        for name, share in COLUMNS.items():
            column = QVBoxLayout()
            set_spacing(column, SPACE_1)
            title = label(name, "caption")
            self._titles[name] = title
            column.addWidget(title)
            value = ElidedLabel("Looking…", "muted")
            value.setAccessibleName(f"{name}: being looked at")
            self._values[name] = value
            column.addWidget(value)
            layout.addLayout(column, share)
        self.details_button = button("Details")
        self.details_button.setAccessibleName("Details of this computer")
        self.details_button.clicked.connect(self.details_requested)
        layout.addWidget(self.details_button)

    def show_report(self, report: HardwareReport) -> None:
        """Show what the probes found."""
        cpu, memory = report.cpu, report.memory
        cores = "1 core" if cpu.physical_cores == 1 else f"{cpu.physical_cores} cores"
        self._show("Processor", f"{short_cpu_name(cpu.model)}, {cores}")
        self._show("Memory", f"{_round_gib(memory.total_bytes)}, {_bare_gib(memory.available_bytes)} free")
        self._show("Graphics", graphics_words(report))
        self._show("Engine", engine_words(report))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Leave the engine to the details where there is no room for four columns."""
        super().resizeEvent(event)
        is_wide = self.width() >= scaled(NARROW, self)
        self._titles["Engine"].setVisible(is_wide)
        self._values["Engine"].setVisible(is_wide)
        self._strip.setStretch(list(COLUMNS).index("Engine"), COLUMNS["Engine"] if is_wide else 0)

    def words(self, name: str) -> str:
        """What one column says."""
        return self._values[name].text()

    def _show(self, name: str, words: str) -> None:
        value = self._values[name]
        if value.text() != words:
            set_role(value, "strong")
            value.setText(words)
            value.setAccessibleName(f"{name}: {words}")


def short_cpu_name(name: str) -> str:
    """A processor's name without its maker, trademarks and what is said beside it: Ryzen 7 7700, Core i7-8550U."""
    short = re.sub(r"\s+", " ", _CPU_NOISE.sub(" ", name)).strip(" ,")
    return short or name


def graphics_words(report: HardwareReport) -> str:
    """The largest GPU and how many there are."""
    if not report.gpus:
        return "None found"
    gpu = max(report.gpus, key=lambda one: one.total_bytes or 0)
    words = short_gpu_name(gpu.name)
    if gpu.total_bytes is not None:
        words += f", {_round_gib(gpu.total_bytes)}"
    if gpu.free_bytes is not None:
        words += f", {_bare_gib(gpu.free_bytes)} free"
    return words if len(report.gpus) == 1 else f"{words}, and {len(report.gpus) - 1} more"


def engine_words(report: HardwareReport) -> str:
    """What llama.cpp itself computes on, as it says."""
    if report.engine_devices is None:
        return "llama.cpp, being asked…"
    devices = [device for device in report.engine_devices if device.kind in ("gpu", "integrated_gpu")]
    if not devices:
        return "llama.cpp, CPU only" if report.gpus else "llama.cpp on the CPU"
    back_end = devices[0].name.rstrip("0123456789")
    return f"llama.cpp, {back_end} works"


def _round_gib(n_bytes: int) -> str:
    """Memory as it is sold: whole GiB where that is what it is."""
    gib = n_bytes / GIB
    return f"{round(gib)} GiB" if gib >= 1 and abs(gib - round(gib)) < 0.05 else format_gib(n_bytes)


def _bare_gib(n_bytes: int) -> str:
    """Without the unit where it is that of the figure before."""
    words = format_gib(n_bytes)
    return words.removesuffix(" GiB")

"""Live gauges: main memory and each GPU, with our share in colour."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from localai_app.gui.metrics import SPACE_1, SPACE_2, SPACE_3
from localai_app.gui.styling import label
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.elided_label import ElidedLabel
from localai_app.gui.widgets.meter import Meter, Segment
from localai_app.hardware.report import Gpu
from localai_app.services.events import MemoryMeasured
from localai_app.units import GIB, format_gib


class Gauge(QWidget):
    """One device: name and size, what is used, and a bar."""

    def __init__(self, theme: ThemeState, token: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._token = token
        self._name = ElidedLabel("", "caption")
        self._used = label("", "caption")
        self._meter = Meter(theme)
        head = QHBoxLayout()
        head.setSpacing(SPACE_2)
        head.addWidget(self._name, 1)
        head.addWidget(self._used)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE_1)
        layout.addLayout(head)
        layout.addWidget(self._meter)

    def show_use(
        self, name: str, total_bytes: int, ours_bytes: int, others_bytes: int, models: Sequence[tuple[str, int]] = (),
    ) -> None:
        """Show how many bytes of `total_bytes` our models and all other programs hold; `models`: each one's name and bytes."""
        ours_bytes = max(0, min(ours_bytes, total_bytes))
        others_bytes = max(0, min(others_bytes, total_bytes - ours_bytes))
        used, free = ours_bytes + others_bytes, total_bytes - ours_bytes - others_bytes
        size = f"{round(total_bytes / GIB)} GiB" if total_bytes >= GIB else format_gib(total_bytes)
        self._name.setText(f"{name} · {size}")
        self._used.setText(f"{used / GIB:.1f}")
        self._meter.set_segments(
            [Segment(ours_bytes, self._token, "models"), Segment(others_bytes, "faint", "other programs")], total_bytes)
        each = ", ".join(f"{model} {format_gib(held)}" for model, held in models) if len(models) > 1 else ""
        words = (f"{name}: {format_gib(total_bytes)}. Models here: {format_gib(ours_bytes)}{each and f' ({each})'}. "
                 f"Other programs: {format_gib(others_bytes)}. Free: {format_gib(free)}.")
        self.setToolTip(words.replace(". ", "\n").removesuffix("."))
        self.setAccessibleName(words)


class GaugesPanel(QWidget):
    """A gauge for each GPU that tells its memory, and one for main memory."""

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._gpu_gauges: list[Gauge] = []
        self._memory_gauge: Gauge | None = None
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(SPACE_2 + 2, SPACE_2, SPACE_2 + 2, SPACE_2)
        self._layout.setSpacing(SPACE_3)

    def on_memory_measured(self, event: MemoryMeasured) -> None:
        """Show a new measurement."""
        shown = [gpu for gpu in event.gpus if gpu.total_bytes is not None and gpu.free_bytes is not None and not gpu.unified]
        while len(self._gpu_gauges) < len(shown):
            gauge = Gauge(self._theme, "gpu")
            self._layout.insertWidget(len(self._gpu_gauges), gauge)
            self._gpu_gauges.append(gauge)
        while len(self._gpu_gauges) > len(shown):
            surplus = self._gpu_gauges.pop()
            surplus.hide()
            surplus.deleteLater()
        for gauge, gpu in zip(self._gpu_gauges, shown, strict=True):
            _show_gpu(gauge, gpu)
        self._show_memory(event)

    def _show_memory(self, event: MemoryMeasured) -> None:
        memory = event.memory
        if self._memory_gauge is None:
            self._memory_gauge = Gauge(self._theme, "ram")
            self._layout.addWidget(self._memory_gauge)
        used = memory.total_bytes - memory.available_bytes
        ours = min(event.engine_rss_bytes, used)
        models = [(key.rpartition("/")[2], held) for key, held in event.engines]
        self._memory_gauge.show_use("Memory", memory.total_bytes, ours, used - ours, models)


def short_gpu_name(name: str) -> str:
    """A GPU's name without its maker's, which says nothing more in a tight place."""
    for maker in ("NVIDIA GeForce ", "NVIDIA ", "AMD Radeon ", "AMD ", "Intel(R) ", "Intel "):
        if name.startswith(maker) and len(name) > len(maker):
            return name[len(maker):]
    return name


def _show_gpu(gauge: Gauge, gpu: Gpu) -> None:
    """Others' share where the driver tells it; else everything used counts as theirs, so that ours is never overstated."""
    total, free = gpu.total_bytes or 0, gpu.free_bytes or 0
    used = total - free
    others = used if gpu.used_by_others_bytes is None else min(gpu.used_by_others_bytes, used)
    gauge.show_use(short_gpu_name(gpu.name), total, used - others, others)

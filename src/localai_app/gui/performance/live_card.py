"""Memory and speed of the last minutes, drawn while they are seen."""

from __future__ import annotations

from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QHBoxLayout

from localai_app.gui.bridge import Bridge
from localai_app.gui.metrics import SPACE_6
from localai_app.gui.performance.cards import Card
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.chart import Axis, Chart, Series
from localai_app.hardware.report import HardwareReport
from localai_app.services.app_services import AppServices
from localai_app.services.events import Event, MemoryMeasured
from localai_app.services.live_history import KEPT_S, LivePoint
from localai_app.units import GIB, format_duration, format_gib, format_speed

_GPU_TOKENS = ("gpu", "good", "bad", "text")
_MAKERS = ("NVIDIA GeForce ", "NVIDIA ", "AMD Radeon ", "AMD ", "Intel(R) ", "Intel ")
LEAST_TPS = 10.0


def _age_words(x: float) -> str:
    age_s = KEPT_S - x
    return "now" if age_s < 0.5 else f"{format_duration(age_s)} ago" if age_s >= 1 else "1 s ago"


class LiveCard(Card):
    """One reading a second; nothing is drawn while the card is not seen."""

    def __init__(self, services: AppServices, theme: ThemeState, bridge: Bridge) -> None:
        super().__init__("Now", "Memory and speed of the last three minutes")
        self._services = services
        time_axis = Axis("", _age_words, marks=tuple(KEPT_S / 3 * number for number in range(4)))
        self.memory = Chart(theme, "Memory in use", time_axis, Axis("GiB in use", lambda value: f"{value:.3g}"))
        self.speed = Chart(theme, "Speed of answers", time_axis, Axis("tok/s", highest=LEAST_TPS))
        row = QHBoxLayout()
        row.setSpacing(SPACE_6)
        row.addWidget(self.memory, 1)
        row.addWidget(self.speed, 1)
        self.body.addLayout(row)
        bridge.event_published.connect(self._on_event)

    def showEvent(self, event: QShowEvent) -> None:
        """Catch up with what came while it was hidden."""
        super().showEvent(event)
        self._show()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, MemoryMeasured) and self.isVisible() and not self.visibleRegion().isEmpty():
            self._show()

    def _show(self) -> None:
        points, report = self._services.history.points(), self._services.hardware.report
        if report is None:
            return
        totals = [report.memory.total_bytes, *(gpu.total_bytes or 0 for gpu in report.gpus)]
        self.memory.show_series(
            memory_series(points, report), memory_words(points),
            y_axis=Axis("GiB in use", lambda value: f"{value:.3g}", highest=max(totals) / GIB, is_binary=True))
        speeds = placed([(point.time_s, point.tps or 0.0) for point in points])
        last = points[-1].tps if points else None
        self.speed.show_series(
            [Series("answers", speeds, "good", has_points=False)],
            f"Now {format_speed(last)}" if last else "No answer is being written")


def placed(readings: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Readings (time, value) on the axis of the last minutes, the newest at its end."""
    if not readings:
        return ()
    newest_s = readings[-1][0]
    return tuple((KEPT_S - (newest_s - time_s), value) for time_s, value in readings)


def memory_series(points: tuple[LivePoint, ...], report: HardwareReport) -> list[Series]:
    """Main memory, the models' part of it, and each GPU that tells."""
    lines = [
        Series("main memory", placed([(one.time_s, one.used_bytes / GIB) for one in points]), "ram", has_points=False)]
    for index, gpu in enumerate(report.gpus):
        used = [(one.time_s, held / GIB) for one in points
                if index < len(one.gpu_used_bytes) and (held := one.gpu_used_bytes[index]) is not None]
        if used:
            lines.append(Series(_short(gpu.name), placed(used), _GPU_TOKENS[index % len(_GPU_TOKENS)], has_points=False))
    if any(one.models_bytes for one in points):
        lines.append(Series(
            "model", placed([(one.time_s, one.models_bytes / GIB) for one in points]), "warn", has_points=False))
    return lines


def memory_words(points: tuple[LivePoint, ...]) -> str:
    """The newest reading in words."""
    if not points:
        return "Nothing was measured yet"
    newest = points[-1]
    gpus = "".join(f", GPU {format_gib(held)}" for held in newest.gpu_used_bytes if held is not None)
    return f"{format_gib(newest.used_bytes)} of main memory in use{gpus}"


def _short(name: str) -> str:
    """A GPU's name without its maker's, for the legend."""
    return next((name.removeprefix(maker) for maker in _MAKERS if name.startswith(maker)), name)

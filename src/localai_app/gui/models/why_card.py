"""Why a variant fits or not: the sum against free memory on each device, the reasons, and what would help."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from localai_app.fit.result import DeviceNeed, FitResult, Verdict
from localai_app.gui.metrics import SPACE_1, SPACE_2, SPACE_3, SPACE_4, SPACE_5
from localai_app.gui.styling import label, set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.elided_label import ElidedLabel
from localai_app.gui.widgets.meter import Meter, Segment
from localai_app.units import format_count, format_gib

TITLES = {
    Verdict.GPU: "Why it runs fully on the GPU",
    Verdict.GPU_PARTIAL: "Why it runs only partly on the GPU",
    Verdict.CPU: "Why it runs on the CPU",
    Verdict.NO: "Why it will not run",
    Verdict.UNKNOWN: "Why nothing can be said",
}
WEIGHTS, CONTEXT, WORKING = "gpu", "gpu_light", "ram"
DOT = 8


class LegendDot(QWidget):
    """A dot in the colour of a part of the bars."""

    def __init__(self, theme: ThemeState, token: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme, self._token = theme, token
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        theme.changed.connect(self.update)

    def sizeHint(self) -> QSize:
        """Small and square."""
        return QSize(DOT, DOT)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw the dot."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._theme.palette.color(self._token))
        painter.drawRoundedRect(QRectF(self.rect()), 2, 2)


class DeviceBar(QWidget):
    """What the model takes on one device, against what is free there."""

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._name = ElidedLabel("", "caption")
        self._figures = label("", "caption-strong")
        self._meter = Meter(theme, height=12)
        line = QHBoxLayout()
        set_spacing(line, SPACE_2)
        line.addWidget(self._name, 1)
        line.addWidget(self._figures)
        layout = QVBoxLayout(self)
        set_spacing(layout, SPACE_1)
        layout.addLayout(line)
        layout.addWidget(self._meter)

    def show_device(self, device: DeviceNeed) -> None:
        """Show one device of a fit."""
        self._name.setText(device.name)
        usable = max(0, device.free_bytes - device.reserve_bytes)
        self._figures.setText(f"{format_gib(device.total_bytes)} of {format_gib(usable)} usable")
        self._figures.setToolTip(
            f"{format_gib(device.free_bytes)} is free, of which {format_gib(device.reserve_bytes)} is kept for other programs")
        self._meter.setAccessibleName(f"Memory of {device.name}: {self._figures.text()}")
        self._meter.set_segments(
            [Segment(device.weights_bytes, WEIGHTS, "weights"), Segment(device.kv_bytes, CONTEXT, "context"),
             Segment(device.compute_bytes, WORKING, "working memory")],
            max(usable, device.total_bytes, 1))


class WhyCard(QFrame):
    """The figures behind one verdict."""

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        set_role(self, "card")
        self._theme = theme
        self._title = label("", "strong", wrap=True)
        self._reasons = label("", "muted", wrap=True, selectable=True)
        self._remedies = label("", "body", wrap=True, selectable=True)
        self._sums = {token: ElidedLabel("", "caption") for token in (WEIGHTS, CONTEXT, WORKING)}
        self._together = label("", "caption-strong")
        self._bars: list[DeviceBar] = []
        self._devices = QVBoxLayout()
        set_spacing(self._devices, SPACE_3)
        layout = QVBoxLayout(self)
        set_spacing(layout, SPACE_3, (SPACE_5, SPACE_4, SPACE_5, SPACE_4))
        layout.addWidget(self._title)
        layout.addWidget(self._reasons)
        layout.addLayout(self._devices)
        layout.addLayout(self._legend())
        layout.addWidget(self._remedies)

    def _legend(self) -> QHBoxLayout:
        legend = QHBoxLayout()
        set_spacing(legend, SPACE_2)
        for token, words in self._sums.items():
            legend.addWidget(LegendDot(self._theme, token))
            legend.addWidget(words)
            legend.addSpacing(SPACE_2)
        legend.addStretch(1)
        legend.addWidget(self._together)
        return legend

    @property
    def title(self) -> str:
        """Which verdict of which variant is explained."""
        return self._title.text()

    def show_fit(self, label_words: str, fit: FitResult) -> None:
        """Show the fit of the variant called `label_words`."""
        self._title.setText(f"{TITLES[fit.verdict]}: {label_words} at {format_count(fit.ctx)} tokens")
        self._reasons.setText(" ".join(fit.reasons))
        devices = [device for device in fit.devices if device.total_bytes > 0]
        while len(self._bars) < len(devices):
            bar = DeviceBar(self._theme)
            self._bars.append(bar)
            self._devices.addWidget(bar)
        for index, bar in enumerate(self._bars):
            bar.setVisible(index < len(devices))
            if index < len(devices):
                bar.show_device(devices[index])
        for token, name, n_bytes in (
            (WEIGHTS, "Weights", fit.weights_bytes), (CONTEXT, "Context", fit.kv_bytes),
            (WORKING, "Working memory", fit.compute_bytes),
        ):
            self._sums[token].setText(f"{name} {format_gib(n_bytes)}")
        self._together.setText(f"Together {format_gib(fit.total_bytes)}")
        self._remedies.setText(" ".join(fit.remedies))
        self._remedies.setVisible(bool(fit.remedies))

"""What a model takes on each device against the memory there: one stacked bar for each, and a legend with the sums."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QBrush, QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from localai_app.fit.result import DeviceNeed
from localai_app.gui.metrics import SPACE_1, SPACE_2, SPACE_3
from localai_app.gui.styling import label, set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.elided_label import ElidedLabel
from localai_app.gui.widgets.flow_layout import FlowLayout
from localai_app.gui.widgets.meter import Segment, segment_widths
from localai_app.units import GIB, format_gib

WEIGHTS, CONTEXT, WORKING, ENGINE, OTHERS, RESERVE = "gpu", "gpu_light", "ram", "muted", "faint", "reserve"
"""Colours of the parts, fields of Palette; the reserve is hatched."""
BAR = 12
DOT = 10


class StackedBar(QWidget):
    """Parts from the left, the reserve from the right, free room between them; where they meet it is too much."""

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._parts: tuple[Segment, ...] = ()
        self._reserve = 0.0
        self._capacity = 0.0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme.changed.connect(self._on_theme_changed)
        self._on_theme_changed()

    @property
    def parts(self) -> tuple[Segment, ...]:
        """What is shown from the left."""
        return self._parts

    @property
    def overflow(self) -> float:
        """By how much the parts reach into the reserve, or over the end."""
        return max(0.0, sum(part.amount for part in self._parts) + self._reserve - self._capacity)

    def show_parts(self, parts: Sequence[Segment], reserve: float, capacity: float) -> None:
        """Show parts of `capacity` of which `reserve` is not for us."""
        self._parts, self._reserve, self._capacity = tuple(parts), reserve, capacity
        self.update()

    def sizeHint(self) -> QSize:
        """Wide as it may be, and low."""
        return QSize(120, self.height())

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw track, reserve and parts; a line marks the end of what may be used where it is too much."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        palette = self._theme.palette
        outline = QPainterPath()
        outline.addRoundedRect(QRectF(self.rect()), 4.0, 4.0)
        painter.setClipPath(outline)
        painter.fillRect(self.rect(), palette.color("pressed" if palette.name == "contrast" else "line"))
        total = max(self._capacity, sum(part.amount for part in self._parts), 1.0)
        scale = self.width() / total
        limit = (self._capacity - self._reserve) * scale
        reserve = QRectF(limit, 0, self._reserve * scale, self.height())
        painter.fillRect(reserve, QBrush(palette.color("faint"), Qt.BrushStyle.BDiagPattern))
        left = 0.0
        for part, width in zip(
            self._parts, segment_widths([part.amount for part in self._parts], total, self.width()), strict=True,
        ):
            if width > 0:
                painter.fillRect(QRectF(left, 0, max(1.0, width - 1.0), self.height()), palette.color(part.token))
            left += width
        if self.overflow > 0:
            painter.fillRect(QRectF(limit - 3.5, 0, 7.0, self.height()), palette.color("panel"))
            painter.fillRect(QRectF(limit - 1.5, 0, 3.0, self.height()), palette.color("bad"))

    def _on_theme_changed(self) -> None:
        self.setFixedHeight(self._theme.sizes.grown(BAR))
        self.update()


class LegendDot(QWidget):
    """A square in the colour of a part of the bars."""

    def __init__(self, theme: ThemeState, token: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme, self._token = theme, token
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        theme.changed.connect(self.updateGeometry)
        theme.changed.connect(self.update)

    def sizeHint(self) -> QSize:
        """Small and square."""
        side = self._theme.sizes.grown(DOT)
        return QSize(side, side)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw the square."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        palette = self._theme.palette
        if self._token == RESERVE:
            painter.setBrush(palette.color("pressed" if palette.name == "contrast" else "line"))
            painter.drawRoundedRect(QRectF(self.rect()), 2, 2)
            painter.setBrush(QBrush(palette.color("faint"), Qt.BrushStyle.BDiagPattern))
        else:
            painter.setBrush(palette.color(self._token))
        painter.drawRoundedRect(QRectF(self.rect()), 2, 2)


class DeviceBar(QWidget):
    """What the model takes on one device, against what may be used there."""

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._name = ElidedLabel("", "caption")
        self._figures = label("", "caption-strong")
        self.bar = StackedBar(theme)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        line = QHBoxLayout()
        set_spacing(line, SPACE_2)
        line.addWidget(self._name, 1)
        line.addWidget(self._figures)
        layout = QVBoxLayout(self)
        set_spacing(layout, SPACE_1)
        layout.addLayout(line)
        layout.addWidget(self.bar)

    @property
    def words(self) -> str:
        """The figures beside the name."""
        return self._figures.text()

    def show_device(self, device: DeviceNeed, *, has_twin: bool = False) -> None:
        """Show one device of a fit; `has_twin`: another one has its name, so that llama.cpp's is told as well."""
        usable = max(0, device.free_bytes - device.reserve_bytes)
        is_too_much = device.total_bytes > usable
        layers = f" · {device.layers} {'layer' if device.layers == 1 else 'layers'}" if device.layers else ""
        twin = f" ({device.engine_name})" if has_twin and device.engine_name else ""
        self._name.setText(device.name + twin + layers)
        self._figures.setText(f"{_bare(device.total_bytes, usable)} of {format_gib(usable)} usable")
        set_role(self._figures, "caption-bad" if is_too_much else "caption-strong")
        capacity = max(device.capacity_bytes, device.free_bytes)
        self.bar.show_parts(
            [Segment(capacity - device.free_bytes, OTHERS), Segment(device.weights_bytes, WEIGHTS),
             Segment(device.kv_bytes, CONTEXT), Segment(device.compute_bytes, WORKING),
             Segment(device.overhead_bytes, ENGINE)],
            min(device.reserve_bytes, device.free_bytes), capacity)
        words = device_words(device)
        self.setAccessibleName(f"Memory of {words[0]}")
        self.bar.setAccessibleName(f"Memory of {' '.join(words)}")
        self.setToolTip("\n".join(words))


class MemoryBars(QWidget):
    """A bar for each device on which the model takes memory, and below them what the colours mean with the sums."""

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._bars: list[DeviceBar] = []
        self._sums: dict[str, QLabel] = {}
        self._together = label("", "caption-strong")
        self._devices = QVBoxLayout()
        set_spacing(self._devices, SPACE_3)
        layout = QVBoxLayout(self)
        set_spacing(layout, SPACE_3)
        layout.addLayout(self._devices)
        layout.addWidget(self._legend())

    @property
    def bars(self) -> tuple[DeviceBar, ...]:
        """The bars that are shown."""
        return tuple(bar for bar in self._bars if not bar.isHidden())

    @property
    def words(self) -> str:
        """The legend in words."""
        return " ".join([*(words.text() for words in self._sums.values() if not words.isHidden()), self._together.text()])

    def show_devices(self, devices: Sequence[DeviceNeed]) -> None:
        """Show the devices of a fit; those on which nothing would lie are left out."""
        shown = [device for device in devices if device.total_bytes > 0]
        names = [device.name for device in shown]
        while len(self._bars) < len(shown):
            bar = DeviceBar(self._theme)
            self._bars.append(bar)
            self._devices.addWidget(bar)
        for index, bar in enumerate(self._bars):
            bar.setVisible(index < len(shown))
            if index < len(shown):
                bar.show_device(shown[index], has_twin=names.count(shown[index].name) > 1)
        for token, name, n_bytes in (
            (WEIGHTS, "Weights", sum(device.weights_bytes for device in shown)),
            (CONTEXT, "Context", sum(device.kv_bytes for device in shown)),
            (WORKING, "Working memory", sum(device.compute_bytes for device in shown)),
            (ENGINE, "Engine", sum(device.overhead_bytes for device in shown)),
            (OTHERS, "In use already", sum(max(0, device.capacity_bytes - device.free_bytes) for device in shown)),
            (RESERVE, "Kept free", sum(min(device.reserve_bytes, device.free_bytes) for device in shown)),
        ):
            self._sums[token].setText(f"{name} {format_gib(n_bytes)}")
        self._together.setText(f"Together {format_gib(sum(device.total_bytes for device in shown))}")
        self.updateGeometry()

    def _legend(self) -> QWidget:
        holder = QWidget()
        flow = FlowLayout(holder)
        for token in (WEIGHTS, CONTEXT, WORKING, ENGINE, OTHERS, RESERVE):
            entry = QWidget()
            row = QHBoxLayout(entry)
            set_spacing(row, SPACE_2 - 2)
            row.addWidget(LegendDot(self._theme, token))
            self._sums[token] = label("", "caption")
            row.addWidget(self._sums[token])
            flow.addWidget(entry)
        flow.addWidget(self._together)
        return holder


def device_words(device: DeviceNeed) -> list[str]:
    """Everything that a bar shows, in short sentences."""
    usable = max(0, device.free_bytes - device.reserve_bytes)
    capacity = max(device.capacity_bytes, device.free_bytes)
    engine = f", engine {format_gib(device.overhead_bytes)}" if device.overhead_bytes else ""
    return [
        f"{device.name}: {format_gib(device.total_bytes)} of {format_gib(usable)} usable.",
        f"Weights {format_gib(device.weights_bytes)}, context {format_gib(device.kv_bytes)}, "
        f"working memory {format_gib(device.compute_bytes)}{engine}.",
        f"{format_gib(capacity - device.free_bytes)} of {format_gib(capacity)} is in use already, "
        f"{format_gib(min(device.reserve_bytes, device.free_bytes))} is kept free.",
    ]


def _bare(n_bytes: int, beside: int) -> str:
    """An amount without its unit where the one beside it has the same."""
    words = format_gib(n_bytes)
    return words.removesuffix(" GiB") if format_gib(beside).endswith("GiB") and n_bytes >= 0.1 * GIB else words

"""A bar with segments: how much of something is taken, and by what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QRectF, QSize
from PySide6.QtGui import QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from localai_app.gui.metrics import BAR_HEIGHT
from localai_app.gui.theme import ThemeState


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a bar: how much, in the unit of the bar's total, in which colour (a field of Palette), and what it is."""

    amount: float
    token: str
    name: str = ""


def segment_widths(amounts: Sequence[float], total: float, width: float) -> list[float]:
    """Widths in pixels that never add up to more than `width`; a part that is there at all shows at least 2 px."""
    if total <= 0 or width <= 0:
        return [0.0 for _ in amounts]
    left = width
    widths: list[float] = []
    for amount in amounts:
        wanted = width * max(0.0, amount) / total
        if amount > 0:
            wanted = max(2.0, wanted)
        widths.append(min(left, wanted))
        left -= widths[-1]
    return widths


class Meter(QWidget):
    """A painted bar; its segments lie side by side from the left and the rest is free."""

    def __init__(self, theme: ThemeState, height: int = BAR_HEIGHT, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._segments: tuple[Segment, ...] = ()
        self._total = 0.0
        self.setFixedHeight(height)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme.changed.connect(self.update)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What is shown."""
        return self._segments

    def set_segments(self, segments: Sequence[Segment], total: float) -> None:
        """Show these parts of `total`; what is named is told to screen readers."""
        if (tuple(segments), total) == (self._segments, self._total):
            return
        self._segments, self._total = tuple(segments), total
        named = [f"{part.name} {part.amount / total:.0%}" for part in self._segments if part.name] if total > 0 else []
        self.setAccessibleDescription(", ".join(named))
        self.update()

    def sizeHint(self) -> QSize:
        """Wide as it may be, and low."""
        return QSize(120, self.height())

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw the track and the segments inside its rounded outline."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        outline = QPainterPath()
        radius = min(self.height() / 2, 5.0)
        outline.addRoundedRect(QRectF(self.rect()), radius, radius)
        painter.setClipPath(outline)
        palette = self._theme.palette
        painter.fillRect(self.rect(), palette.color("pressed" if palette.name == "contrast" else "line"))
        left = 0.0
        widths = segment_widths([part.amount for part in self._segments], self._total, self.width())
        for part, width in zip(self._segments, widths, strict=True):
            painter.fillRect(QRectF(left, 0, width, self.height()), palette.color(part.token))
            left += width

"""Grey bars where text and figures will stand; still, so that nothing flickers in the one or two seconds that they are seen."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from localai_app.gui.metrics import SPACE_1
from localai_app.gui.theme import ThemeState

BARS = ((0.30, 10), (0.60, 16), (0.95, 10), (0.90, 10), (0.55, 10), (0.45, 18), (1.0, 6), (0.80, 10), (0.80, 10), (1.0, 34))
"""Share of the width and height in pixels of each bar, from the top."""
GAP = 24


class Skeleton(QWidget):
    """As high as a filled card of suggestions usually is."""

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.setAccessibleName("Being calculated")
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        theme.changed.connect(self.update)

    def sizeHint(self) -> QSize:
        """Room for all bars."""
        return QSize(200, sum(height for _share, height in BARS) + GAP * (len(BARS) - 1))

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw the bars."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        palette = self._theme.palette
        painter.setBrush(palette.color("pressed" if palette.name == "contrast" else "hover"))
        top = 0.0
        gap = (self.height() - sum(height for _share, height in BARS)) / (len(BARS) - 1)
        for share, height in BARS:
            radius = min(height / 2, 2.0 * SPACE_1)
            painter.drawRoundedRect(QRectF(0, top, self.width() * share, height), radius, radius)
            top += height + gap

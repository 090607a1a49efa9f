"""A switch: on or off, in force at once."""

from __future__ import annotations

from PySide6.QtCore import Property, QEasingCurve, QPropertyAnimation, QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QWidget

from localai_app.gui.metrics import MOTION_MS
from localai_app.gui.theme import ThemeState

WIDTH, HEIGHT, MARGIN = 36, 20, 3


class Switch(QAbstractButton):
    """A checkable button painted as a switch; the space key and the mouse turn it."""

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._knob = 0.0
        self.setCheckable(True)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFixedSize(WIDTH + 4, HEIGHT + 4)
        self._animation = QPropertyAnimation(self, b"knob", self)
        self._animation.setDuration(MOTION_MS)
        self._animation.setEasingCurve(QEasingCurve.Type.OutCubic)
        self.toggled.connect(self._on_toggled)
        theme.changed.connect(self.update)

    def sizeHint(self) -> QSize:
        """Always the same size."""
        return QSize(WIDTH + 4, HEIGHT + 4)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw the track, the knob and, with the keyboard's focus, a ring."""
        palette = self._theme.palette
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        track = QRectF(2, 2, WIDTH, HEIGHT)
        if self.hasFocus():
            painter.setPen(QPen(palette.color("focus"), 1.5))
            painter.drawRoundedRect(track.adjusted(-1, -1, 1, 1), HEIGHT / 2 + 1, HEIGHT / 2 + 1)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(palette.color("accent" if self.isChecked() else "faint"))
        if not self.isEnabled():
            painter.setBrush(palette.color("line"))
        painter.drawRoundedRect(track, HEIGHT / 2, HEIGHT / 2)
        side = HEIGHT - 2 * MARGIN
        left = track.left() + MARGIN + self._knob * (WIDTH - side - 2 * MARGIN)
        painter.setBrush(palette.color("on_accent" if self.isChecked() else "raised"))
        painter.drawEllipse(QRectF(left, track.top() + MARGIN, side, side))

    def _get_knob(self) -> float:
        return self._knob

    def _set_knob(self, place: float) -> None:
        self._knob = place
        self.update()

    knob = Property(float, _get_knob, _set_knob)

    def _on_toggled(self, is_on: bool) -> None:
        end = 1.0 if is_on else 0.0
        if not self.isVisible():
            self._set_knob(end)
            return
        self._animation.stop()
        self._animation.setEndValue(end)
        self._animation.start()

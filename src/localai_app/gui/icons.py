"""Icons drawn from the icon font in the colours of the theme, crisp at every scale."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QIconEngine, QPainter, QPixmap

from localai_app.gui.theme import ThemeState


def icon(name: str, theme: ThemeState, role: str = "muted", size: int = 18, role_on: str | None = None) -> QIcon:
    """An icon that reads its colour from the theme whenever it is painted.

    `role` is a field of `Palette`; `role_on` the one while its button is checked. Names: those of
    `icon_font.GLYPHS` and every name of the Phosphor set. An unknown name raises KeyError.
    """
    theme.icon_font.character(name)
    return QIcon(_GlyphEngine(name, theme, role, size, role_on or role))


def icon_pixmap(name: str, theme: ThemeState, role: str, size: int, device_pixel_ratio: float) -> QPixmap:
    """An icon as a picture, for labels; make it anew when the theme changes."""
    pixmap = QPixmap(round(size * device_pixel_ratio), round(size * device_pixel_ratio))
    pixmap.setDevicePixelRatio(device_pixel_ratio)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    paint_icon(painter, QRect(0, 0, size, size), name, theme, theme.palette.color(role))
    painter.end()
    return pixmap


def paint_icon(painter: QPainter, rect: QRect, name: str, theme: ThemeState, color: QColor) -> None:
    """Draw an icon in the middle of `rect`, for delegates and painted widgets."""
    side = min(rect.width(), rect.height())
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setRenderHint(QPainter.RenderHint.TextAntialiasing)
    painter.setFont(theme.icon_font.font(side))
    painter.setPen(color)
    painter.drawText(QRectF(rect), int(Qt.AlignmentFlag.AlignCenter), theme.icon_font.character(name))
    painter.restore()


class _GlyphEngine(QIconEngine):
    def __init__(self, name: str, theme: ThemeState, role: str, size: int, role_on: str) -> None:
        super().__init__()
        self._name, self._theme, self._role, self._size, self._role_on = name, theme, role, size, role_on

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, state: QIcon.State) -> None:
        role = self._role_on if state == QIcon.State.On else self._role
        if mode == QIcon.Mode.Disabled:
            role = "faint"
        paint_icon(painter, rect, self._name, self._theme, self._theme.palette.color(role))

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        pixmap = QPixmap(size)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        self.paint(painter, QRect(QPoint(0, 0), size), mode, state)
        painter.end()
        return pixmap

    def clone(self) -> QIconEngine:
        return _GlyphEngine(self._name, self._theme, self._role, self._size, self._role_on)

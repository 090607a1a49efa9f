"""A small muted button under or above content: icon and word, a soft background only under the pointer."""

from __future__ import annotations

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QFont, QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QSizePolicy, QWidget

from localai_app.gui import metrics
from localai_app.gui.icons import paint_icon
from localai_app.gui.theme import ThemeState

ICON_SIZE = 14
PADDING = metrics.SPACE_2


class QuietButton(QAbstractButton):
    """Painted, not styled: a transcript holds hundreds of these."""

    def __init__(self, text: str, icon_name: str, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._icon_name = icon_name
        self.setText(text)
        self.setAccessibleName(text)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        theme.changed.connect(self.updateGeometry)

    def sizeHint(self) -> QSize:
        """Icon, gap, word and the padding around."""
        width = 2 * PADDING + (self._icon_size if self._icon_name else 0)
        if self.text():
            width += QFontMetrics(self._font()).horizontalAdvance(self.text()) + (metrics.SPACE_1 if self._icon_name else 0)
        return QSize(width, self._theme.sizes.caption + 14)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Background by state, then icon and word."""
        palette = self._theme.palette
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.isDown() or (self.underMouse() and self.isEnabled()):
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(palette.color("pressed" if self.isDown() else "hover"))
            painter.drawRoundedRect(self.rect(), metrics.RADIUS_SMALL, metrics.RADIUS_SMALL)
        if self.hasFocus():
            painter.setPen(QPen(palette.color("focus"), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(self.rect().adjusted(1, 1, -1, -1), metrics.RADIUS_SMALL, metrics.RADIUS_SMALL)
        color = palette.color("faint" if not self.isEnabled() else "text" if self.underMouse() else "muted")
        left = PADDING
        if self._icon_name:
            size = self._icon_size
            paint_icon(painter, QRect(left, (self.height() - size) // 2, size, size), self._icon_name, self._theme, color)
            left += size + metrics.SPACE_1
        painter.setPen(color)
        painter.setFont(self._font())
        painter.drawText(self.rect().adjusted(left, 0, 0, 0), int(Qt.AlignmentFlag.AlignVCenter), self.text())
        painter.end()

    def set_icon_name(self, icon_name: str) -> None:
        """Draw another icon."""
        self._icon_name = icon_name
        self.updateGeometry()
        self.update()

    def setText(self, text: str) -> None:
        """Draw another word, at its own width."""
        super().setText(text)
        self.updateGeometry()

    @property
    def _icon_size(self) -> int:
        """As large as the text asks for."""
        return self._theme.sizes.grown(ICON_SIZE)

    def _font(self) -> QFont:
        return self._theme.text_font(self._theme.sizes.caption)

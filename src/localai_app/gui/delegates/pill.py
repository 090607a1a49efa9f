"""A word in a coloured pill, painted as the widget `Badge` looks."""

from __future__ import annotations

from PySide6.QtCore import QRect, QRectF, Qt
from PySide6.QtGui import QFont, QFontMetrics, QPainter

from localai_app.gui.metrics import SPACE_2
from localai_app.gui.theme import ThemeState


def pill_width(text: str, theme: ThemeState) -> int:
    """How wide a pill with that text is."""
    return QFontMetrics(_font(theme)).horizontalAdvance(text) + 2 * SPACE_2


def draw_pill(painter: QPainter, line: QRect, text: str, tone: str, theme: ThemeState, *, at_left: bool = False) -> int:
    """Draw a pill at the right (or left) end of a line; returns its width. `tone` is good, warn, bad, neutral or accent."""
    palette = theme.palette
    width, height = pill_width(text, theme), theme.sizes.caption + SPACE_2
    left = line.left() if at_left else line.right() - width
    pill = QRectF(left, line.center().y() - height / 2, width, height)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(palette.color("code" if tone == "neutral" else f"{tone}_soft"))
    painter.drawRoundedRect(pill, height / 2, height / 2)
    painter.setFont(_font(theme))
    painter.setPen(palette.color("muted" if tone == "neutral" else tone))
    painter.drawText(pill, int(Qt.AlignmentFlag.AlignCenter), text)
    return width


def _font(theme: ThemeState) -> QFont:
    return theme.text_font(theme.sizes.caption, QFont.Weight.DemiBold)

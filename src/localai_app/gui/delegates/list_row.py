"""What the rows of lists have in common: their background by state, and a line of text that is cut where it is too long."""

from __future__ import annotations

from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QFont, QFontMetrics, QPainter, QPen
from PySide6.QtWidgets import QStyle, QStyleOptionViewItem

from localai_app.gui import metrics
from localai_app.gui.theme import ThemeState


def draw_row(painter: QPainter, row: QRect, option: QStyleOptionViewItem, theme: ThemeState) -> None:
    """A rounded row: the chosen one in the accent's soft colour, and a frame where the keyboard is."""
    palette = theme.palette
    is_selected = bool(option.state & QStyle.StateFlag.State_Selected)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    if is_selected or option.state & QStyle.StateFlag.State_MouseOver:
        painter.setBrush(palette.color("accent_soft" if is_selected else "hover"))
        painter.drawRoundedRect(row, metrics.RADIUS_CONTROL, metrics.RADIUS_CONTROL)
    if option.state & QStyle.StateFlag.State_HasFocus and option.state & QStyle.StateFlag.State_KeyboardFocusChange:
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(palette.color("focus"), 1))
        painter.drawRoundedRect(row.adjusted(1, 1, -1, -1), metrics.RADIUS_CONTROL, metrics.RADIUS_CONTROL)


def draw_line(painter: QPainter, rect: QRect, text: str, font: QFont, theme: ThemeState, token: str) -> None:
    """One line at the left of a place, in a colour of the palette."""
    painter.setFont(font)
    painter.setPen(theme.palette.color(token))
    shown = QFontMetrics(font).elidedText(text, Qt.TextElideMode.ElideRight, rect.width())
    painter.drawText(rect, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft), shown)

"""Paints a row of the Discover list: name and publisher at the left, verdict and speed at the right."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from localai_app.gui.delegates.pill import draw_pill
from localai_app.gui.itemmodels.discovery_list_model import DiscoverEntry, EntryRole
from localai_app.gui.metrics import SPACE_1, SPACE_2, SPACE_4
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.badge import verdict_short, verdict_tone

Index = QModelIndex | QPersistentModelIndex


class DiscoveryDelegate(QStyledItemDelegate):
    """Two lines a row, with a line below."""

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """Two lines of text and the space around them."""
        sizes = self._theme.sizes
        return QSize(240, round(1.45 * (sizes.body + sizes.caption)) + 2 * SPACE_2 + SPACE_1)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Draw one row."""
        entry: DiscoverEntry = index.data(EntryRole.ENTRY)
        palette, sizes = self._theme.palette, self._theme.sizes
        rect: QRect = option.rect
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(rect, palette.color("accent_soft"))
        elif option.state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(rect, palette.color("hover"))
        painter.fillRect(rect.left(), rect.bottom(), rect.width(), 1, palette.color("line"))
        if option.state & QStyle.StateFlag.State_HasFocus:
            painter.setPen(palette.color("focus"))
            painter.drawRect(QRectF(rect).adjusted(0.5, 0.5, -0.5, -1.5))
        inner = rect.adjusted(SPACE_4, SPACE_2, -SPACE_4, -SPACE_2)
        half = inner.height() // 2
        upper = QRect(inner.left(), inner.top(), inner.width(), half)
        lower = QRect(inner.left(), inner.top() + half, inner.width(), inner.height() - half)
        name_font = self._theme.text_font(sizes.body, QFont.Weight.DemiBold)
        small_font = self._theme.text_font(sizes.caption)
        taken = self._draw_badge(painter, upper, entry)
        self._draw_text(painter, upper.adjusted(0, 0, -taken, 0), entry.title, name_font, palette.color("text"))
        speed_width = QFontMetrics(small_font).horizontalAdvance(entry.speed) + SPACE_2 if entry.speed else 0
        self._draw_text(painter, lower.adjusted(0, 0, -speed_width, 0), entry.subtitle, small_font, palette.color("muted"))
        if entry.speed:
            painter.setFont(small_font)
            painter.setPen(palette.color("muted"))
            painter.drawText(lower, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter), entry.speed)
        painter.restore()

    def _draw_badge(self, painter: QPainter, line: QRect, entry: DiscoverEntry) -> int:
        """Draw the verdict at the right end of a line; returns the width that it took."""
        if entry.verdict is None:
            return 0
        return draw_pill(painter, line, verdict_short(entry.verdict), verdict_tone(entry.verdict), self._theme) + SPACE_2

    @staticmethod
    def _draw_text(painter: QPainter, line: QRect, text: str, font: QFont, color: QColor) -> None:
        painter.setFont(font)
        painter.setPen(color)
        shown = QFontMetrics(font).elidedText(text, Qt.TextElideMode.ElideRight, line.width())
        painter.drawText(line, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter), shown)

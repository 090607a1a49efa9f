"""Draws a comparison in the history: its prompt, with whom and when, and at the right how far it is."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, QRect, QSize
from PySide6.QtGui import QFont, QFontMetrics, QPainter
from PySide6.QtWidgets import QStyledItemDelegate, QStyleOptionViewItem

from localai_app.compare.comparison import ComparisonState
from localai_app.gui import metrics
from localai_app.gui.delegates.list_row import draw_line, draw_row
from localai_app.gui.delegates.pill import draw_pill
from localai_app.gui.itemmodels.comparison_list_model import ENTRY_ROLE, figures, second_line
from localai_app.gui.theme import ThemeState
from localai_app.services.compare.history import HistoryEntry

Index = QModelIndex | QPersistentModelIndex
GAP = 2
"""Half of the distance between rows."""


class ComparisonDelegate(QStyledItemDelegate):
    """Two lines in a rounded row; the chosen one in the accent's soft colour."""

    def __init__(self, theme: ThemeState, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._theme = theme

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """Two lines with room around."""
        sizes = self._theme.sizes
        return QSize(100, sizes.body + sizes.caption + 38)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Background by state, then the two lines."""
        entry: HistoryEntry = index.data(ENTRY_ROLE)
        row = option.rect.adjusted(0, GAP, 0, -GAP)
        painter.save()
        draw_row(painter, row, option, self._theme)
        self._paint_lines(painter, row, entry)
        painter.restore()

    def _paint_lines(self, painter: QPainter, row: QRect, entry: HistoryEntry) -> None:
        sizes = self._theme.sizes
        upper_height, lower_height = sizes.body + 8, sizes.caption + 5
        top = row.top() + (row.height() - upper_height - lower_height) // 2
        inside = row.adjusted(metrics.SPACE_4, 0, -metrics.SPACE_4, 0)
        upper = QRect(inside.left(), top, inside.width(), upper_height)
        lower = QRect(inside.left(), upper.bottom() + 1, inside.width(), lower_height)
        pill_width = draw_pill(painter, upper, entry.state_words, state_tone(entry), self._theme)
        self._draw(painter, upper.adjusted(0, 0, -pill_width - metrics.SPACE_3, 0), entry.title,
                   self._theme.text_font(sizes.body, QFont.Weight.Medium), "text")
        caption = self._theme.text_font(sizes.caption)
        right = figures(entry)
        width = QFontMetrics(caption).horizontalAdvance(right)
        self._draw(painter, QRect(lower.right() - width, lower.top(), width + 1, lower.height()), right, caption, "muted")
        self._draw(painter, lower.adjusted(0, 0, -width - metrics.SPACE_4, 0), second_line(entry), caption, "muted")

    def _draw(self, painter: QPainter, rect: QRect, text: str, font: QFont, token: str) -> None:
        draw_line(painter, rect, " ".join(text.split()), font, self._theme, token)


def state_tone(entry: HistoryEntry) -> str:
    """The colour of how far it is."""
    if entry.is_running:
        return "accent"
    return {
        ComparisonState.RUNNING: "warn", ComparisonState.CANCELLED: "neutral", ComparisonState.DONE: "good"}[entry.state]

"""Paints a cell of the table of models that another computer could run: text, and words in pills."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QFont, QFontMetrics, QPainter
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from localai_app.gui.delegates.pill import draw_pill, pill_width
from localai_app.gui.itemmodels.possible_table_model import PILL_ROLE, Column
from localai_app.gui.metrics import SPACE_2, SPACE_4
from localai_app.gui.theme import ThemeState

CELL_PADDING = 10
"""As the style sheet pads the titles of columns."""
Index = QModelIndex | QPersistentModelIndex


class PossibleDelegate(QStyledItemDelegate):
    """One line a row, with a line below; no frame around the cell with the focus, but a ground behind its row."""

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme

    @property
    def row_height(self) -> int:
        """A line of text and the space around it."""
        return round(1.45 * self._theme.sizes.body) + SPACE_4

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """The text with its pill, or the pill in its place."""
        pill = index.data(PILL_ROLE)
        width = 0
        if pill is None or index.column() == Column.MODEL:
            # One more pixel: advances are rounded, and a text that lacks a fraction of one would be shortened.
            width = QFontMetrics(self._font(index)).horizontalAdvance(str(index.data() or "")) + 1
        if pill is not None:
            width += pill_width(pill[0], self._theme) + (SPACE_2 if width else 0)
        return QSize(width + 2 * CELL_PADDING, self.row_height)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Draw one cell."""
        palette = self._theme.palette
        rect: QRect = option.rect
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(rect, palette.color("accent_soft"))
        painter.fillRect(rect.left(), rect.bottom(), rect.width(), 1, palette.color("line"))
        inner = rect.adjusted(CELL_PADDING, 0, -CELL_PADDING, -1)
        pill = index.data(PILL_ROLE)
        if pill is not None and index.column() != Column.MODEL:
            draw_pill(painter, inner, pill[0], pill[1], self._theme, at_left=True)
            painter.restore()
            return
        font = self._font(index)
        metrics = QFontMetrics(font)
        room = inner.width() - (pill_width(pill[0], self._theme) + SPACE_2 if pill is not None else 0)
        shown = metrics.elidedText(str(index.data() or ""), Qt.TextElideMode.ElideRight, max(0, room))
        painter.setFont(font)
        painter.setPen(palette.color("text" if index.column() in (Column.MODEL, Column.SPEED) else "muted"))
        painter.drawText(inner, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter), shown)
        if pill is not None:
            beside = inner.adjusted(metrics.horizontalAdvance(shown) + SPACE_2, 0, 0, 0)
            draw_pill(painter, beside, pill[0], pill[1], self._theme, at_left=True)
        painter.restore()

    def _font(self, index: Index) -> QFont:
        sizes = self._theme.sizes
        weight = QFont.Weight.DemiBold if index.column() == Column.MODEL else QFont.Weight.Normal
        return self._theme.text_font(sizes.body, weight)

"""Paints how sure a model's points are: a bar from the lower to the upper end, with a point where they are."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPointF, QRectF, QSize
from PySide6.QtGui import QPainter, QPen
from PySide6.QtWidgets import QStyledItemDelegate, QStyleOptionViewItem, QWidget

from localai_app.compare.leaderboard import MIDDLE_POINTS, Standing
from localai_app.gui.itemmodels.standings_table_model import STANDING_ROLE
from localai_app.gui.metrics import SPACE_3
from localai_app.gui.theme import ThemeState

Index = QModelIndex | QPersistentModelIndex
LEAST_WIDTH = 120
FARTHEST = 400.0
"""The axis reaches at most so many points beyond the best and the worst row: a bar that goes on is cut there."""
_BAR = 6.0
_POINT = 4.0


class IntervalDelegate(QStyledItemDelegate):
    """All rows share an axis, on which the middle is marked."""

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.axis = (MIDDLE_POINTS - 100.0, MIDDLE_POINTS + 100.0)

    def fit_axis(self, rows: Sequence[Standing]) -> None:
        """Let the axis hold these rows."""
        known = [row.strength for row in rows if row.strength is not None]
        if not known:
            return
        low = max(min(one.low for one in known), min(one.points for one in known) - FARTHEST)
        high = min(max(one.high for one in known), max(one.points for one in known) + FARTHEST)
        self.axis = (min(low, MIDDLE_POINTS - 50.0), max(high, MIDDLE_POINTS + 50.0))

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """Wide enough to compare bars."""
        return QSize(LEAST_WIDTH, super().sizeHint(option, index).height())

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """The cell as any other, then the bar."""
        super().paint(painter, option, index)
        standing: Standing = index.data(STANDING_ROLE)
        inner = QRectF(option.rect).adjusted(SPACE_3, 0, -SPACE_3, 0)
        palette, middle = self._theme.palette, inner.center().y()
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(palette.color("control_line"), 1))
        x = self._x(inner, MIDDLE_POINTS)
        painter.drawLine(QPointF(x, option.rect.top()), QPointF(x, option.rect.bottom()))
        if standing.strength is not None:
            token = "faint" if standing.group else "accent"
            bar = palette.color(token)
            bar.setAlphaF(0.35)
            left, right = self._x(inner, standing.strength.low), self._x(inner, standing.strength.high)
            painter.setPen(QPen(bar, 0))
            painter.setBrush(bar)
            painter.drawRoundedRect(QRectF(left, middle - _BAR / 2, max(_BAR, right - left), _BAR), _BAR / 2, _BAR / 2)
            painter.setBrush(palette.color(token))
            painter.drawEllipse(QPointF(self._x(inner, standing.strength.points), middle), _POINT, _POINT)
        painter.restore()

    def _x(self, inner: QRectF, points: float) -> float:
        low, high = self.axis
        return inner.left() + inner.width() * (min(high, max(low, points)) - low) / (high - low)

"""Where the plot of a chart lies, and its axes: grid, marks and titles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QFontMetrics, QPainter, QPen

from localai_app.gui.metrics import SPACE_1, SPACE_2
from localai_app.gui.theme import ThemeState

Position = Callable[[float, float], QPointF]


@dataclass(frozen=True, slots=True)
class MarkedAxis:
    """One axis as it is painted; `marks` rise, and the first one is its beginning."""

    title: str
    format: Callable[[float], str]
    marks: Sequence[float]


def plot_area(letters: QFontMetrics, size: QSize, x: MarkedAxis, y: MarkedAxis) -> QRectF:
    """What titles and marks leave of a chart."""
    left = max(letters.horizontalAdvance(y.format(mark)) for mark in y.marks) + SPACE_2
    right = letters.horizontalAdvance(x.format(x.marks[-1])) / 2 + SPACE_2
    top, bottom = 1.6 * letters.height() + SPACE_1, 2.4 * letters.height()
    return QRectF(left, top, max(1.0, size.width() - left - right), max(1.0, size.height() - top - bottom))


def paint_axes(
    painter: QPainter, theme: ThemeState, plot: QRectF, axes: tuple[MarkedAxis, MarkedAxis], position_of: Position, size: QSize,
) -> None:
    """Paint `axes`, the horizontal one first; of its marks those that have room. `position_of`: where a place on them lies."""
    palette, letters = theme.palette, QFontMetrics(painter.font())
    x_axis, y_axis = axes
    # Frames in high contrast are as bright as text; the grid has to stay behind what is shown.
    grid = "pressed" if palette.name == "contrast" else "line"
    for mark in y_axis.marks:
        y = round(position_of(x_axis.marks[0], mark).y()) + 0.5
        painter.setPen(QPen(palette.color("control_line" if mark == y_axis.marks[0] else grid), 1))
        painter.drawLine(QPointF(plot.left(), y), QPointF(plot.right(), y))
        painter.setPen(palette.color("muted"))
        painter.drawText(
            QRectF(0, y - letters.height() / 2, plot.left() - SPACE_2, letters.height()),
            Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, y_axis.format(mark))
    ends = -1e9
    for mark in x_axis.marks:
        text, x = x_axis.format(mark), position_of(mark, y_axis.marks[0]).x()
        width = letters.horizontalAdvance(text)
        if x - width / 2 < ends + SPACE_2:
            continue
        ends = x + width / 2
        left = min(max(0.0, x - width / 2 - 1), size.width() - width - 2)
        painter.drawText(
            QRectF(left, plot.bottom() + SPACE_1, width + 2, letters.height()), Qt.AlignmentFlag.AlignCenter, text)
    painter.drawText(QRectF(0, 0, size.width(), letters.height()), Qt.AlignmentFlag.AlignLeft, y_axis.title)
    painter.drawText(
        QRectF(plot.left(), size.height() - letters.height(), plot.width(), letters.height()),
        Qt.AlignmentFlag.AlignRight, x_axis.title)

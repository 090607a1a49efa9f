"""A small line chart: axes from zero with units, a legend, the nearest point on hover."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QFont, QFontMetrics, QHelpEvent, QPainter, QPaintEvent, QPen, QPolygonF, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from localai_app.gui.metrics import SPACE_3, SPACE_4
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.chart_axes import MarkedAxis, paint_axes, plot_area
from localai_app.gui.widgets.chart_scale import binary_marks, round_marks

_HEIGHT = 190
_POINT_RADIUS = 3.0
_REACH = 28.0
"""A point is told of within so many pixels of the pointer."""


def _plain(value: float) -> str:
    return f"{value:,.10g}"


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis from zero. `marks` None: round ones, or powers of two; `highest` is the least value at its end."""

    title: str
    format: Callable[[float], str] = _plain
    marks: tuple[float, ...] | None = None
    highest: float = 0.0
    is_binary: bool = False


@dataclass(frozen=True, slots=True)
class Series:
    """One line. `token` is a field of Palette; `is_faint`: thin, without points, in the background.

    `legend` stands for the name in the legend; empty: the line is not named there.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    token: str = "accent"
    is_faint: bool = False
    has_points: bool = True
    legend: str | None = None

    @property
    def legend_words(self) -> str:
        """How the legend calls it."""
        return self.name if self.legend is None else self.legend


class Chart(QWidget):
    """Paints series; paints only when something changed."""

    def __init__(self, theme: ThemeState, name: str, x_axis: Axis, y_axis: Axis, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._x, self._y = x_axis, y_axis
        self._series: tuple[Series, ...] = ()
        self._frame: tuple[QRectF, float, float] | None = None
        self.setAccessibleName(name)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme.changed.connect(self._on_theme_changed)

    @property
    def series(self) -> tuple[Series, ...]:
        """What is shown."""
        return self._series

    def show_series(self, series: Sequence[Series], summary: str, *, y_axis: Axis | None = None) -> None:
        """Show these; `summary` says in words what the lines say to those who see them."""
        shown = (tuple(series), y_axis or self._y)
        if self.accessibleDescription() != summary:
            self.setAccessibleDescription(summary)
        if shown == (self._series, self._y):
            return
        self._series, self._y = shown
        self._frame = None
        self.update()

    def sizeHint(self) -> QSize:
        """Wide as it may be."""
        return QSize(320, self._theme.sizes.grown(_HEIGHT))

    def minimumSizeHint(self) -> QSize:
        """Narrow, and as high as always."""
        return QSize(200, self._theme.sizes.grown(_HEIGHT))

    def x_marks(self) -> tuple[float, ...]:
        """Where the horizontal axis is marked."""
        return self._marks(self._x, 0)

    def y_marks(self) -> tuple[float, ...]:
        """Where the vertical axis is marked."""
        return self._marks(self._y, 1)

    def position_of(self, x: float, y: float) -> QPointF:
        """Where a point lies on the widget."""
        plot, x_end, y_end = self._placed_frame()
        return QPointF(plot.left() + plot.width() * x / x_end, plot.bottom() - plot.height() * y / y_end)

    def words_at(self, position: QPointF) -> str:
        """The point nearest to a place on the widget, in words; empty where none is near."""
        nearest, least = "", _REACH
        for series in self._series:
            for x, y in series.points:
                offset = self.position_of(x, y) - position
                distance = (offset.x() ** 2 + offset.y() ** 2) ** 0.5
                if distance < least or (distance == least and not series.is_faint):
                    least = distance
                    nearest = f"{series.name}: {self._y.format(y)} {self._y.title}, {self._x.format(x)} {self._x.title}"
        return nearest

    def event(self, event: QEvent) -> bool:
        """Tell of the point under the pointer."""
        if isinstance(event, QHelpEvent) and event.type() is QEvent.Type.ToolTip:
            QToolTip.showText(event.globalPos(), self.words_at(QPointF(event.pos())), self)
            return True
        return super().event(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Another size has other places."""
        super().resizeEvent(event)
        self._frame = None

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Grid, titles, faint lines, then the others."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(self._font())
        paint_axes(painter, self._theme, self._placed_frame()[0], self._axes(), self.position_of, self.size())
        self._paint_legend(painter)
        for series in sorted(self._series, key=lambda one: not one.is_faint):
            self._paint_series(painter, series)

    def _marks(self, axis: Axis, index: int) -> tuple[float, ...]:
        if axis.marks is not None:
            return axis.marks
        marks = binary_marks if axis.is_binary else round_marks
        return marks(max([axis.highest, *(point[index] for one in self._series for point in one.points)]))

    def _font(self) -> QFont:
        font = QFont(self.font())
        font.setPixelSize(self._theme.sizes.caption)
        return font

    def _placed_frame(self) -> tuple[QRectF, float, float]:
        """The plot and the ends of its axes. They depend on all points, and each point asks for them: found out once."""
        if self._frame is None:
            x_axis, y_axis = self._axes()
            plot = plot_area(QFontMetrics(self._font()), self.size(), x_axis, y_axis)
            self._frame = (plot, x_axis.marks[-1], y_axis.marks[-1])
        return self._frame

    def _axes(self) -> tuple[MarkedAxis, MarkedAxis]:
        return (
            MarkedAxis(self._x.title, self._x.format, self.x_marks()),
            MarkedAxis(self._y.title, self._y.format, self.y_marks()))

    def _paint_legend(self, painter: QPainter) -> None:
        """Names below the axis, each behind a piece of its line; none where there is one line only."""
        named = [one for one in self._series if one.legend_words]
        if len(named) < 2:
            return
        palette, letters = self._theme.palette, QFontMetrics(self._font())
        top, left = self.height() - letters.height(), self._placed_frame()[0].left()
        room = self.width() - left - letters.horizontalAdvance(self._x.title) - 2 * SPACE_4 * len(named)
        wanted = sum(letters.horizontalAdvance(one.legend_words) for one in named)
        for series in named:
            painter.setPen(self._pen(series))
            painter.drawLine(QPointF(left, top + letters.height() / 2), QPointF(left + SPACE_3, top + letters.height() / 2))
            left += SPACE_4
            name = series.legend_words
            if wanted > room:
                name = letters.elidedText(name, Qt.TextElideMode.ElideRight, round(room / len(named)))
            width = letters.horizontalAdvance(name)
            painter.setPen(palette.color("muted"))
            painter.drawText(QRectF(left, top, width + 1, letters.height()), Qt.AlignmentFlag.AlignLeft, name)
            left += width + SPACE_4

    def _paint_series(self, painter: QPainter, series: Series) -> None:
        positions = [self.position_of(x, y) for x, y in series.points]
        painter.setPen(self._pen(series))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPolyline(QPolygonF(positions))
        if series.has_points and not series.is_faint:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self._theme.palette.color(series.token))
            for position in positions:
                painter.drawEllipse(position, _POINT_RADIUS, _POINT_RADIUS)

    def _pen(self, series: Series) -> QPen:
        pen = QPen(self._theme.palette.color("faint" if series.is_faint else series.token), 1.2 if series.is_faint else 2.0)
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        return pen

    def _on_theme_changed(self) -> None:
        self._frame = None
        self.updateGeometry()
        self.update()

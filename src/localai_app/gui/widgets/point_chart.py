"""A chart of named points with error bars: something against something else, each point called by its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, QSizeF, Qt
from PySide6.QtGui import QFont, QFontMetrics, QHelpEvent, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from localai_app.gui.metrics import SPACE_2
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.chart_axes import MarkedAxis, paint_axes, plot_area
from localai_app.gui.widgets.chart_scale import marks_between
from localai_app.gui.widgets.label_places import place_labels

_HEIGHT = 240
_POINT_RADIUS = 4.5
_WHISKER = 4.0
"""Half the width of the end of an error bar."""
_REACH = 28.0
"""A point is told of within so many pixels of the pointer."""
_WIDEST_NAME = 0.4
"""Of the plot's width; longer names are cut, and told in full on hover."""


@dataclass(frozen=True, slots=True)
class PointAxis:
    """One axis. `from_zero`: it begins at zero, as it should where shares of a whole are compared."""

    title: str
    format: Callable[[float], str]
    from_zero: bool = True


@dataclass(frozen=True, slots=True)
class ChartPoint:
    """One point. `x_error` and `y_error`: (lowest, highest) value within the error; None: without a bar.

    `token` is a field of Palette; `is_hollow` sets one apart from the others, such as what they are measured against.
    """

    name: str
    x: float
    y: float
    x_error: tuple[float, float] | None = None
    y_error: tuple[float, float] | None = None
    token: str = "accent"
    is_hollow: bool = False

    @property
    def xs(self) -> tuple[float, ...]:
        """Everything that the horizontal axis has to show of it."""
        return (self.x, *(self.x_error or ()))

    @property
    def ys(self) -> tuple[float, ...]:
        """Everything that the vertical axis has to show of it."""
        return (self.y, *(self.y_error or ()))


@dataclass(frozen=True, slots=True)
class PlotFrame:
    """The plot on the widget, and the marks of its axes; the first and the last of them are the ends."""

    plot: QRectF
    xs: tuple[float, ...]
    ys: tuple[float, ...]

    def position_of(self, x: float, y: float) -> QPointF:
        """Where a place on the axes lies on the widget."""
        return QPointF(
            self.plot.left() + self.plot.width() * (x - self.xs[0]) / (self.xs[-1] - self.xs[0]),
            self.plot.bottom() - self.plot.height() * (y - self.ys[0]) / (self.ys[-1] - self.ys[0]))


class PointChart(QWidget):
    """Paints points; paints only when something changed."""

    def __init__(
        self, theme: ThemeState, name: str, x_axis: PointAxis, y_axis: PointAxis, parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._theme = theme
        self._x, self._y = x_axis, y_axis
        self._points: tuple[ChartPoint, ...] = ()
        self._frame: PlotFrame | None = None
        self.setAccessibleName(name)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme.changed.connect(self._on_theme_changed)

    @property
    def points(self) -> tuple[ChartPoint, ...]:
        """What is shown."""
        return self._points

    def show_points(self, points: Sequence[ChartPoint], summary: str) -> None:
        """Show these; `summary` says in words what they say to those who see them."""
        self.setAccessibleDescription(summary)
        if tuple(points) == self._points:
            return
        self._points = tuple(points)
        self._frame = None
        self.update()

    def sizeHint(self) -> QSize:
        """Wide as it may be."""
        return QSize(360, self._theme.sizes.grown(_HEIGHT))

    def minimumSizeHint(self) -> QSize:
        """Narrow, and as high as always."""
        return QSize(220, self._theme.sizes.grown(_HEIGHT))

    @property
    def frame(self) -> PlotFrame:
        """Where things lie. It depends on all points, and each point asks for it: found out once."""
        if self._frame is None:
            xs = _marks(self._x, [value for point in self._points for value in point.xs])
            ys = _marks(self._y, [value for point in self._points for value in point.ys])
            plot = plot_area(QFontMetrics(self._font()), self.size(), *self._axes(xs, ys))
            self._frame = PlotFrame(plot, xs, ys)
        return self._frame

    def label_places(self) -> tuple[QRectF | None, ...]:
        """Where the name of each point stands; None where there is no room for it."""
        letters = QFontMetrics(self._font())
        positions = [self.frame.position_of(point.x, point.y) for point in self._points]
        sizes = [QSizeF(letters.horizontalAdvance(name) + 2, letters.height()) for name in self._shown_names()]
        obstacles = [obstacle for point in self._points for obstacle in _obstacles(point, self.frame)]
        return place_labels(positions, sizes, obstacles, self.frame.plot.adjusted(1, 0, SPACE_2, -1))

    def words_at(self, position: QPointF) -> str:
        """The point nearest to a place on the widget, in words; empty where none is near."""
        nearest, least = "", _REACH
        for point in self._points:
            offset = self.frame.position_of(point.x, point.y) - position
            distance = (offset.x() ** 2 + offset.y() ** 2) ** 0.5
            if distance < least:
                least, nearest = distance, self.point_words(point)
        return nearest

    def point_words(self, point: ChartPoint) -> str:
        """One point in words: "Q4_0: mean KL divergence 0.07 (0.06 to 0.08), size 92 MB"."""
        parts = [
            f"{axis.title} {axis.format(value)}" + (
                f" ({axis.format(error[0])} to {axis.format(error[1])})" if error is not None else "")
            for axis, value, error in ((self._y, point.y, point.y_error), (self._x, point.x, point.x_error))]
        return f"{point.name}: {', '.join(parts)}"

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
        """Grid and titles, error bars, points, names."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(self._font())
        frame = self.frame
        paint_axes(painter, self._theme, frame.plot, self._axes(frame.xs, frame.ys), frame.position_of, self.size())
        for point in self._points:
            self._paint_errors(painter, point)
        for point in self._points:
            self._paint_point(painter, point)
        self._paint_names(painter)

    def _font(self) -> QFont:
        font = QFont(self.font())
        font.setPixelSize(self._theme.sizes.caption)
        return font

    def _shown_names(self) -> list[str]:
        letters, widest = QFontMetrics(self._font()), round(_WIDEST_NAME * self.frame.plot.width())
        return [letters.elidedText(point.name, Qt.TextElideMode.ElideMiddle, widest) for point in self._points]

    def _axes(self, xs: tuple[float, ...], ys: tuple[float, ...]) -> tuple[MarkedAxis, MarkedAxis]:
        return MarkedAxis(self._x.title, self._x.format, xs), MarkedAxis(self._y.title, self._y.format, ys)

    def _paint_errors(self, painter: QPainter, point: ChartPoint) -> None:
        color = self._theme.palette.color(point.token)
        color.setAlphaF(0.6)
        painter.setPen(QPen(color, 1.4))
        for low, high in _bars(point, self.frame):
            is_upright = low.x() == high.x()
            painter.drawLine(low, high)
            end = QPointF(_WHISKER, 0) if is_upright else QPointF(0, _WHISKER)
            for place in (low, high):
                painter.drawLine(place - end, place + end)

    def _paint_point(self, painter: QPainter, point: ChartPoint) -> None:
        palette = self._theme.palette
        painter.setPen(QPen(palette.color(point.token), 2.0))
        painter.setBrush(palette.color("panel" if point.is_hollow else point.token))
        painter.drawEllipse(self.frame.position_of(point.x, point.y), _POINT_RADIUS - 1, _POINT_RADIUS - 1)

    def _paint_names(self, painter: QPainter) -> None:
        palette = self._theme.palette
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for point, name, place in zip(self._points, self._shown_names(), self.label_places(), strict=True):
            if place is None:
                continue
            center = self.frame.position_of(point.x, point.y)
            near = QPointF(
                min(max(center.x(), place.left()), place.right()), min(max(center.y(), place.top()), place.bottom()))
            away = near - center
            if (away.x() ** 2 + away.y() ** 2) ** 0.5 > 12:
                painter.setPen(QPen(palette.color("faint"), 1))
                painter.drawLine(center, near)
            painter.setPen(palette.color("text"))
            painter.drawText(place, Qt.AlignmentFlag.AlignCenter, name)

    def _on_theme_changed(self) -> None:
        self._frame = None
        self.updateGeometry()
        self.update()


def _marks(axis: PointAxis, values: Sequence[float]) -> tuple[float, ...]:
    lowest = min(values, default=0.0)
    return marks_between(min(0.0, lowest) if axis.from_zero else lowest, max(values, default=0.0))


def _bars(point: ChartPoint, frame: PlotFrame) -> list[tuple[QPointF, QPointF]]:
    bars = []
    if point.y_error is not None:
        bars.append((frame.position_of(point.x, point.y_error[0]), frame.position_of(point.x, point.y_error[1])))
    if point.x_error is not None:
        bars.append((frame.position_of(point.x_error[0], point.y), frame.position_of(point.x_error[1], point.y)))
    return bars


def _obstacles(point: ChartPoint, frame: PlotFrame) -> list[QRectF]:
    """What no name may cover: the point and its error bars."""
    center, half = frame.position_of(point.x, point.y), _POINT_RADIUS + 1
    found = [QRectF(center.x() - half, center.y() - half, 2 * half, 2 * half)]
    for low, high in _bars(point, frame):
        found.append(QRectF(low, high).normalized().adjusted(-_WHISKER, -1, _WHISKER, 1))
    return found

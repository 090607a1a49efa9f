"""Loss against size and against speed, with error bars."""

from __future__ import annotations

from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QWidget

from localai_app.compare.loss import GOOD_KLD, LossResult
from localai_app.gui.metrics import SPACE_4, SPACE_6
from localai_app.gui.models.text_scale import scaled
from localai_app.gui.styling import set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.point_chart import ChartPoint, PointAxis, PointChart
from localai_app.services.compare.loss_words import LossMeasurement
from localai_app.units import format_file_size

NARROW = 620
"""Below it one chart stands under the other."""


def _kld(value: float) -> str:
    return f"{value:.3g}"


def _size(value: float) -> str:
    return format_file_size(round(value)) if value else "0"


def _speed(value: float) -> str:
    return f"{value:.3g} tok/s" if value else "0"


class LossCharts(QWidget):
    """Both charts, side by side where there is room."""

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        loss = PointAxis("mean KL divergence", _kld)
        self.by_size = PointChart(theme, "Loss against size", PointAxis("file size", _size), loss)
        self.by_speed = PointChart(theme, "Loss against speed", PointAxis("speed", _speed), loss)
        self._box = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        set_spacing(self._box, SPACE_6)
        self._box.addWidget(self.by_size, 1)
        self._box.addWidget(self.by_speed, 1)

    def show_measurement(self, measurement: LossMeasurement) -> None:
        """Show a measurement; the chart of speeds only where there are speeds."""
        results = measurement.results
        reference = measurement.reference
        sizes = [ChartPoint(reference.title, float(reference.size_bytes), 0.0, token="muted", is_hollow=True)]
        sizes += [_point(one, float(one.variant.size_bytes)) for one in results if one.variant.size_bytes]
        speeds = [_point(one, one.variant.tps) for one in results if one.variant.tps > 0]
        if speeds and reference.tps > 0:
            speeds.insert(0, ChartPoint(reference.title, reference.tps, 0.0, token="muted", is_hollow=True))
        self.by_size.show_points(sizes, "; ".join(map(self.by_size.point_words, sizes)))
        self.by_speed.show_points(speeds, "; ".join(map(self.by_speed.point_words, speeds)))
        self.by_speed.setVisible(bool(speeds))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Side by side or one under the other."""
        super().resizeEvent(event)
        is_narrow = self.width() < scaled(NARROW, self)
        self._box.setDirection(QBoxLayout.Direction.TopToBottom if is_narrow else QBoxLayout.Direction.LeftToRight)
        self._box.setSpacing(SPACE_4 if is_narrow else SPACE_6)


def _point(result: LossResult, x: float) -> ChartPoint:
    """Good ones in the colour of good, others in that of a warning; bars of two standard errors."""
    error = 2 * result.kld.error
    return ChartPoint(
        result.variant.title, x, result.kld.value,
        y_error=(max(0.0, result.kld.value - error), result.kld.value + error) if error > 0 else None,
        token="good" if result.kld.value <= GOOD_KLD else "warn")

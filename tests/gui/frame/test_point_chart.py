"""The chart of named points: marks, error bars, names that cover nothing, words on hover, painting in every theme."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PySide6.QtCore import QPointF, QRectF, QSizeF

from localai_app.gui.theme import CONTRAST, DARK, LIGHT, ThemeState
from localai_app.gui.widgets.chart_scale import marks_between
from localai_app.gui.widgets.label_places import place_labels
from localai_app.gui.widgets.point_chart import ChartPoint, PointAxis, PointChart

POINTS = (
    ChartPoint("F16", 270.0, 0.0, is_hollow=True), ChartPoint("Q8_0", 145.0, 0.002, y_error=(0.001, 0.003)),
    ChartPoint("Q4_0", 92.0, 0.07, y_error=(0.06, 0.08), x_error=(90.0, 95.0)), ChartPoint("Q2_K", 88.0, 0.09),
    ChartPoint("a variant with a very long name, of which only a part can be shown beside its point", 91.0, 0.072))


@pytest.fixture
def chart(qtbot) -> PointChart:
    made = PointChart(
        ThemeState(LIGHT), "Loss against size", PointAxis("size", lambda mb: f"{mb:.0f} MB"),
        PointAxis("KL divergence", lambda kld: f"{kld:.3g}"))
    qtbot.addWidget(made)
    made.resize(520, 240)
    made.show_points(POINTS, "Q4_0 is in between")
    made.show()
    return made


@pytest.mark.parametrize(("lowest", "highest", "marks"), [
    (0.0, 100.0, (0, 25, 50, 75, 100)), (-40.0, 130.0, (-50, 0, 50, 100, 150)), (92.0, 97.0, (92, 94, 96, 98)),
    (0.0, 0.0, (0, 0.25, 0.5, 0.75, 1)), (5.0, 5.0, (4.5, 4.75, 5, 5.25, 5.5)), (0.0, float("nan"), (0, 0.25, 0.5, 0.75, 1))])
def test_marks_between(lowest: float, highest: float, marks: tuple[float, ...]) -> None:
    assert marks_between(lowest, highest) == pytest.approx(marks)


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
@example(0.0, 5e-324)
@example(1e9, math.nextafter(1e9, 2e9))
def test_marks_hold_what_they_are_between(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    marks = marks_between(low, high)
    step = marks[1] - marks[0]
    assert 2 <= len(marks) <= 9
    assert marks[0] <= low + step / 1e6
    assert marks[-1] >= high - step / 1e6


def test_points_and_their_errors_lie_inside(chart: PointChart) -> None:
    assert chart.frame.xs[0] == chart.frame.ys[0] == 0
    for point in POINTS:
        for x, y in itertools.product(point.xs, point.ys):
            place = chart.frame.position_of(x, y)
            assert 0 < place.x() < chart.width()
            assert 0 < place.y() < chart.height()


def test_an_axis_need_not_begin_at_zero(qtbot) -> None:
    chart = PointChart(
        ThemeState(LIGHT), "Strength", PointAxis("tok/s", str), PointAxis("strength", str, from_zero=False))
    qtbot.addWidget(chart)
    chart.show_points([ChartPoint("a", 10.0, 1480.0), ChartPoint("b", 20.0, 1520.0)], "")
    assert (chart.frame.xs[0], chart.frame.ys[0], chart.frame.ys[-1]) == (0, 1480, 1520)


def test_names_cover_neither_each_other_nor_a_point(chart: PointChart) -> None:
    places = [place for place in chart.label_places() if place is not None]
    assert len(places) == len(POINTS)
    assert not any(one.intersects(other) for one, other in itertools.combinations(places, 2))
    for point in POINTS:
        assert not any(place.contains(chart.frame.position_of(point.x, point.y)) for place in places)
    assert all(place.width() < 0.45 * chart.width() for place in places)


@given(st.lists(st.tuples(st.floats(0, 300), st.floats(0, 150), st.floats(5, 120)), max_size=12))
def test_names_never_overlap_wherever_the_points_lie(found: list[tuple[float, float, float]]) -> None:
    points = [QPointF(x, y) for x, y, _ in found]
    obstacles = [QRectF(point.x() - 4, point.y() - 4, 8, 8) for point in points]
    bounds = QRectF(0, 0, 300, 150)
    places = place_labels(points, [QSizeF(width, 14) for _, _, width in found], obstacles, bounds)
    assert len(places) == len(points)
    shown = [place for place in places if place is not None]
    assert all(bounds.contains(place) for place in shown)
    assert not any(one.intersects(other) for one, other in itertools.combinations(shown, 2))
    assert not any(place.intersects(obstacle) for place in shown for obstacle in obstacles)


def test_the_nearest_point_is_told_in_words(chart: PointChart) -> None:
    assert chart.words_at(chart.frame.position_of(145.0, 0.002) + QPointF(3, 2)) == (
        "Q8_0: KL divergence 0.002 (0.001 to 0.003), size 145 MB")
    assert chart.words_at(chart.frame.position_of(200, 0.06)) == ""
    assert (chart.accessibleName(), chart.accessibleDescription()) == ("Loss against size", "Q4_0 is in between")


@pytest.mark.parametrize("palette", [LIGHT, DARK, CONTRAST])
def test_points_are_painted_in_the_colours_of_the_theme(qtbot, palette) -> None:
    chart = PointChart(ThemeState(palette), "Loss", PointAxis("size", str), PointAxis("loss", str))
    qtbot.addWidget(chart)
    chart.resize(400, 240)
    chart.show_points([ChartPoint("full", 1.0, 1.0, token="gpu"), ChartPoint("hollow", 2.0, 2.0, is_hollow=True)], "")
    image = chart.grab().toImage()
    assert image.pixelColor(chart.frame.position_of(1.0, 1.0).toPoint()).name() == palette.gpu
    assert image.pixelColor(chart.frame.position_of(2.0, 2.0).toPoint()).name() == palette.panel


def test_without_points_there_is_a_frame(qtbot) -> None:
    chart = PointChart(ThemeState(LIGHT), "Loss", PointAxis("size", str), PointAxis("loss", str))
    qtbot.addWidget(chart)
    chart.resize(220, 100)
    assert not chart.grab().isNull()
    assert chart.label_places() == ()

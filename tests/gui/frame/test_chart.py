"""The small line chart: marks, positions, words on hover, painting in every theme."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPointF

from localai_app.gui.theme import DARK, LIGHT, ThemeState
from localai_app.gui.widgets.chart import Axis, Chart, Series
from localai_app.gui.widgets.chart_scale import binary_marks, round_marks

ANSWERS = Series("this result", ((0.0, 100.0), (2048.0, 64.0), (8192.0, 25.0)), "gpu")
EARLIER = Series("earlier", ((0.0, 80.0), (8192.0, 20.0)), is_faint=True)


@pytest.fixture
def chart(qtbot) -> Chart:
    made = Chart(ThemeState(LIGHT), "Speed", Axis("tokens", is_binary=True), Axis("tok/s"))
    qtbot.addWidget(made)
    made.resize(500, 200)
    made.show_series([EARLIER, ANSWERS], "100 tok/s at the start")
    made.show()
    return made


@pytest.mark.parametrize(("highest", "marks"), [
    (100.0, (0, 25, 50, 75, 100)), (103.0, (0, 50, 100, 150)), (7.0, (0, 2, 4, 6, 8)), (0.3, (0, 0.1, 0.2, 0.3)),
    (0.0, (0, 1)), (float("nan"), (0, 1))])
def test_round_marks(highest: float, marks: tuple[float, ...]) -> None:
    assert round_marks(highest) == pytest.approx(marks)


@pytest.mark.parametrize(("highest", "marks"), [
    (31.2, (0, 8, 16, 24, 32)), (8192.0, (0, 2048, 4096, 6144, 8192)), (0.0, (0, 1)),
])
def test_binary_marks(highest: float, marks: tuple[float, ...]) -> None:
    assert binary_marks(highest) == pytest.approx(marks)


def test_points_lie_where_the_axes_say(chart: Chart) -> None:
    assert chart.x_marks()[-1] == 8192
    assert chart.y_marks()[-1] == 100
    start, end = chart.position_of(0, 100), chart.position_of(8192, 0)
    assert 0 < start.x() < end.x() < chart.width()
    assert 0 < start.y() < end.y() < chart.height()


def test_the_nearest_point_is_told_in_words(chart: Chart) -> None:
    at = chart.position_of(2048, 64) + QPointF(4, 3)
    assert chart.words_at(at) == "this result: 64 tok/s, 2,048 tokens"
    assert chart.words_at(chart.position_of(0, 80)) == "earlier: 80 tok/s, 0 tokens"
    assert chart.words_at(chart.position_of(5000, 95)) == ""
    assert (chart.accessibleName(), chart.accessibleDescription()) == ("Speed", "100 tok/s at the start")


def test_lines_are_painted_in_the_colours_of_the_theme(chart: Chart, qtbot) -> None:
    at = chart.position_of(2048, 64)
    assert chart.grab().toImage().pixelColor(at.toPoint()).name() == LIGHT.gpu
    dark = Chart(ThemeState(DARK), "Speed", Axis("tokens"), Axis("tok/s"))
    qtbot.addWidget(dark)
    dark.resize(500, 200)
    dark.show_series([ANSWERS], "")
    picture = dark.grab().toImage()
    assert picture.pixelColor(dark.position_of(2048, 64).toPoint()).name() == DARK.gpu
    empty = Chart(ThemeState(DARK), "Speed", Axis("tokens"), Axis("tok/s"))
    qtbot.addWidget(empty)
    empty.resize(60, 40)
    assert not empty.grab().isNull()


def test_the_same_series_are_not_painted_again(chart: Chart, qtbot, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[None] = []
    monkeypatch.setattr(chart, "update", lambda: asked.append(None))
    chart.show_series([EARLIER, ANSWERS], "100 tok/s at the start")
    assert asked == []
    chart.show_series([ANSWERS], "100 tok/s at the start")
    assert asked == [None]

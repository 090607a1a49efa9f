"""The leaderboard on screen: empty, few votes, many; filtered; following votes; painted in every theme."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from localai_app.compare.comparison import Verdict, Vote
from localai_app.compare.leaderboard import By, Judges
from localai_app.errors import STORE_BUSY, AppError
from localai_app.gui.bridge import Bridge
from localai_app.gui.compare.leaderboard_view import HOW_TO_VOTE, NOTHING_HERE, LeaderboardView
from localai_app.gui.compare.parts import ANSWERS, LEADERBOARD
from localai_app.gui.itemmodels.standings_table_model import Column
from localai_app.gui.pages.compare_page import ComparePage
from localai_app.gui.theme import CONTRAST, DARK, LIGHT, ThemeState
from localai_app.services.app_services import AppServices
from localai_app.services.events import ErrorHappened, Event
from tests.gui.models.models_stage import eventually, nameless
from tests.helpers.judged import judged, keep

Show = Callable[..., QWidget]


@pytest.fixture
def view(services: AppServices, theme: ThemeState, bridge: Bridge) -> LeaderboardView:
    return LeaderboardView(services, theme, bridge)


def names(view: LeaderboardView) -> list[str]:
    return [row.name for row in view.board.rows]


def cells(view: LeaderboardView, row: int) -> list[str]:
    model = view.table.table_model
    return [str(model.index(row, column).data()) for column in Column]


def test_without_votes_it_says_how_to_vote_and_the_first_one_fills_it(
    view: LeaderboardView, services: AppServices, show: Show, qtbot,
) -> None:
    show(view)
    eventually(qtbot, lambda: view.empty.isVisible())
    with qtbot.waitSignal(view.answers_requested):
        view.empty.button.click()
    number = keep(services.store, judged((0, 4), 0, n_prompts=1))
    services.compare.comparisons.vote(number, Vote(prompt=0, repeat=0, verdict=Verdict.BEST, winner=1))
    eventually(qtbot, lambda: names(view) == ["Qwen3 4B Q4_K_M", "Qwen3 14B Q4_K_M"])
    assert not view.empty.isVisible()
    assert view.warning.text().startswith("1 vote: too few to tell.")
    assert view.card.name_label.text() == "Qwen3 4B Q4_K_M and Qwen3 14B Q4_K_M share the first place after 1 vote on 2 models"
    assert cells(view, 0)[Column.PLACE] == "1 ="
    services.compare.comparisons.remove_vote(number, 0, 0)
    eventually(qtbot, lambda: view.card.name_label.text() == NOTHING_HERE)
    assert not view.warning.isVisible()
    assert nameless(view) == []


def test_many_votes_make_places_bars_and_a_chart(
    view: LeaderboardView, services: AppServices, theme: ThemeState, show: Show, qtbot,
) -> None:
    keep(services.store, judged((0, 3, 4), 120))
    show(view)
    eventually(qtbot, lambda: len(names(view)) == 3)
    assert view.card.name_label.text() == "Qwen3 14B Q4_K_M leads after 120 votes on 3 models"
    first = cells(view, 0)
    assert (first[Column.PLACE], first[Column.VOTES], first[Column.SIZE]) == ("1", "120", "9.0 GB")
    assert first[Column.NEXT].endswith("%")
    assert cells(view, 2)[Column.NEXT] == ""
    spoken = str(view.table.table_model.index(0, 0).data(Qt.ItemDataRole.AccessibleTextRole))
    assert "Place 1\n" in spoken
    assert "with 95% certainty" in spoken
    assert f"Wins {first[Column.NEXT]} against {names(view)[1]}" in spoken
    assert not view.warning.isVisible()
    assert [point.name for point in view.chart.points] == names(view)
    strengths = [row.strength for row in view.board.rows]
    assert [point.y_error for point in view.chart.points] == [(one.low, one.high) for one in strengths if one is not None]
    for palette in (LIGHT, DARK, CONTRAST):
        theme.update(palette, 100)
        pixels = view.table.grab().toImage()
        accent = palette.color("accent").rgb()
        assert any(pixels.pixel(x, y) == accent for x in range(0, pixels.width(), 2) for y in range(0, pixels.height(), 2))
    assert nameless(view) == []


def test_tags_judges_and_settings_filter(view: LeaderboardView, services: AppServices, show: Show, qtbot) -> None:
    keep(services.store, judged((0, 4), 40))
    keep(services.store, judged((4, 3), 20, judge="a/judge:Q8_0", seed=3))
    show(view)
    eventually(qtbot, lambda: view.board.n_votes == 40)
    assert view.filters.judges_box.isVisible()
    coding = next(chip for tag, chip in view.filters._chips.items() if tag == "coding")
    coding.click()
    eventually(qtbot, lambda: view.board.n_votes == 10)
    assert coding.isChecked()
    view.filters.judges_box.setCurrentIndex(list(Judges).index(Judges.MODELS))
    view.filters.judges_box.activated.emit(1)
    eventually(qtbot, lambda: view.board.n_votes == 5)
    assert set(names(view)) >= {"Qwen3 4B Q4_K_M", "Qwen3 4B Q8_0"}
    view.filters.by_box.setCurrentIndex(list(By).index(By.SETTINGS))
    assert view.filters.by is By.SETTINGS


def test_it_computes_only_while_it_is_seen(
    view: LeaderboardView, services: AppServices, show: Show, qtbot, monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[object] = []
    standings = services.compare.leaderboard.standings
    monkeypatch.setattr(
        type(services.compare.leaderboard), "standings", lambda _self, *wish: asked.append(wish) or standings(*wish))
    number = keep(services.store, judged((0, 4), 20))
    services.compare.comparisons.vote(number, Vote(prompt=0, repeat=0, verdict=Verdict.TIE))
    qtbot.wait(50)
    assert asked == []
    show(view)
    eventually(qtbot, lambda: view.board.n_votes == 20)
    assert len(asked) == 1


def test_a_blind_comparison_shows_nothing_before_the_vote(
    view: LeaderboardView, services: AppServices, show: Show, qtbot,
) -> None:
    keep(services.store, judged((0, 4), 12, judge="a/judge:Q8_0", is_blind=True))
    show(view)
    eventually(qtbot, lambda: view.notes.text() == HOW_TO_VOTE)
    assert view.card.name_label.text() == NOTHING_HERE
    assert names(view) == []
    assert not view.chart_card.isVisible()
    assert view.judge.comparisons_box.currentText() == "Coding · 24 answers · number 1"


def test_its_button_leads_to_the_answers(services: AppServices, theme: ThemeState, bridge: Bridge, show: Show, qtbot) -> None:
    page = ComparePage(services, theme, bridge)
    show(page)
    page.show_tab(LEADERBOARD)
    view = page.view(LEADERBOARD)
    assert isinstance(view, LeaderboardView)
    eventually(qtbot, lambda: view.empty.isVisible())
    view.empty.button.click()
    assert page.current_tab == ANSWERS


def test_a_store_that_is_busy_is_told(
    view: LeaderboardView, services: AppServices, show: Show, qtbot, monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_wish: object) -> None:
        raise AppError(STORE_BUSY)

    told: list[Event] = []
    services.events.subscribe(told.append)
    monkeypatch.setattr(type(services.compare.leaderboard), "standings", fail)
    show(view)
    eventually(qtbot, lambda: any(isinstance(event, ErrorHappened) for event in told))
    assert view.card.name_label.text() == AppError(STORE_BUSY).message

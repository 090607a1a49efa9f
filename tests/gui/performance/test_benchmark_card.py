"""The card of benchmarks: without a model, running, stopped, with results, with an error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtWidgets import QWidget

from localai_app.errors import BENCHMARK_INTERRUPTED, AppError
from localai_app.gui.bridge import Bridge
from localai_app.gui.itemmodels.benchmark_table_model import Column
from localai_app.gui.performance.benchmark_card import BenchmarkCard
from localai_app.gui.theme import ThemeState
from localai_app.services.app_services import AppServices
from localai_app.services.benchmarks import BenchmarkState, BenchmarkStatus
from localai_app.services.events import BenchmarkChanged
from tests.gui.models.models_stage import eventually, nameless
from tests.helpers.benchmarks import benchmark_of
from tests.helpers.services_fixture import TINY_KEY, install_tiny_model

Show = Callable[..., QWidget]


@pytest.fixture
def card(services: AppServices, theme: ThemeState, bridge: Bridge, show: Show) -> BenchmarkCard:
    install_tiny_model(services.paths.data)
    services.library.changed()
    made = BenchmarkCard(services, theme, bridge)
    show(made, 920, 700)
    return made


def cells(card: BenchmarkCard) -> list[list[str]]:
    model = card.table.model()
    return [[str(model.index(row, column).data()) for column in Column] for row in range(model.rowCount())]


def show_state(services: AppServices, state: BenchmarkState) -> None:
    services.benchmarks._show(state)


def test_without_a_model_it_leads_to_the_models(
    services: AppServices, theme: ThemeState, bridge: Bridge, show: Show, qtbot,
) -> None:
    card = BenchmarkCard(services, theme, bridge)
    show(card, 920, 400)
    assert card.name_label.text() == "No model is installed yet."
    with qtbot.waitSignal(card.page_requested) as asked:
        card.run_button.click()
    assert asked.args == ["models"]
    assert nameless(card) == []


def test_a_run_from_the_window(card: BenchmarkCard, services: AppServices, qtbot) -> None:
    """With the echo: it stands in for a model here, and the loop of a benchmark is the real one."""
    assert card.model_key == TINY_KEY
    card.run_button.click()
    eventually(qtbot, lambda: not card.stop_button.isHidden())
    assert not card.models.isEnabled()
    eventually(qtbot, lambda: services.benchmarks.state.status is BenchmarkStatus.MEASURING)
    card.stop_button.click()
    eventually(qtbot, lambda: not card.run_button.isHidden())
    assert services.benchmarks.wait(5.0)


def test_a_first_result_has_nothing_beside_it(card: BenchmarkCard, services: AppServices, qtbot) -> None:
    services.store.benchmarks.add(benchmark_of(model_key=TINY_KEY))
    services.events.publish(BenchmarkChanged())
    eventually(qtbot, lambda: not card.table.isHidden())
    hidden = [column for column in Column if card.table.isColumnHidden(column)]
    assert hidden == [Column.EARLIER, Column.CHANGE]
    card.resize(card.width() - 60, card.height())
    assert card.table.isColumnHidden(Column.EARLIER)


def test_progress_is_told_with_the_time_left(card: BenchmarkCard, services: AppServices, qtbot) -> None:
    show_state(services, BenchmarkState(BenchmarkStatus.MEASURING, TINY_KEY, 0.4, 42.0))
    eventually(qtbot, lambda: card._progress_words.text() == "Measuring, 40%, 42 s left")
    assert nameless(card) == []
    show_state(services, BenchmarkState(BenchmarkStatus.STOPPED, TINY_KEY))
    eventually(qtbot, lambda: card.name_label.text() == "Stopped before there was a figure.")


def test_results_are_compared_drawn_saved_and_forgotten(
    card: BenchmarkCard, services: AppServices, qtbot, tmp_path: Path,
) -> None:
    for factor, time_s in ((1.5, 1.0), (1.25, 2.0), (1.0, 3.0)):
        services.store.benchmarks.add(benchmark_of(factor, time_s=time_s, model_key=TINY_KEY))
    services.events.publish(BenchmarkChanged())
    eventually(qtbot, lambda: not card.table.isHidden())
    assert card.name_label.text() == "Tiny: answers 100 tok/s, reads prompts at 171 tok/s"
    assert cells(card)[3] == ["Answer at the start", "100 tok/s", "±3%", "80 tok/s", "+25%"]
    assert "set up in the same way" in card.setup.text()
    lines = card.charts.answers.series
    assert [(one.is_faint, one.points[0]) for one in lines] == [
        (True, (0.0, pytest.approx(80.0))), (True, (0.0, pytest.approx(66.67, abs=0.01))), (False, (0.0, 100.0))]
    assert "Answer, 8,192 tokens in 25 tok/s" in card.charts.answers.accessibleDescription()
    assert nameless(card) == []
    card.save_to(tmp_path / "results.json")
    assert [one["time_s"] for one in json.loads((tmp_path / "results.json").read_text())] == [3.0, 2.0, 1.0]
    card.save_to(tmp_path / "no" / "folder.json")
    assert card.banner.error.code == "file_unwritable"
    card.forget_button.click()
    eventually(qtbot, lambda: card.table.isHidden())


def test_an_error_is_told_once_and_goes_with_the_next_run(card: BenchmarkCard, services: AppServices, qtbot) -> None:
    show_state(services, BenchmarkState(BenchmarkStatus.FAILED, TINY_KEY, error=AppError(BENCHMARK_INTERRUPTED)))
    eventually(qtbot, lambda: card.banner.error is not None)
    show_state(services, BenchmarkState(BenchmarkStatus.LOADING, TINY_KEY))
    eventually(qtbot, lambda: card.banner.error is None)

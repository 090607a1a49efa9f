"""The card that says why it is slow: looking, nothing, findings, and what each button does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget

from localai_app.engine.protocol import KvType
from localai_app.errors import STORE_BUSY, AppError
from localai_app.gui.bridge import Bridge
from localai_app.gui.performance.slow_card import NOTHING, SlowCard
from localai_app.gui.theme import ThemeState
from localai_app.hardware.conditions import Conditions
from localai_app.services.app_services import AppServices
from localai_app.services.benchmarks import BenchmarkStatus
from localai_app.services.load_settings import LoadSettings
from localai_app.services.speed_snapshot import Cause, Finding, SlowRemedy
from localai_app.services.views import EngineStatus
from localai_app.services.why_slow import SlowReport
from tests.gui.models.models_stage import TINY_COMPUTER, eventually, nameless, show_computer
from tests.helpers.services_fixture import TINY_KEY, TINY_REPO, install_tiny_model

Show = Callable[..., QWidget]


def finding(remedy: SlowRemedy, **fields: object) -> Finding:
    return Finding(Cause.THREADS, "It is slow.", "This helps.", remedy, "Do it", **fields)


@pytest.fixture
def card(services: AppServices, theme: ThemeState, bridge: Bridge, show: Show, qtbot) -> SlowCard:
    show_computer(services, TINY_COMPUTER)
    install_tiny_model(services.paths.data)
    services.why_slow._read = lambda _pids: Conditions()
    made = SlowCard(services, theme, bridge)
    show(made, 920, 400)
    eventually(qtbot, lambda: made.look_button.isEnabled())
    return made


def load(services: AppServices, qtbot) -> None:
    services.engine.load(TINY_KEY)
    eventually(qtbot, lambda: services.engine.state.status is EngineStatus.READY)


def press(card: SlowCard, shown: Finding, key: str = TINY_KEY) -> None:
    """As if the look had found this, and its button was pressed."""
    card._on_looked(SlowReport("Slow.", (shown,), key))
    (row,) = card.rows
    row.button.click()


def test_a_computer_with_nothing_to_say_against_it(card: SlowCard) -> None:
    assert card.name_label.text() == "No model is loaded: only the computer was looked at."
    assert card.notice.text() == NOTHING
    assert card.rows == []
    assert nameless(card) == []


def test_findings_of_the_real_rules_are_shown_with_a_button(card: SlowCard, services: AppServices, qtbot) -> None:
    services.why_slow._read = lambda _pids: Conditions(saves_power="the governor “powersave”", others_cores=15.0)
    card.look_button.click()
    eventually(qtbot, lambda: len(card.rows) == 2)
    assert [row.finding.cause for row in card.rows] == [Cause.POWER_SAVING, Cause.OTHER_PROGRAMS]
    assert all(row.button.text() for row in card.rows)
    assert nameless(card) == []
    assert [row.button.isHidden() for row in card.rows] == [False, True], "the card looks again itself, with one button"
    card.rows[0].button.click()
    assert QGuiApplication.clipboard().text() == "powerprofilesctl set performance"
    assert card.notice.text() == "Copied: powerprofilesctl set performance"


def test_looking_again_looks_again(card: SlowCard, services: AppServices, qtbot) -> None:
    services.why_slow._read = lambda _pids: Conditions(is_processor_hot=True)
    press(card, finding(SlowRemedy.LOOK_AGAIN))
    eventually(qtbot, lambda: [row.finding.cause for row in card.rows] == [Cause.HEAT])


def test_a_new_chat_and_other_variants_are_asked_for(card: SlowCard, qtbot) -> None:
    with qtbot.waitSignal(card.chat_requested) as asked:
        press(card, finding(SlowRemedy.NEW_CHAT))
    assert asked.args == [TINY_KEY]
    with qtbot.waitSignal(card.model_requested) as asked:
        press(card, finding(SlowRemedy.SMALLER_VARIANT))
    assert asked.args == [TINY_REPO]
    with qtbot.waitSignal(card.page_requested) as asked:
        press(card, finding(SlowRemedy.SMALLER_VARIANT), key="/models/linked.gguf")
    assert asked.args == ["models"]


def test_a_load_is_remembered_and_done_again(card: SlowCard, services: AppServices, qtbot) -> None:
    load(services, qtbot)
    press(card, finding(SlowRemedy.LOAD_WITH, load=LoadSettings(ctx=512, kv_type=KvType.Q8_0)))
    assert services.load_settings.get(TINY_KEY) == LoadSettings(ctx=512, kv_type=KvType.Q8_0)
    eventually(qtbot, lambda: services.engine.state.loaded is not None and services.engine.state.options.ctx == 512)
    assert services.engine.state.options.kv_type is KvType.Q8_0


def test_a_setting_is_changed_and_the_model_loaded_again(card: SlowCard, services: AppServices, qtbot) -> None:
    load(services, qtbot)
    before = services.engine.pid
    press(card, finding(SlowRemedy.CHANGE_SETTING, setting="threads", value=3))
    assert services.settings.integer("threads") == 3
    eventually(qtbot, lambda: services.engine.state.status is EngineStatus.READY and services.engine.pid != before)
    assert services.engine.state.options.threads == 3


def test_other_models_are_unloaded(card: SlowCard, services: AppServices, qtbot) -> None:
    install_tiny_model(services.paths.data, "tester/Other-GGUF", "other-F32.gguf")
    services.engine.load("tester/Other-GGUF:F32")
    eventually(qtbot, lambda: services.engine.state.status is EngineStatus.READY)
    services.engine.load(TINY_KEY, keep_others=True)
    eventually(qtbot, lambda: len(services.engine.loaded()) == 2)
    press(card, finding(SlowRemedy.UNLOAD_OTHERS))
    eventually(qtbot, lambda: [model.key for model in services.engine.loaded()] == [TINY_KEY])


def test_a_benchmark_is_run(card: SlowCard, services: AppServices, qtbot) -> None:
    load(services, qtbot)
    press(card, finding(SlowRemedy.RUN_BENCHMARK))
    eventually(qtbot, lambda: services.benchmarks.state.status is BenchmarkStatus.MEASURING)
    services.benchmarks.stop()
    assert services.benchmarks.wait(10.0)


def test_a_remedy_for_a_model_that_is_gone_looks_again(card: SlowCard, qtbot) -> None:
    press(card, finding(SlowRemedy.LOAD_WITH, load=LoadSettings(ctx=512)))
    eventually(qtbot, lambda: card.rows == [] and card.notice.text() == NOTHING)


def test_a_look_that_fails_says_so(card: SlowCard, services: AppServices, qtbot) -> None:
    def fail(_pids: object) -> Conditions:
        raise AppError(STORE_BUSY)

    services.why_slow._read = fail
    card.look()
    eventually(qtbot, lambda: "in use by another program" in card.name_label.text())
    assert card.look_button.isEnabled()

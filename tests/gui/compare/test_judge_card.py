"""The card of the judge model: nothing to judge, judging, refusing a contestant unless somebody insists."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from PySide6.QtWidgets import QWidget

from localai_app.gui.bridge import Bridge
from localai_app.gui.compare.judge_card import ANYWAY, JUDGE, JudgeCard
from localai_app.gui.theme import ThemeState
from localai_app.services.app_services import AppServices
from tests.gui.compare.conftest import KEYS
from tests.gui.models.models_stage import eventually, nameless
from tests.helpers.judged import judged, keep

Show = Callable[..., QWidget]


@pytest.fixture
def card(two_models: tuple[str, str], services: AppServices, theme: ThemeState, bridge: Bridge) -> JudgeCard:
    return JudgeCard(services, theme, bridge)


def shown(card: JudgeCard, show: Show, qtbot) -> None:
    show(card, 900, 300)
    card.refresh()
    eventually(qtbot, lambda: card.is_read and card.models_box.count() == 2)


def test_without_comparisons_there_is_nothing_to_start(card: JudgeCard, show: Show, qtbot) -> None:
    shown(card, show, qtbot)
    assert not card.has_comparisons
    assert not card.judge_button.isEnabled()
    assert nameless(card) == []


def test_it_judges_and_says_what_came_of_it(card: JudgeCard, services: AppServices, show: Show, qtbot) -> None:
    made = judged((0, 4), 0, n_prompts=2)
    answers = tuple(msgspec.structs.replace(answer, text=f"{answer.contestant}") for answer in made.answers)
    number = keep(services.store, msgspec.structs.replace(made, answers=answers))
    shown(card, show, qtbot)
    card.choose(number)
    card.judge_button.click()
    eventually(qtbot, lambda: card.progress.isVisible())
    assert not card.models_box.isEnabled()
    eventually(qtbot, lambda: card.outcome.isVisible())
    assert "judged 2 of 2." in card.outcome.text()
    assert not card.progress.isVisible()
    assert card.judge_button.isEnabled()
    assert {vote.judge for vote in services.compare.comparisons.get(number).votes} == {card.models_box.currentData()}
    card.judge_button.click()
    eventually(qtbot, lambda: "nothing left" in card.warning.text())
    assert nameless(card) == []


def test_a_contestant_has_to_be_insisted_on(card: JudgeCard, services: AppServices, show: Show, qtbot) -> None:
    made = judged((0, 4), 0, n_prompts=1)
    itself = msgspec.structs.replace(made.spec.contestants[0], model_key=KEYS[0])
    spec = msgspec.structs.replace(made.spec, contestants=(itself, made.spec.contestants[1]))
    number = keep(services.store, msgspec.structs.replace(made, spec=spec))
    shown(card, show, qtbot)
    card.models_box.setCurrentIndex(card.models_box.findData(KEYS[0]))
    card.judge_button.click()
    eventually(qtbot, lambda: "models prefer what they would have written" in card.warning.text())
    assert card.judge_button.text() == ANYWAY
    card.models_box.setCurrentIndex(card.models_box.findData(KEYS[1]))
    assert card.judge_button.text() == JUDGE
    card.models_box.setCurrentIndex(card.models_box.findData(KEYS[0]))
    card.judge_button.click()
    eventually(qtbot, lambda: card.judge_button.text() == ANYWAY)
    card.judge_button.click()
    eventually(qtbot, lambda: card.outcome.isVisible())
    assert len(services.compare.comparisons.get(number).votes) == 1

"""The page over real services, whose workers echo: contestants, runs, votes, blind mode, what is remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QLabel, QWidget

from localai_app.compare.comparison import Way
from localai_app.compare.contestant import ContestantSettings
from localai_app.compare.prompts import Prompt, PromptSet
from localai_app.gui.bridge import Bridge
from localai_app.gui.compare.parts import ANSWERS, HISTORY, RESULTS
from localai_app.gui.compare.vote_bar import ALL_BAD, TIE
from localai_app.gui.pages.compare_page import ComparePage
from localai_app.gui.theme import ThemeState
from localai_app.services.app_services import AppServices
from localai_app.services.compare.drafts import DraftContestant

Show = Callable[..., ComparePage]
NAMES = ("Small-Talk", "Tiny-Chat")
WAIT_MS = 30_000


@pytest.fixture
def page(
    two_models: tuple[str, str], services: AppServices, theme: ThemeState, bridge: Bridge, show: Show, qtbot,
) -> Iterator[ComparePage]:
    """With both models chosen and a prompt written."""
    services.hardware.start()
    made = ComparePage(services, theme, bridge)
    show(made)
    qtbot.waitUntil(lambda: len(made.answers.session.draft.chosen) == 2, timeout=WAIT_MS)
    made.answers.prompt.edit.setPlainText("What is a heat pump?")
    made.answers.session.keeper.set(
        msgspec.structs.replace(made.answers.session.draft, max_tokens=12), made.answers.session.lineup.drafts)
    yield made
    services.compare.comparisons.cancel()
    services.compare.comparisons.wait(20)
    made.answers.session.keeper.keep()


def run(page: ComparePage, qtbot) -> None:
    """Press Run and wait for the end."""
    page.answers.prompt.edit.setFocus()
    page.answers.prompt.run_button.click()
    assert not page.answers.prompt.edit.hasFocus(), "digits would be typed where they are votes"
    finish(page, qtbot)


def finish(page: ComparePage, qtbot) -> None:
    session = page.answers.session
    qtbot.waitUntil(
        lambda: session.comparison is not None and not session.is_running
        and len(session.comparison.answers) == session.comparison.n_cells, timeout=WAIT_MS)


def words_of(widget: QWidget) -> str:
    """All that is visible, or told on hover or by a screen reader."""
    found = []
    for part in widget.findChildren(QWidget):
        texts = [part.toolTip(), part.accessibleName(), part.accessibleDescription(), part.windowTitle()]
        if isinstance(part, QLabel | QAbstractButton):
            texts.append(part.text())
        found.extend(text for text in texts if text)
    return "\n".join(found)


def test_both_answer_and_tell_their_figures(page: ComparePage, qtbot) -> None:
    run(page, qtbot)
    columns = page.answers.columns.columns
    qtbot.waitUntil(lambda: all(column.facts.pill[0] == "done" for column in columns), timeout=WAIT_MS)
    assert {column.facts.name for column in columns} == set(NAMES)
    for column in columns:
        assert column.body.answer
        assert float(column.facts.figures.speed) > 0
        assert column.facts.figures.first.startswith("first ")
        assert "12 tokens" in column.facts.figures.rest
        assert any(words.startswith("load ") for words in column.facts.figures.rest)
    assert page.schedule.text().startswith("2 contestants · ")
    assert page.answers.prompt.run_button.text() == "Run again"


def test_votes_by_key_and_back(page: ComparePage, services: AppServices, qtbot) -> None:
    run(page, qtbot)
    answers = page.answers
    qtbot.waitUntil(lambda: answers.votes.can_vote, timeout=WAIT_MS)
    QTest.keyClick(answers.columns, Qt.Key.Key_2)
    qtbot.waitUntil(lambda: answers.session.vote is not None, timeout=WAIT_MS)
    assert answers.session.vote.winner == answers.session.lineup.entries[1].place
    assert answers.columns.columns[1].facts.pill == ("best", "good")
    assert answers.bar.best[1].isChecked()
    for key, chosen in ((Qt.Key.Key_0, answers.bar.tie), (Qt.Key.Key_X, answers.bar.all_bad)):
        QTest.keyClick(answers.columns, key)
        qtbot.waitUntil(chosen.isChecked, timeout=WAIT_MS)
    answers.bar.undo.click()
    qtbot.waitUntil(lambda: answers.session.vote is None, timeout=WAIT_MS)
    assert answers.bar.undo.isHidden()


def test_a_blind_comparison_names_nobody_before_the_vote(page: ComparePage, services: AppServices, qtbot) -> None:
    page.blind_button.click()
    run(page, qtbot)
    answers = page.answers
    qtbot.waitUntil(lambda: answers.votes.can_vote, timeout=WAIT_MS)
    assert [column.facts.name for column in answers.columns.columns] == ["Answer A", "Answer B"]
    told = words_of(page)
    for secret in (*NAMES, "F32", "tester", "Small_Talk"):
        assert secret.lower() not in told.lower()
    assert "tok/s" not in " ".join(column.speed.text() for column in answers.columns.columns)
    assert not any(column.facts.figures.rest for column in answers.columns.columns)
    answers.columns.columns[0].copy_answer()
    assert "Tiny" not in QGuiApplication.clipboard().text()
    assert not any(action.text().startswith("Change") for action in answers.columns.columns[0].build_menu().actions())
    order = answers.session.order()
    answers.votes.vote_for(0)
    qtbot.waitUntil(lambda: not answers.session.is_veiled, timeout=WAIT_MS)
    assert answers.session.order() == order
    assert {column.facts.name for column in answers.columns.columns} == set(NAMES)
    assert all(column.facts.figures.speed for column in answers.columns.columns)
    assert services.compare.comparisons.get(answers.session.shown_id).votes[0].is_blind


def test_answers_of_a_blind_comparison_appear_together_where_speed_is_hidden(page: ComparePage, qtbot) -> None:
    page.blind_button.click()
    answers = page.answers
    seen: list[tuple[str, ...]] = []
    answers.refreshed.connect(lambda: seen.append(tuple(column.facts.pill[0] for column in answers.columns.columns)))
    run(page, qtbot)
    qtbot.waitUntil(lambda: answers.votes.can_vote, timeout=WAIT_MS)
    running = [pills for pills in seen if "answering" in pills]
    assert running
    assert all(set(pills) == {"answering"} for pills in running)


def test_a_set_of_prompts_is_paged_through_and_voted_on_one_after_the_other(page: ComparePage, qtbot) -> None:
    answers = page.answers
    answers.choose_set(PromptSet(name="Two", prompts=(Prompt(text="First question"), Prompt(text="Second question"))))
    assert answers.prompt.set_words.text() == "Two · 2 prompts"
    run(page, qtbot)
    answers.session.turn_to(0, 0)
    assert answers.prompt.asked.text() == "Asked: First question"
    assert answers.tools.pager.prompts.words.text() == "prompt 1 of 2"
    answers.votes.vote_for(TIE)
    qtbot.waitUntil(lambda: answers.session.vote is not None, timeout=WAIT_MS)
    QTest.keyClick(answers.columns, Qt.Key.Key_N)
    assert (answers.session.prompt, answers.session.repeat) == (1, 0)
    assert answers.prompt.asked.text() == "Asked: Second question"
    answers.votes.vote_for(ALL_BAD)
    qtbot.waitUntil(lambda: answers.session.vote is not None, timeout=WAIT_MS)
    assert answers.bar.next.isHidden()
    answers.prompt.show_set(None)
    page.open_comparison(answers.session.shown_id)
    qtbot.waitUntil(lambda: answers.prompt.prompt_set is not None, timeout=WAIT_MS)
    assert [prompt.text for prompt in answers.prompt.prompt_set.prompts] == ["First question", "Second question"]


def test_escape_stops_and_what_is_missing_can_be_gone_on_with(page: ComparePage, qtbot) -> None:
    answers = page.answers
    answers.session.keeper.set(
        msgspec.structs.replace(answers.session.draft, max_tokens=400, way=Way.IN_TURN), answers.session.lineup.drafts)
    QTest.keyClick(answers.prompt.edit, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(
        lambda: any(column.facts.pill[0] == "writing" for column in answers.columns.columns), timeout=WAIT_MS)
    QTest.keyClick(answers.columns, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: not answers.session.is_running and not answers.prompt.resume_button.isHidden(), timeout=WAIT_MS)
    assert "stopped" in page.schedule.text()
    answers.session.comparison = None
    answers.prompt.resume_button.click()
    finish(page, qtbot)
    assert answers.prompt.resume_button.isHidden()


def test_one_column_is_run_again(page: ComparePage, services: AppServices, qtbot) -> None:
    run(page, qtbot)
    before = services.compare.comparisons.get(page.answers.session.shown_id)
    page.answers.columns.columns[0].rerun_requested.emit()
    place = page.answers.session.lineup.entries[0].place
    qtbot.waitUntil(lambda: page.answers.session.is_running, timeout=WAIT_MS)
    finish(page, qtbot)
    services.compare.comparisons.wait(20)
    after = services.compare.comparisons.get(page.answers.session.shown_id)
    assert [answer for answer in after.answers if answer.contestant != place] == [
        answer for answer in before.answers if answer.contestant != place]


def test_a_model_that_is_gone_fails_in_its_column_and_the_other_answers(page: ComparePage, qtbot) -> None:
    session = page.answers.session
    gone = msgspec.structs.replace(session.draft.chosen[0], model_key="tester/Gone-GGUF:F32", name="Gone")
    session.set_lineup(session.lineup.with_draft(0, DraftContestant(contestant=gone)))
    run(page, qtbot)
    failed, answered = page.answers.columns.columns
    qtbot.waitUntil(lambda: failed.facts.pill[0] == "failed" and answered.facts.pill[0] == "done", timeout=WAIT_MS)
    assert failed.body.error.text()
    qtbot.waitUntil(lambda: not failed.rerun_button.isHidden(), timeout=WAIT_MS)
    assert answered.body.answer
    assert not page.answers.votes.can_vote
    failed.setFixedWidth(236)
    for control in (failed.rerun_button, failed.choose_button):
        qtbot.waitUntil(lambda control=control: failed.rect().contains(
            QRect(control.mapTo(failed, QPoint()), control.size())) and control.width() >= control.sizeHint().width())


def test_contestants_options_and_prompt_are_remembered(
    page: ComparePage, services: AppServices, theme: ThemeState, bridge: Bridge, show: Show, qtbot,
) -> None:
    session = page.answers.session
    session.set_lineup(session.lineup.duplicated(0).with_settings(1, ContestantSettings(thinking="off", ctx=4096)))
    page.answers.prompt.options.repeats.setValue(3)
    page.answers.prompt.options.way.setCurrentIndex(2)
    page.answers.prompt.options.way.activated.emit(2)
    assert page.answers.prompt.summary.text() == "same seed 42 · at most 12 tokens · 3 repeats · in turn"
    session.keeper.keep()
    kept = services.compare.drafts.get()
    assert kept == session.draft
    assert [contestant.settings.ctx for contestant in kept.chosen] == [None, 4096, None]
    assert (kept.repeats, kept.way, kept.prompt) == (3, Way.IN_TURN, "What is a heat pump?")


def test_nothing_can_be_run_without_a_prompt_or_with_an_empty_column(page: ComparePage) -> None:
    answers = page.answers
    assert answers.prompt.run_button.isEnabled()
    answers.prompt.edit.setPlainText("  ")
    assert not answers.prompt.run_button.isEnabled()
    assert answers.prompt.run_button.toolTip() == "Write a prompt first."
    answers.prompt.edit.setPlainText("x")
    answers.session.set_lineup(answers.session.lineup.without(0))
    assert answers.prompt.run_button.toolTip() == "Choose a model in every column first."
    assert not answers.columns.columns[1].choose_button.isHidden()


def test_changed_contestants_keep_the_answers_of_the_others(page: ComparePage, qtbot) -> None:
    run(page, qtbot)
    session = page.answers.session
    session.set_lineup(session.lineup.with_settings(0, ContestantSettings(ctx=4096)))
    first, second = page.answers.columns.columns
    assert first.body.answer == ""
    assert second.body.answer
    assert not page.answers.votes.can_vote
    session.start_anew()
    assert second.body.answer == ""
    assert session.comparison is None


def test_differences_of_two_answers(page: ComparePage, qtbot) -> None:
    run(page, qtbot)
    answers = page.answers
    qtbot.waitUntil(lambda: answers.votes.can_compare, timeout=WAIT_MS)
    QTest.keyClick(answers.columns, Qt.Key.Key_D)
    qtbot.waitUntil(lambda: "of the words are common" in answers.differences.share.text(), timeout=WAIT_MS)
    assert answers.differences.left.text.toPlainText().strip()
    QTest.keyClick(answers, Qt.Key.Key_Escape)
    assert answers._stack.currentWidget() is answers.columns


def test_without_a_model_the_page_says_what_to_do(
    services: AppServices, theme: ThemeState, bridge: Bridge, show: Show, qtbot,
) -> None:
    page = ComparePage(services, theme, bridge)
    show(page)
    asked: list[str] = []
    page.page_requested.connect(asked.append)
    qtbot.waitUntil(page.answers.empty.isVisible, timeout=WAIT_MS)
    assert not page.answers.prompt.isVisible()
    page.answers.empty.button.click()
    assert asked == ["models"]


@pytest.mark.parametrize("tab", [RESULTS, HISTORY])
def test_an_empty_tab_leads_to_the_answers(
    services: AppServices, theme: ThemeState, bridge: Bridge, show: Show, qtbot, tab: str,
) -> None:
    page = ComparePage(services, theme, bridge)
    show(page)
    page.show_tab(tab)
    empty = page.view(tab).empty
    qtbot.waitUntil(empty.isVisible, timeout=WAIT_MS)
    empty.button.click()
    assert page.current_tab == ANSWERS


def test_a_model_from_the_list_of_installed_ones_is_added_once(page: ComparePage, two_models: tuple[str, str]) -> None:
    session = page.answers.session
    session.set_lineup(session.lineup.without(0))
    key = next(key for key in two_models if key not in [chosen.model_key for chosen in session.draft.chosen])
    page.add_model(key)
    page.add_model(key)
    assert sorted(chosen.model_key for chosen in session.draft.chosen) == sorted(two_models)


def test_everything_can_be_reached_with_the_tab_key(page: ComparePage, tmp_path: Path) -> None:
    page.answers.prompt.edit.setFocus()
    seen = set()
    for _step in range(40):
        focused = page.focusWidget()
        if focused is None or focused in seen:
            break
        seen.add(focused)
        page.focusNextChild()
    names = {widget.accessibleName() or getattr(widget, "text", str)() for widget in seen}
    for wanted in ("Prompt for all contestants", "Run", "Scroll together", "Add a model", "Actions for Tiny-Chat", "Blind"):
        assert wanted in names, names

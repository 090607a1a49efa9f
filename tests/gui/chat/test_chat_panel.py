"""The side panel: what holds, where it comes from, what is changed, and that it reaches the store before the question."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from localai_app.engine.protocol import TokenLogprob
from localai_app.engine.sampling import LogitBias
from localai_app.engine.sampling_values import SamplingValues
from localai_app.gui.chat_panel.fold import Fold
from localai_app.gui.chat_panel.shape_field import HINT, ShapeField, shape_problem
from localai_app.gui.pages.chat_page import ChatPage
from localai_app.gui.theme import ThemeState, apply_theme
from localai_app.services.chat_settings import ChatSettings
from localai_app.services.events import AnswerProgressed
from tests.gui.chat.chat_fakes import KEY, FakeServices, stats


@pytest.fixture
def page(qtbot: QtBot, theme: ThemeState, services: FakeServices) -> ChatPage:
    services.chat_settings.is_open = True
    shown = ChatPage(services, theme, services.bridge)  # type: ignore[arg-type]
    qtbot.addWidget(shown)
    shown.resize(1280, 800)
    shown.show()
    settle(qtbot, lambda: shown.side.form.fields["temperature"].origin != "")
    return shown


def settle(qtbot: QtBot, is_met: Callable[[], bool]) -> None:
    qtbot.waitUntil(is_met, timeout=10_000)


def send(page: ChatPage, text: str) -> int:
    page.view.composer.set_text(text)
    page.view.composer.send()
    assert page.session.conversation_id is not None
    return page.session.conversation_id


def test_values_are_shown_with_their_origin(page: ChatPage) -> None:
    fields = page.side.form.fields
    assert (fields["temperature"].spin.value(), fields["temperature"].origin) == (0.6, "Recommended by Acme")
    assert (fields["min_p"].spin.value(), fields["min_p"].origin) == (0.05, "The program's own")
    assert page.side.recommendation.text() == "Recommended by Acme"
    assert not any(fold.head.isChecked() for fold in page.side.form.folds.values())
    assert not page.side.keep_button.isVisible()


@pytest.mark.parametrize("scale_percent", [100, 150, 200])
def test_nothing_is_cut_off_at_its_right_at_any_text_size(
    qapp: QApplication, qtbot: QtBot, page: ChatPage, theme: ThemeState, scale_percent: int,
) -> None:
    theme.update(apply_theme(qapp, "light", scale_percent), scale_percent)
    for fold in page.side.findChildren(Fold):
        fold.open()
    content, view = page.side.area.widget(), page.side.area.viewport()
    assert content is not None
    settle(qtbot, lambda: content.minimumSizeHint().width() <= content.width() <= view.width())
    chooser = page.view.chooser
    assert chooser.iconSize().width() > chooser.iconSize().height(), "the arrow keeps away from the words"


def test_a_value_set_before_the_first_message_holds_for_it(qtbot: QtBot, page: ChatPage, services: FakeServices) -> None:
    field = page.side.form.fields["dry_multiplier"]
    field.spin.setValue(0.8)
    settle(qtbot, lambda: field.origin == "Set for this chat")
    assert page.side.form.folds[field.spec.group].head.isChecked()
    page.side.prompt.setPlainText("Be brief.")
    assert not services.chat_settings.kept
    chat = send(page, "Hello")
    assert services.chat_settings.kept[chat] == ChatSettings(
        system_prompt="Be brief.", sampling=SamplingValues(numbers={"dry_multiplier": 0.8}))
    page.new_chat()
    settle(qtbot, lambda: field.origin == "The program's own")
    assert page.side.prompt.toPlainText() == ""


def test_a_saved_chat_keeps_what_is_changed_and_gives_it_back(qtbot: QtBot, page: ChatPage, services: FakeServices) -> None:
    chat = services.chat.add_chat("Old")
    page.open_conversation(chat)
    field = page.side.form.fields["top_k"]
    field.spin.setValue(5)
    settle(qtbot, lambda: field.reset_button.isVisible())
    assert services.chat_settings.kept[chat].sampling.numbers == {"top_k": 5}
    qtbot.mouseClick(field.reset_button, Qt.MouseButton.LeftButton)
    settle(qtbot, lambda: field.spin.value() == 20)
    assert services.chat_settings.kept[chat].is_default
    page.side.seed.setText("7")
    page.side.seed.editingFinished.emit()
    page.side.overflow_box.setCurrentIndex(page.side.overflow_box.findData("stop"))
    page.side.overflow_box.activated.emit(0)
    assert services.chat_settings.kept[chat] == ChatSettings(seed=7, overflow="stop")


def test_text_is_written_before_another_chat_is_shown(page: ChatPage, services: FakeServices) -> None:
    first, second = services.chat.add_chat("a"), services.chat.add_chat("b")
    page.open_conversation(first)
    page.side.prompt.setPlainText("Be kind.")
    page.open_conversation(second)
    assert services.chat_settings.kept[first].system_prompt == "Be kind."
    assert second not in services.chat_settings.kept


def test_presets_fill_in_values_and_own_ones_can_be_kept(qtbot: QtBot, page: ChatPage, services: FakeServices) -> None:
    row = page.side.presets
    chat = services.chat.add_chat("a")
    page.open_conversation(chat)
    row.box.setCurrentIndex(row.box.findData("Precise"))
    row.box.activated.emit(row.box.currentIndex())
    settle(qtbot, lambda: page.side.form.fields["temperature"].spin.value() == 0.2)
    assert row.box.currentText() == "Precise"
    page.side.form.fields["temperature"].spin.setValue(0.3)
    settle(qtbot, lambda: bool(row.box.currentText() == "Own values"))
    row.save_requested.emit("mine")
    settle(qtbot, lambda: bool(row.box.currentText() == "mine"))
    assert services.sampling.own_presets["mine"].numbers["temperature"] == 0.3
    row.remove_requested.emit("mine")
    settle(qtbot, lambda: bool(row.box.currentText() == "Own values"))
    qtbot.mouseClick(page.side.keep_button, Qt.MouseButton.LeftButton)
    settle(qtbot, lambda: page.side.form.fields["temperature"].origin == "Set for this model")
    assert services.sampling.kept[KEY].numbers["temperature"] == 0.3
    assert services.chat_settings.kept[chat].is_default


def test_the_panel_opens_and_closes_and_is_remembered(qtbot: QtBot, page: ChatPage, services: FakeServices) -> None:
    assert page.view.panel_button.isChecked()
    qtbot.mouseClick(page.view.panel_button, Qt.MouseButton.LeftButton)
    assert page.side.isHidden()
    assert not services.chat_settings.is_open
    qtbot.mouseClick(page.view.panel_button, Qt.MouseButton.LeftButton)
    assert page.side.isVisible()
    qtbot.mouseClick(page.side.close_button, Qt.MouseButton.LeftButton)
    assert not page.view.panel_button.isChecked()


def test_biases_and_ends_are_written_a_line_each(page: ChatPage, services: FakeServices) -> None:
    chat = services.chat.add_chat("a")
    page.open_conversation(chat)
    page.side.shape_fold.open()
    page.side.biases.setPlainText("hello=-5\n7=2")
    page.side.stop.setPlainText("END\n\n")
    page.side.write_texts()
    expected = SamplingValues(
        stop=("END",), logit_bias=(LogitBias(token="hello", bias=-5.0), LogitBias(token=7, bias=2.0)))
    assert services.chat_settings.kept[chat].sampling == expected
    page.side.biases.setPlainText("hello")
    page.side.write_texts()
    assert "hello" in page.side.bias_note.text()
    assert page.side.bias_note.isVisible()
    assert services.chat_settings.kept[chat].sampling == expected


def test_what_is_written_with_a_mistake_outlives_other_changes_and_not_its_chat(
    qtbot: QtBot, page: ChatPage, services: FakeServices,
) -> None:
    side, field = page.side, page.side.form.fields["top_k"]
    chat = services.chat.add_chat("a")
    page.open_conversation(chat)
    settle(qtbot, lambda: field.origin == "Recommended by Acme")
    side.shape.kind_box.setCurrentIndex(1)
    side.shape.kind_box.activated.emit(1)
    side.shape.text.setPlainText('{"type": ')
    side.shape.check()
    side.biases.setPlainText("hello")
    side.write_texts()
    side.prompt.setPlainText("Be brief.")
    field.spin.setValue(5)
    settle(qtbot, lambda: field.origin == "Set for this chat")
    assert (side.shape.kind, side.shape.text.toPlainText(), side.biases.toPlainText()) == ("schema", '{"type": ', "hello")
    assert "hello" in side.bias_note.text()
    assert services.chat_settings.kept[chat] == ChatSettings(
        system_prompt="Be brief.", sampling=SamplingValues(numbers={"top_k": 5}))
    page.open_conversation(services.chat.add_chat("b"))
    settle(qtbot, lambda: field.origin == "Recommended by Acme")
    assert (side.shape.kind, side.shape.text.toPlainText(), side.biases.toPlainText()) == ("free", "", "")
    assert side.bias_note.isHidden()


def test_in_a_narrow_window_the_list_of_chats_gives_way(qtbot: QtBot, page: ChatPage) -> None:
    assert page.panel.isVisible()
    page.resize(700, 600)
    assert not page.panel.isVisible()
    settle(qtbot, lambda: page.view.width() >= 380)
    page.settings.set_open(False)
    assert page.panel.isVisible()
    page.settings.set_open(True)
    page.resize(1100, 600)
    assert page.panel.isVisible()


def test_a_shape_with_a_mistake_is_told_and_not_used(qtbot: QtBot) -> None:
    field = ShapeField()
    qtbot.addWidget(field)
    heard: list[tuple[str, str]] = []
    field.changed.connect(lambda schema, grammar: heard.append((schema, grammar)))
    field.show()
    field.kind_box.setCurrentIndex(2)
    field.kind_box.activated.emit(2)
    field.text.setPlainText("root ::= x")
    field.check()
    assert field.note.text() == "Not used yet: line 1: there is no rule “x”."
    field.text.setPlainText('root ::= "x"')
    field.check()
    assert field.note.text() == HINT
    assert heard == [("", ""), ("", 'root ::= "x"')]
    assert shape_problem("schema", "[]")
    assert shape_problem("schema", "{") == "line 1: it is not valid JSON (Expecting property name enclosed in double quotes)"
    assert shape_problem("schema", "{}") == ""


def test_tokens_of_the_answer_are_listed_where_they_are_asked_for(
    qtbot: QtBot, page: ChatPage, services: FakeServices,
) -> None:
    tokens = page.side.tokens
    page.side.token_fold.open()
    chat = send(page, "Hello")
    tokens.switch.click()
    assert services.chat_settings.kept[chat].logprobs == 5
    assert tokens.note.isVisible()
    answer = services.chat.begin_answer(chat)
    found = (TokenLogprob(text=" Hi\n", logprob=-0.5, alternatives=((" Hi\n", -0.5), ("Oh", -9.0))),)
    services.bridge.event_published.emit(AnswerProgressed(chat, answer.id, " Hi\n", stats(1), logprobs=found))
    assert [tokens.table.item(0, column).text() for column in range(3)] == ["␣Hi↵", "60.7%", "Oh <0.1%"]
    assert not tokens.note.isVisible()
    services.bridge.event_published.emit(AnswerProgressed(chat, answer.id + 1, "x", stats(1), logprobs=found * 2))
    assert tokens.table.rowCount() == 2
    page.new_chat()
    assert tokens.table.rowCount() == 0


def test_numbers_out_of_range_are_explained(qtbot: QtBot, page: ChatPage) -> None:
    field = page.side.form.fields["top_p"]
    field.spin.lineEdit().setText("7")
    field.spin.interpretText()
    field.spin.refused.emit("7")
    assert field.origin == "Choose a number from 0 to 1."

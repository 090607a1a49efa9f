"""A full context on screen: said while a message is written, marked where the history was cut, gone on with."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from localai_app.engine.protocol import TokensCounted
from localai_app.errors import NO_MODEL_LOADED, AppError
from localai_app.gui.chat.history_mark import SHORTENED, above_words, marks_for
from localai_app.gui.chat.message_views import AnswerView
from localai_app.gui.chat.quiet_button import QuietButton
from localai_app.gui.pages.chat_page import ChatPage
from localai_app.gui.theme import ThemeState
from localai_app.services.events import ContextChecked, MessageAdded
from localai_app.store.records import AnswerCut, Message, Role
from tests.gui.chat.chat_fakes import FakeServices, kept, stats
from tests.gui.chat.test_chat_page import new_page

WORDS = "The conversation is longer than the context (17,000 of 16,384 tokens): the 2 oldest messages will be left out."


def checked(services: FakeServices, chat_id: int | None, draft: str, words: str = WORDS, sent: int | None = 9_000) -> None:
    """The answer of the service to a question about a text."""
    counted = TokensCounted(id=1, prompt_tokens=17_000, sent_tokens=sent, context_total=16_384)
    services.bridge.event_published.emit(ContextChecked(chat_id, draft, counted, words))


def long_chat(services: FakeServices, cut: AnswerCut | None, reason: str = "stop") -> tuple[int, list[Message]]:
    """Three exchanges; the newest answer was given without something."""
    chat_id = services.chat.add_chat("Bananas")
    for turn in range(3):
        services.chat.add(chat_id, Role.USER, f"Question {turn}")
        last = turn == 2
        services.chat.add(
            chat_id, Role.ASSISTANT, f"Answer {turn}", stats=kept(stats(), reason if last else "stop"),
            cut=cut if last else None)
    return chat_id, services.chat.kept_messages[chat_id]


@pytest.fixture
def page(qtbot: QtBot, theme: ThemeState, services: FakeServices) -> ChatPage:
    return new_page(qtbot, theme, services)


def test_what_will_be_left_out_is_said_before_sending(qtbot: QtBot, services: FakeServices, page: ChatPage) -> None:
    composer = page.view.composer
    services.engine.become_ready()
    services.chat.checked.clear()
    composer.set_text("What was the first")
    composer.set_text("What was the first fruit?")
    qtbot.waitUntil(lambda: (None, "What was the first fruit?") in services.chat.checked)
    assert (None, "What was the first") not in services.chat.checked
    checked(services, None, "What was the first")
    assert composer.warning == ""
    checked(services, None, "What was the first fruit?")
    assert composer.warning == WORDS
    assert composer.context_words == "9,000 / 16,384"
    checked(services, None, "What was the first fruit?", words="It will not be answered.", sent=None)
    assert composer.context_words == "16,384 / 16,384"
    composer.clear()
    assert composer.warning == ""
    checked(services, None, "")
    assert composer.warning == ""


def test_the_mark_stands_where_the_history_was_cut(services: FakeServices, page: ChatPage) -> None:
    chat_id, messages = long_chat(services, None)
    ids = [message.id for message in messages]
    page.open_conversation(chat_id)
    column = page.view.transcript.column
    assert column.marks == {}
    question = services.chat.add(chat_id, Role.USER, "And now?")
    services.bridge.event_published.emit(MessageAdded(question))
    answer = services.chat.begin_answer(chat_id)
    assert column.marks == {}
    cut = AnswerCut(left_out=tuple(ids[:4]))
    services.bridge.event_published.emit(MessageAdded(Message(
        id=answer.id, conversation_id=chat_id, role=Role.ASSISTANT, text="", state=answer.state, created_s=0.0, cut=cut)))
    assert column.marks == {ids[4]: above_words(4)}
    services.chat.end_answer(answer, "Bananas.", stats=kept(stats()), cut=cut)
    view = column.view(answer.id)
    assert isinstance(view, AnswerView)
    assert view.footer.cut_words == "4 messages not sent"
    page.new_chat()
    page.open_conversation(chat_id)
    assert column.marks == {ids[4]: above_words(4)}
    following = services.chat.begin_answer(chat_id)
    services.chat.end_answer(following, "More.", stats=kept(stats()))
    assert column.marks == {}


def test_marks_of_messages_that_are_not_on_screen_wait_for_them() -> None:
    cut = AnswerCut(left_out=(1, 2, 3), shortened=((7, 100),))
    assert marks_for((5, 6, 7), cut) == {7: SHORTENED}
    assert marks_for((3, 5, 6, 7), cut) == {5: above_words(3), 7: SHORTENED}
    assert marks_for((1, 2, 3), cut) == {}
    assert marks_for((1, 2, 3), None) == {}


@pytest.mark.parametrize(("reason", "can_outgrow", "is_offered"), [
    ("context", True, True), ("context", False, False), ("stop", True, False)])
def test_an_answer_that_filled_the_context_can_go_on(
    qtbot: QtBot, services: FakeServices, page: ChatPage, reason: str, can_outgrow: bool, is_offered: bool,
) -> None:
    services.chat.can_outgrow = can_outgrow
    chat_id, messages = long_chat(services, None, reason)
    page.open_conversation(chat_id)
    view = page.view.transcript.column.view(messages[-1].id)
    assert isinstance(view, AnswerView)
    qtbot.waitUntil(lambda: any(asked[0] == chat_id for asked in services.chat.checked))
    assert view.footer.can_continue == is_offered
    if is_offered:
        button = next(each for each in view.footer.findChildren(QuietButton) if each.text() == "Continue")
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        assert services.chat.calls[-1] == ("continue", chat_id)


def test_an_answer_that_cannot_go_on_says_why(
    services: FakeServices, page: ChatPage, monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_conversation_id: int) -> None:
        raise AppError(NO_MODEL_LOADED)

    monkeypatch.setattr(services.chat, "continue_answer", refuse)
    chat_id, _messages = long_chat(services, None, "context")
    page.open_conversation(chat_id)
    page.view.transcript.column.continue_requested.emit()
    assert page.view.strip.isVisibleTo(page)

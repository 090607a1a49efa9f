"""The transcript follows the end, builds older messages late, and keeps its place."""

from __future__ import annotations

import time

from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from localai_app.gui.chat.message_views import AnswerView, QuestionView
from localai_app.gui.chat.transcript import FIRST_MESSAGES, MORE_MESSAGES, Transcript
from localai_app.gui.theme import ThemeState
from localai_app.services.events import AnswerProgressed
from localai_app.store.records import Message, MessageState, Role
from tests.gui.chat.chat_fakes import stats


def conversation(n_messages: int) -> list[Message]:
    return [
        Message(
            id=number, conversation_id=1, role=Role.USER if number % 2 else Role.ASSISTANT,
            text=f"Message {number}\n\n" + "some words " * 40, state=MessageState.DONE, created_s=0.0)
        for number in range(1, n_messages + 1)
    ]


def transcript(qtbot: QtBot, theme: ThemeState) -> Transcript:
    view = Transcript(theme)
    qtbot.addWidget(view)
    view.resize(800, 600)
    view.show()
    return view


def append(view: Transcript, text: str) -> None:
    answer = view.column.view(21)
    assert isinstance(answer, AnswerView)
    answer.append(AnswerProgressed(1, 21, text, stats()))


def is_at_end(view: Transcript) -> bool:
    bar = view.verticalScrollBar()
    return bool(bar.maximum() > 0 and bar.value() >= bar.maximum() - 12)


def test_a_chat_of_2000_messages_opens_at_its_end_at_once(qtbot: QtBot, theme: ThemeState) -> None:
    view = transcript(qtbot, theme)
    messages = conversation(2000)
    started_s = time.thread_time()
    view.show_messages(messages)
    QApplication.processEvents()
    assert time.thread_time() - started_s < 1.0
    assert len(view.column.message_ids) == FIRST_MESSAGES
    assert view.column.message_ids[-1] == 2000
    qtbot.waitUntil(lambda: is_at_end(view))


def test_scrolling_up_brings_older_messages_and_keeps_the_place(qtbot: QtBot, theme: ThemeState) -> None:
    view = transcript(qtbot, theme)
    view.show_messages(conversation(200))
    qtbot.waitUntil(lambda: is_at_end(view))
    bar = view.verticalScrollBar()
    bar.setValue(100)
    first = view.column.view(200 - FIRST_MESSAGES + 1)
    assert first is not None
    assert len(view.column.message_ids) == FIRST_MESSAGES + MORE_MESSAGES
    qtbot.waitUntil(lambda: bar.value() > 1000)
    qtbot.wait(200)
    assert list(view.column.message_ids) == sorted(view.column.message_ids)
    assert abs(first.mapTo(view.viewport(), first.rect().topLeft()).y() - (24 - 100)) < 4


def test_new_text_follows_the_end_only_if_the_user_is_there(qtbot: QtBot, theme: ThemeState) -> None:
    view = transcript(qtbot, theme)
    messages = conversation(20)
    view.show_messages(messages)
    qtbot.waitUntil(lambda: is_at_end(view))
    streaming = Message(id=21, conversation_id=1, role=Role.ASSISTANT, text="", state=MessageState.STREAMING, created_s=0.0)
    view.add_message(streaming)
    append(view, "line\n\n" * 30)
    qtbot.waitUntil(lambda: view.verticalScrollBar().maximum() > 1500 and is_at_end(view))
    view.verticalScrollBar().setValue(500)
    assert not view.is_following
    assert view.is_jump_offered
    append(view, "line\n\n" * 30)
    qtbot.wait(100)
    assert view.verticalScrollBar().value() == 500
    view.jump_to_end()
    assert is_at_end(view)
    assert not view.is_jump_offered


def test_a_message_of_ones_own_leads_to_the_end(qtbot: QtBot, theme: ThemeState) -> None:
    view = transcript(qtbot, theme)
    view.show_messages(conversation(20))
    qtbot.waitUntil(lambda: is_at_end(view))
    view.verticalScrollBar().setValue(0)
    view.add_message(Message(id=99, conversation_id=1, role=Role.USER, text="new", state=MessageState.DONE, created_s=0.0))
    qtbot.waitUntil(lambda: is_at_end(view))


def test_the_column_stays_in_the_middle_beside_the_scroll_bar(qtbot: QtBot, theme: ThemeState) -> None:
    view = transcript(qtbot, theme)
    view.show_messages(conversation(30))
    qtbot.waitUntil(lambda: is_at_end(view))
    last = view.column.view(30)
    assert isinstance(last, AnswerView)
    center = last.mapTo(view, last.rect().center()).x()
    assert abs(center - view.width() // 2) <= 2


def test_system_messages_are_not_shown(qtbot: QtBot, theme: ThemeState) -> None:
    view = transcript(qtbot, theme)
    view.show_messages([
        Message(id=1, conversation_id=1, role=Role.SYSTEM, text="be kind", state=MessageState.DONE, created_s=0.0),
        Message(id=2, conversation_id=1, role=Role.USER, text="hi", state=MessageState.DONE, created_s=0.0)])
    assert view.column.message_ids == (2,)
    assert isinstance(view.column.last_view, QuestionView)

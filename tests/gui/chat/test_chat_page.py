"""The chat page from model to answer, against fakes of the services."""

from __future__ import annotations

import msgspec
import pytest
from PySide6.QtCore import Qt, QUrl
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QLineEdit,
    QMessageBox,
    QPlainTextEdit,
    QProgressBar,
    QTextEdit,
    QWidget,
)
from pytestqt.qtbot import QtBot

from localai_app import errors
from localai_app.engine.protocol import ChatFormat
from localai_app.errors import AppError
from localai_app.fit.decide import unknown_result
from localai_app.fit.result import Request, Verdict
from localai_app.gui.chat.links import ask_to_open
from localai_app.gui.chat.message_views import AnswerView, QuestionView
from localai_app.gui.itemmodels.conversation_list_model import ANSWERING_ROLE
from localai_app.gui.pages.chat_page import ChatPage
from localai_app.gui.theme import ThemeState
from localai_app.services.events import AnswerEnded
from localai_app.services.views import EngineState, EngineStatus
from localai_app.store.records import MessageState, Role
from tests.gui.chat.chat_fakes import KEY, FakeServices, fake_services, installed, kept, loaded, second_model, stats


def new_page(qtbot: QtBot, theme: ThemeState, services: FakeServices) -> ChatPage:
    page = ChatPage(services, theme, services.bridge)  # type: ignore[arg-type]
    qtbot.addWidget(page)
    page.resize(1100, 700)
    page.show()
    return page


def ask(page: ChatPage, text: str) -> None:
    page.view.composer.set_text(text)
    page.view.composer.send()


def last_answer(page: ChatPage) -> AnswerView:
    view = page.view.transcript.column.last_view
    assert isinstance(view, AnswerView)
    return view


def test_without_a_model_one_button_leads_to_the_models(qtbot: QtBot, theme: ThemeState) -> None:
    services = fake_services(has_model=False)
    page = new_page(qtbot, theme, services)
    assert page.view.shown is page.view.no_model
    assert not page.view.composer.isVisible()
    with qtbot.waitSignal(page.page_requested) as requested:
        qtbot.mouseClick(page.view.no_model.button, Qt.MouseButton.LeftButton)
    assert requested.args == ["models"]
    services.install(installed())
    assert page.view.shown is page.view.welcome
    assert page.view.composer.isVisible()


def test_old_chats_can_be_read_without_a_model(qtbot: QtBot, theme: ThemeState) -> None:
    services = fake_services(has_model=False)
    chat_id = services.chat.add_chat("Old")
    services.chat.add(chat_id, Role.USER, "hi")
    page = new_page(qtbot, theme, services)
    page.open_conversation(chat_id)
    assert page.view.shown is page.view.transcript


def test_an_example_begins_a_chat(qtbot: QtBot, theme: ThemeState, services: FakeServices) -> None:
    page = new_page(qtbot, theme, services)
    card = page.view.welcome.cards[0]
    qtbot.mouseClick(card, Qt.MouseButton.LeftButton)
    (call,) = services.chat.calls
    assert call[0] == "send"
    assert call[2] in card.accessibleName()
    assert call[3] == KEY
    assert page.view.shown is page.view.transcript


def test_a_question_and_its_streaming_answer(qtbot: QtBot, theme: ThemeState, services: FakeServices) -> None:
    page = new_page(qtbot, theme, services)
    services.engine.become_ready()
    ask(page, "Hello?")
    chat_id = page.session.conversation_id
    assert chat_id is not None
    assert page.view.composer.text == ""
    answer = services.chat.begin_answer(chat_id)
    for piece in ("Hel", "lo **wor", "ld**"):
        services.chat.stream(answer, piece, stats(3))
    assert page.view.composer.is_answering
    assert page.view.composer.context_words == "1,204 / 16,384"
    services.chat.end_answer(answer, "Hello **world**", stats=kept(stats()))
    assert [part.html for part in last_answer(page).markdown.segments] == ["<p>Hello <b>world</b></p>"]  # type: ignore[union-attr]
    assert not page.view.composer.is_answering


def test_an_answer_goes_on_while_another_chat_is_on_screen(qtbot: QtBot, theme: ThemeState, services: FakeServices) -> None:
    other = services.chat.add_chat("Other")
    page = new_page(qtbot, theme, services)
    ask(page, "Hello?")
    chat_id = page.session.conversation_id
    assert chat_id is not None
    answer = services.chat.begin_answer(chat_id)
    services.chat.stream(answer, "one ")
    page.open_conversation(other)
    services.chat.stream(answer, "two ")
    page.open_conversation(chat_id)
    services.chat.stream(answer, "three")
    assert last_answer(page).message.text == "one two three"
    services.chat.end_answer(answer, "one two three")
    assert [part.html for part in last_answer(page).markdown.segments] == ["<p>one two three</p>"]  # type: ignore[union-attr]


def test_a_continued_answer_grows_from_its_text(qtbot: QtBot, theme: ThemeState, services: FakeServices) -> None:
    chat_id = services.chat.add_chat("Chat")
    services.chat.add(chat_id, Role.USER, "hi")
    half = services.chat.add(chat_id, Role.ASSISTANT, "Half ", MessageState.INTERRUPTED, error="The engine stopped: killed.")
    page = new_page(qtbot, theme, services)
    page.open_conversation(chat_id)
    last_answer(page).interruption.retry_requested.emit()
    assert ("retry", chat_id) in services.chat.calls
    services.chat.stream(half, "done")
    assert last_answer(page).interruption.isHidden()
    services.chat.end_answer(half, "Half done", error="")
    assert [part.html for part in last_answer(page).markdown.segments] == ["<p>Half done</p>"]  # type: ignore[union-attr]


def test_again_replaces_the_answer(qtbot: QtBot, theme: ThemeState, services: FakeServices) -> None:
    chat_id = services.chat.add_chat("Chat")
    services.chat.add(chat_id, Role.USER, "hi")
    old = services.chat.add(chat_id, Role.ASSISTANT, "first")
    page = new_page(qtbot, theme, services)
    page.open_conversation(chat_id)
    last_answer(page).footer.retry_requested.emit()
    assert old.id not in page.view.transcript.column.message_ids
    services.chat.begin_answer(chat_id)
    assert len(page.view.transcript.column.message_ids) == 2


def test_escape_and_the_button_stop(qtbot: QtBot, theme: ThemeState, services: FakeServices) -> None:
    page = new_page(qtbot, theme, services)
    ask(page, "Hello?")
    chat_id = page.session.conversation_id
    assert chat_id is not None
    services.chat.begin_answer(chat_id)
    page.view.composer.stop_requested.emit()
    assert services.chat.calls[-1] == ("stop", chat_id)


def test_a_question_is_queued_while_the_model_loads(qtbot: QtBot, theme: ThemeState, services: FakeServices) -> None:
    page = new_page(qtbot, theme, services)
    page.open_with_model(KEY)
    services.engine.become(EngineState(EngineStatus.LOADING, KEY, "tiny", fraction=0.42))
    assert page.view.strip.loading_words == "Loading tiny · Q4_K_M, 42%"
    assert page.view.composer.note == "Sent as soon as the model is ready"
    ask(page, "Hello?")
    assert services.chat.calls[-1][0] == "send"
    page.view.strip.cancel_requested.emit()
    assert services.engine.calls == [("load", KEY), ("unload",)]
    assert page.view.strip.loading_words == ""


def test_a_failed_load_says_why_and_tries_again(qtbot: QtBot, theme: ThemeState, services: FakeServices) -> None:
    page = new_page(qtbot, theme, services)
    failure = AppError(errors.ENGINE_OUT_OF_MEMORY)
    services.engine.become(EngineState(EngineStatus.FAILED, KEY, "tiny", error=failure))
    assert page.view.strip.banner.error is failure
    qtbot.mouseClick(page.view.strip.banner.remedy_button, Qt.MouseButton.LeftButton)
    assert services.engine.calls == [("reload",)]
    services.engine.become_ready()
    assert page.view.strip.banner.error is None


def test_a_model_that_was_held_back_is_loaded_anyway_only_after_yes(
        qtbot: QtBot, theme: ThemeState, services: FakeServices) -> None:
    page = new_page(qtbot, theme, services)
    failure = AppError(errors.MODEL_TOO_LARGE, name="tiny", needed="9 GiB", available="1 GiB")
    services.engine.become(EngineState(EngineStatus.FAILED, KEY, "tiny", error=failure, may_be_tried=True))
    other = page.view.strip.banner.other_button
    assert (other.text(), other.isVisible()) == ("Load anyway…", True)
    for answer in ("Do not load", "Load anyway"):
        qtbot.mouseClick(other, Qt.MouseButton.LeftButton)
        box = page.model.anyway.box
        assert box is not None
        assert failure.message in box.informativeText()
        next(button for button in box.buttons() if button.text() == answer).click()
        qtbot.waitUntil(lambda: page.model.anyway.box is None)
    assert services.engine.calls == [("load", KEY, "anyway")]
    as_set = AppError(errors.LOAD_SETTINGS_DO_NOT_FIT, name="tiny", reason="too large")
    services.engine.become(EngineState(EngineStatus.FAILED, KEY, "tiny", error=as_set, may_be_tried=True))
    assert page.view.strip.banner.remedy_button.text() == "Load settings…"
    with qtbot.waitSignal(page.load_panel_requested) as asked:
        qtbot.mouseClick(page.view.strip.banner.remedy_button, Qt.MouseButton.LeftButton)
    assert asked.args == [KEY]
    tried = AppError(errors.ENGINE_OUT_OF_MEMORY)
    services.engine.become(EngineState(EngineStatus.FAILED, KEY, "tiny", error=tried))
    assert not other.isVisible()


def test_a_question_about_room_is_no_error_and_has_two_ways_out(
        qtbot: QtBot, theme: ThemeState, services: FakeServices) -> None:
    page = new_page(qtbot, theme, services)
    question = AppError(errors.MODEL_IN_THE_WAY, name="tiny", needed="4.0 GiB", others="big", held="3.0 GiB")
    banner = page.view.strip.banner
    for control, expected in ((banner.other_button, ("unload",)), (banner.remedy_button, ("load", KEY, "make_room"))):
        services.engine.become(EngineState(EngineStatus.FAILED, KEY, "tiny", error=question))
        assert (banner.other_button.text(), banner.remedy_button.text()) == ("Keep what is loaded", "Make room")
        assert banner.accessibleName().startswith("Question: tiny needs 4.0 GiB and does not fit beside big")
        assert banner.property("role") == "banner-info"
        qtbot.mouseClick(control, Qt.MouseButton.LeftButton)
        assert services.engine.calls[-1] == expected
    services.engine.become(EngineState(EngineStatus.FAILED, KEY, "tiny", error=AppError(errors.ENGINE_OUT_OF_MEMORY)))
    assert banner.property("role") == "banner-bad"


def test_many_crashes_offer_safe_settings_though_the_answer_says_what_happened(
        qtbot: QtBot, theme: ThemeState, services: FakeServices) -> None:
    chat_id = services.chat.add_chat("Chat")
    services.chat.add(chat_id, Role.USER, "hi")
    crash = AppError(errors.ENGINE_CRASHED_AGAIN, name="tiny", count=3, cause="it crashed")
    services.chat.add(
        chat_id, Role.ASSISTANT, "Once upon", MessageState.INTERRUPTED, error=f"{crash.message} {crash.action}", model_key=KEY)
    page = new_page(qtbot, theme, services)
    page.open_conversation(chat_id)
    services.engine.become(EngineState(EngineStatus.FAILED, KEY, "tiny", error=crash))
    assert page.view.strip.banner.error is crash
    assert page.view.strip.banner.remedy_button.text() == "Load with safe settings"
    qtbot.mouseClick(page.view.strip.banner.remedy_button, Qt.MouseButton.LeftButton)
    assert services.engine.calls == [("load", KEY, "safe")]
    assert services.chat.calls[-1] == ("retry", chat_id)


def test_what_a_load_gives_up_is_told_while_it_happens_and_afterwards_until_it_is_dismissed(
        qtbot: QtBot, theme: ThemeState, services: FakeServices) -> None:
    page = new_page(qtbot, theme, services)
    strip = page.view.strip
    step = "The memory did not suffice. Trying a context of 4,096 tokens instead of 8,192."
    reduced = "a context of 4,096 tokens instead of 8,192"
    services.engine.become(EngineState(EngineStatus.LOADING, KEY, "tiny", steps=(step,), reduced=reduced))
    assert (strip.step_words, strip.reduced.words) == (step, "")
    ready = EngineState(EngineStatus.READY, KEY, "tiny", loaded=loaded(), steps=(step,), reduced=reduced)
    services.engine.become(ready)
    assert strip.step_words == ""
    assert strip.reduced.words == f"The memory did not suffice. tiny runs with {reduced}."
    qtbot.mouseClick(strip.reduced.close_button, Qt.MouseButton.LeftButton)
    services.engine.become(ready)
    assert strip.reduced.words == ""
    services.engine.become(EngineState(EngineStatus.LOADING, KEY, "tiny"))
    services.engine.become(EngineState(EngineStatus.READY, KEY, "tiny", loaded=loaded(), reduced=reduced))
    assert strip.reduced.words == f"tiny runs with {reduced}."
    qtbot.mouseClick(strip.reduced.full_button, Qt.MouseButton.LeftButton)
    assert (services.set_ups.forgotten, services.engine.calls[-1]) == ([KEY], ("load", KEY))


def test_a_question_that_nothing_answers_can_be_asked_again(qtbot: QtBot, theme: ThemeState, services: FakeServices) -> None:
    chat_id = services.chat.add_chat("Chat")
    services.chat.add(chat_id, Role.USER, "hi")
    page = new_page(qtbot, theme, services)
    page.open_conversation(chat_id)
    question = page.view.transcript.column.last_view
    assert isinstance(question, QuestionView)
    question.retry_requested.emit()
    assert services.chat.calls[-1] == ("retry", chat_id)


def test_a_crash_is_told_once(qtbot: QtBot, theme: ThemeState, services: FakeServices) -> None:
    page = new_page(qtbot, theme, services)
    services.engine.become_ready()
    ask(page, "Hello?")
    chat_id = page.session.conversation_id
    assert chat_id is not None
    answer = services.chat.begin_answer(chat_id)
    services.chat.stream(answer, "Half")
    crash = AppError(errors.ENGINE_CRASHED, cause="killed")
    services.engine.become(EngineState(EngineStatus.FAILED, KEY, "tiny", error=crash))
    services.chat.end_answer(answer, "Half", MessageState.INTERRUPTED, error=f"{crash.message} {crash.action}")
    assert not last_answer(page).interruption.isHidden()
    assert page.view.strip.banner.error is None


def test_what_cannot_be_sent_stays_written(
    qtbot: QtBot, theme: ThemeState, services: FakeServices, monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = new_page(qtbot, theme, services)

    def refuse(*_args: object) -> None:
        raise AppError(errors.NO_MODEL_LOADED)

    monkeypatch.setattr(services.chat, "send", refuse)
    ask(page, "precious words")
    assert page.view.composer.text == "precious words"
    assert page.view.strip.banner.error is not None


def test_words_not_sent_stay_with_their_chat(qtbot: QtBot, theme: ThemeState, services: FakeServices) -> None:
    first, second = services.chat.add_chat("One"), services.chat.add_chat("Two")
    page = new_page(qtbot, theme, services)
    page.open_conversation(first)
    page.view.composer.set_text("half a thought")
    page.open_conversation(second)
    assert page.view.composer.text == ""
    page.open_conversation(first)
    assert page.view.composer.text == "half a thought"


def test_a_base_model_is_named_as_one(qtbot: QtBot, theme: ThemeState, services: FakeServices) -> None:
    page = new_page(qtbot, theme, services)
    services.engine.become_ready(has_chat_template=False)
    assert "base model" in page.view.strip.template_note
    services.engine.become_ready()
    assert page.view.strip.template_note == ""


def test_rename_delete_and_undo(qtbot: QtBot, theme: ThemeState, services: FakeServices) -> None:
    chat_id = services.chat.add_chat("One")
    page = new_page(qtbot, theme, services)
    page.open_conversation(chat_id)
    title = page.view.title
    qtbot.mouseClick(title, Qt.MouseButton.LeftButton)
    title.setText("Better")
    qtbot.keyClick(title, Qt.Key.Key_Return)
    assert services.chat.chats[chat_id].title == "Better"
    assert page.panel.model.conversations[0].title == "Better"
    page.panel.delete_requested.emit(chat_id)
    assert services.chat.chats == {}
    assert page.session.conversation_id is None
    assert page.panel.undo_bar.isVisible()
    page.panel.undo_requested.emit()
    assert page.session.conversation_id == chat_id


def test_the_menu_of_models(qtbot: QtBot, theme: ThemeState, services: FakeServices) -> None:
    services.install(installed(), second_model())
    too_large = msgspec.structs.replace(unknown_result("Too large.", Request()), verdict=Verdict.NO)
    services.installed_fits.known["acme/big-GGUF:Q8_0"] = too_large
    page = new_page(qtbot, theme, services)
    services.engine.become_ready()
    menu = page.view.chooser.build_menu()
    qtbot.addWidget(menu)
    words = [action.text() for action in menu.actions() if not action.isSeparator()]
    assert words == [
        "tiny · Q4_K_M\tloaded · 5.0 GB", "big · Q8_0\twill not run · 5.0 GB", "Load settings…", "Get another model",
        "Unload, free its memory"]
    assert menu.actions()[1].toolTip().startswith("Will not run\nToo large.\n")
    with qtbot.waitSignal(page.load_panel_requested) as asked:
        next(action for action in menu.actions() if action.text() == "Load settings…").trigger()
    assert asked.args == [KEY]
    menu.actions()[1].trigger()
    assert services.engine.calls == [("load", "acme/big-GGUF:Q8_0")]


def test_the_prompt_has_the_cursor(qtbot: QtBot, theme: ThemeState, services: FakeServices) -> None:
    page = new_page(qtbot, theme, services)
    page.activateWindow()
    page.open_with_model(KEY)
    qtbot.waitUntil(page.view.composer.edit.hasFocus)
    page.view.chooser.setFocus()
    services.engine.become_ready()
    assert page.view.composer.edit.hasFocus()


def test_every_control_has_a_name(qtbot: QtBot, theme: ThemeState, services: FakeServices) -> None:
    chat_id = services.chat.add_chat("Chat")
    services.chat.add(chat_id, Role.USER, "hi " * 3000)
    services.chat.add(chat_id, Role.ASSISTANT, "<think>x</think>Text\n\n```python\nx\n```\n", stats=kept(stats()))
    page = new_page(qtbot, theme, services)
    page.open_conversation(chat_id)
    kinds = (QAbstractButton, QLineEdit, QTextEdit, QPlainTextEdit, QAbstractItemView, QProgressBar)
    anonymous = [
        f"{type(widget).__name__} in {type(widget.parent()).__name__}" for widget in page.findChildren(QWidget)
        if isinstance(widget, kinds) and widget.isVisibleTo(page) and not (
            widget.accessibleName() or (isinstance(widget, QAbstractButton) and (widget.text() or widget.toolTip())))
    ]
    assert anonymous == []


def test_a_link_is_opened_only_after_its_address_was_shown(qtbot: QtBot, theme: ThemeState) -> None:
    host = QWidget()
    qtbot.addWidget(host)
    opened: list[str] = []

    def open_url(url: QUrl) -> bool:
        opened.append(url.toString())
        return True

    for address in ("file:///etc/passwd", "javascript:alert(1)", "ms-settings:x", "//host/share"):
        assert ask_to_open(QUrl(address), host, open_url) is None
    box = ask_to_open(QUrl("https://exämple.org/a b"), host, open_url)
    assert box is not None
    assert box.informativeText() == "https://xn--exmple-cua.org/a%20b"
    assert opened == []
    box.button(QMessageBox.StandardButton.NoButton)
    next(button for button in box.buttons() if button.text() == "Open").click()
    assert opened == ["https://exämple.org/a b"]


def test_a_chat_that_waits_for_another_one_says_so(qtbot: QtBot, theme: ThemeState) -> None:
    services = fake_services()
    services.engine.become_ready()
    page = new_page(qtbot, theme, services)
    ask(page, "first")
    first_id = page.session.conversation_id
    assert first_id is not None
    answer = services.chat.begin_answer(first_id)
    page.new_chat()
    ask(page, "second")
    assert page.view.composer.note == "Waits for the answer in another chat"
    assert page.panel.model.index_of(first_id).data(ANSWERING_ROLE)
    services.chat.end_answer(answer, "done", stats=kept(stats()))
    assert not page.panel.model.index_of(first_id).data(ANSWERING_ROLE)
    assert page.view.composer.note.startswith("Enter sends")


def test_the_context_meter_tells_of_the_chat_on_screen(qtbot: QtBot, theme: ThemeState) -> None:
    services = fake_services()
    page = new_page(qtbot, theme, services)
    services.engine.become_ready(used=1204)
    ask(page, "hello")
    first_id = page.session.conversation_id
    assert first_id is not None
    services.chat.end_answer(services.chat.begin_answer(first_id), "hi", stats=kept(stats()))
    assert page.view.composer.context_words == "1,204 / 16,384"
    page.new_chat()
    assert page.view.composer.context_words == "0 / 16,384"
    page.open_conversation(first_id)
    assert page.view.composer.context_words == "1,204 / 16,384"
    services.chat.end_answer(services.chat.begin_answer(first_id), "", MessageState.INTERRUPTED, error="The context is full.")
    services.engine.become_ready(used=16_384)
    assert page.view.composer.context_words == "1,204 / 16,384"


def test_a_template_that_cannot_be_used_leads_to_the_choice_of_another(
    qtbot: QtBot, theme: ThemeState, services: FakeServices,
) -> None:
    """At the load it is replaced and said; a conversation that it refuses later says so with the same way out."""
    page = new_page(qtbot, theme, services)
    broken = ChatFormat(template="plain", problem="the model's own chat template cannot be used: it is nested too deeply")
    info = msgspec.structs.replace(loaded(), format=broken)
    services.engine.become(EngineState(EngineStatus.READY, KEY, "tiny", loaded=info, fraction=1.0))
    assert page.view.strip.template_note.startswith("The model's own chat template cannot be used: it is nested too deeply.")
    with qtbot.waitSignal(page.load_panel_requested) as asked:
        page.view.strip.template_button.click()
    assert asked.args == [KEY]
    services.engine.become_ready()
    chat_id = services.chat.add_chat("One")
    page.open_conversation(chat_id)
    message = services.chat.begin_answer(chat_id)
    error = AppError(errors.TEMPLATE_FAILED, reason="Only after 8 pm")
    services.chat.answering_conversation_id = None
    services.bridge.event_published.emit(AnswerEnded(
        msgspec.structs.replace(message, state=MessageState.INTERRUPTED, error=f"{error.message} {error.action}"), error))
    banner = page.view.strip.banner
    assert banner.error is error
    assert banner.remedy_button.text() == "Choose a template…"
    with qtbot.waitSignal(page.load_panel_requested) as asked:
        banner.remedy_button.click()
    assert asked.args == [KEY]

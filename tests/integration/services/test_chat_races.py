"""Chats under quick and contradicting wishes: nothing is lost, answered twice, or left waiting for ever."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from localai_app.services.app_services import AppServices
from localai_app.services.events import AnswerEnded, AnswerProgressed, ErrorHappened, Event, MessageAdded, ModelLoaded
from localai_app.services.views import EngineStatus
from localai_app.store.records import MessageState, Role
from tests.helpers.services_fixture import TINY_KEY, EventRecorder, install_tiny_model, open_services, wait_until

OTHER_REPO = "tester/Other-GGUF"
OTHER_KEY = f"{OTHER_REPO}:F32"
LONG = ("--tokens-per-s", "200", "--tokens", "100000")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    install_tiny_model(tmp_path)
    install_tiny_model(tmp_path, OTHER_REPO, "other-F32.gguf")
    return tmp_path


def is_quiet(services: AppServices) -> bool:
    """Whether nothing is answered and nothing waits."""
    chat = services.chat
    return chat.answering_conversation_id is None and not any(chat.is_waiting(one.id) for one in chat.conversations())


def states(services: AppServices, conversation_id: int) -> list[str]:
    """The messages of a chat as their states; questions as `?`."""
    messages = services.chat.messages(conversation_id)
    return ["?" if message.role is Role.USER else message.state.value for message in messages]


def test_a_question_sent_at_the_moment_an_answer_ends_is_answered(data_dir: Path) -> None:
    with open_services(data_dir, echo=("--tokens", "3")) as services:
        recorder = EventRecorder(services)
        conversation = services.chat.create()
        left = list(range(25))

        def on_event(event: Event) -> None:
            if isinstance(event, AnswerEnded) and left:
                threading.Thread(target=services.chat.send, args=(conversation.id, f"question {left.pop()}")).start()

        services.events.subscribe(on_event)
        services.chat.send(conversation.id, "first")
        recorder.wait_for(AnswerEnded, 26)
        wait_until(lambda: is_quiet(services))
        assert states(services, conversation.id) == ["?", "done"] * 26


def test_questions_from_several_threads_are_all_answered_and_none_twice(data_dir: Path) -> None:
    with open_services(data_dir, echo=("--tokens", "3")) as services:
        recorder = EventRecorder(services)
        chats = [services.chat.create() for _ in range(12)]
        threads = [threading.Thread(target=services.chat.send, args=(chat.id, "question", TINY_KEY)) for chat in chats]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        recorder.wait_for(AnswerEnded, 12)
        wait_until(lambda: is_quiet(services))
        assert [states(services, chat.id) for chat in chats] == [["?", "done"]] * 12
        assert len(recorder.of(ModelLoaded)) == 1


def test_questions_sent_to_one_chat_while_it_waits_are_answered_together(data_dir: Path) -> None:
    with open_services(data_dir, echo=("--load-s", "0.4", "--text", "prompt")) as services:
        recorder = EventRecorder(services)
        conversation = services.chat.create()
        for word in ("one", "two", "three"):
            services.chat.send(conversation.id, word)
        recorder.wait_for(AnswerEnded)
        wait_until(lambda: is_quiet(services))
        assert states(services, conversation.id) == ["?", "?", "?", "done"]
        assert services.chat.messages(conversation.id)[-1].text.split() == ["one", "two", "three"]


def test_the_end_of_an_answer_is_told_before_the_next_one_begins(data_dir: Path) -> None:
    with open_services(data_dir, echo=("--tokens", "5", "--load-s", "0.2")) as services:
        recorder = EventRecorder(services)
        first, second = services.chat.create(), services.chat.create()
        services.chat.send(first.id, "question")
        services.chat.send(second.id, "question")
        recorder.wait_for(AnswerEnded, 2)
        order = [
            (type(event).__name__, event.message.conversation_id) for event in recorder.events
            if isinstance(event, AnswerEnded | MessageAdded) and event.message.role is Role.ASSISTANT]
        assert order == [
            ("MessageAdded", first.id), ("AnswerEnded", first.id), ("MessageAdded", second.id), ("AnswerEnded", second.id)]


def test_choosing_another_model_lets_the_answer_end_and_has_the_waiting_chats_answered_by_it(data_dir: Path) -> None:
    with open_services(data_dir, echo=LONG) as services:
        recorder = EventRecorder(services)
        first, second = services.chat.create(), services.chat.create()
        services.chat.send(first.id, "question", TINY_KEY)
        recorder.wait_for(AnswerProgressed, 5)
        services.chat.send(second.id, "question", TINY_KEY)
        services.engine.load(OTHER_KEY)
        wait_until(lambda: services.chat.answering_conversation_id == second.id)
        recorder.wait_for(ModelLoaded, 2)
        wait_until(lambda: states(services, second.id) == ["?", "streaming"])
        assert [event.model_key for event in recorder.of(ModelLoaded)] == [TINY_KEY, OTHER_KEY]
        assert states(services, first.id) == ["?", "done"]
        assert services.chat.messages(second.id)[-1].model_key == OTHER_KEY


def test_the_speed_of_an_answer_is_kept_for_the_model_that_gave_it(data_dir: Path) -> None:
    with open_services(data_dir, echo=LONG) as services:
        recorder = EventRecorder(services)
        conversation = services.chat.create()
        services.chat.send(conversation.id, "question", TINY_KEY)
        recorder.wait_for(AnswerProgressed, 30)
        services.engine.load(OTHER_KEY)
        recorder.wait_for(ModelLoaded, 2)
        services.chat.stop(conversation.id)
        recorder.wait_for(AnswerEnded)
        assert services.library.get(TINY_KEY).tps is not None
        assert services.library.get(OTHER_KEY).tps is None


def test_a_model_named_by_its_path_through_a_link_is_loaded_once(data_dir: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.gguf"
    link.symlink_to(data_dir / "models" / OTHER_REPO / "other-F32.gguf")
    with open_services(data_dir, echo=("--tokens", "5")) as services:
        recorder = EventRecorder(services)
        conversation = services.chat.create()
        services.chat.send(conversation.id, "question", str(link))
        recorder.wait_for(AnswerEnded)
        wait_until(lambda: is_quiet(services))
        assert len(recorder.of(ModelLoaded)) == 1


def test_unloading_while_chats_wait_gives_their_questions_back(data_dir: Path) -> None:
    with open_services(data_dir, echo=("--load-s", "20")) as services:
        conversation = services.chat.create()
        services.chat.send(conversation.id, "question")
        wait_until(lambda: services.engine.pid is not None)
        services.engine.unload()
        assert is_quiet(services)
        assert services.engine.state.status is EngineStatus.NONE
        assert states(services, conversation.id) == ["?"]


def test_stopping_a_waiting_chat_takes_its_question_back_and_the_others_are_answered(data_dir: Path) -> None:
    with open_services(data_dir, echo=("--load-s", "0.5", "--tokens", "3")) as services:
        recorder = EventRecorder(services)
        first, second = services.chat.create(), services.chat.create()
        services.chat.send(first.id, "question")
        services.chat.send(second.id, "question")
        services.chat.stop(first.id)
        assert not services.chat.is_waiting(first.id)
        recorder.wait_for(AnswerEnded)
        wait_until(lambda: is_quiet(services))
        assert states(services, first.id) == ["?"]
        assert states(services, second.id) == ["?", "done"]


def test_stopping_at_the_very_beginning_of_an_answer_stops_it(data_dir: Path) -> None:
    with open_services(data_dir, echo=LONG) as services:
        recorder = EventRecorder(services)
        conversation = services.chat.create()

        def on_event(event: Event) -> None:
            # The answer has been announced, and the engine has not been asked yet.
            if isinstance(event, MessageAdded) and event.message.role is Role.ASSISTANT:
                services.chat.stop(conversation.id)

        services.events.subscribe(on_event)
        services.chat.send(conversation.id, "question")
        ended = recorder.wait_for(AnswerEnded)
        assert ended.message.state is MessageState.STOPPED


def test_a_chat_can_be_deleted_while_it_is_answered_and_while_it_waits(data_dir: Path) -> None:
    with open_services(data_dir, echo=LONG) as services:
        recorder = EventRecorder(services)
        answered, waiting, last = (services.chat.create() for _ in range(3))
        for chat in (answered, waiting, last):
            services.chat.send(chat.id, "question")
        recorder.wait_for(AnswerProgressed, 5)
        services.chat.delete(waiting.id)
        services.chat.delete(answered.id)
        wait_until(lambda: services.chat.answering_conversation_id == last.id)
        assert [chat.id for chat in services.chat.conversations()] == [last.id]
        services.chat.undo_delete()
        services.chat.undo_delete()
        assert states(services, answered.id) == ["?", "stopped"]
        assert states(services, waiting.id) == ["?"]


def test_a_question_sent_while_the_engine_dies_is_answered_by_a_new_one(data_dir: Path, expect_log: Any) -> None:
    expect_log("the engine ended")
    with open_services(data_dir, echo=("--tokens-per-s", "300", "--tokens", "20", "--fault", "kill@10")) as services:
        recorder = EventRecorder(services)
        conversation = services.chat.create()
        sent = []

        def on_event(event: Event) -> None:
            if isinstance(event, AnswerEnded) and event.error is not None and not sent:
                sent.append(event)
                services.chat.send(conversation.id, "and again")

        services.events.subscribe(on_event)
        services.chat.send(conversation.id, "question")
        recorder.wait_for(ModelLoaded, 2)
        recorder.wait_for(AnswerEnded, 2)
        wait_until(lambda: is_quiet(services))
        assert states(services, conversation.id) == ["?", "interrupted", "?", "interrupted"]


def test_trying_again_without_any_model_keeps_the_answer(data_dir: Path) -> None:
    with open_services(data_dir, echo=("--tokens", "5")) as services:
        recorder = EventRecorder(services)
        conversation = services.chat.create()
        services.chat.send(conversation.id, "question")
        recorder.wait_for(AnswerEnded)
        services.engine.unload()
        for model in services.library.models():
            model.paths[0].unlink()
        with pytest.raises(Exception, match="No model is loaded"):
            services.chat.retry(conversation.id)
        assert states(services, conversation.id) == ["?", "done"]


@pytest.mark.parametrize("moment", ["answering", "loading"])
def test_closing_keeps_the_text_and_leaves_no_answer_streaming(data_dir: Path, moment: str) -> None:
    options = LONG if moment == "answering" else ("--load-s", "20")
    with open_services(data_dir, echo=options) as services:
        recorder = EventRecorder(services)
        conversation = services.chat.create()
        services.chat.send(conversation.id, "question")
        if moment == "answering":
            recorder.wait_for(AnswerProgressed, 20)
        else:
            wait_until(lambda: services.engine.pid is not None)
    with closing(sqlite3.connect(services.paths.store_file)) as store:
        rows = store.execute("SELECT role, state, text FROM messages ORDER BY id").fetchall()
    if moment == "loading":
        assert [role for role, _state, _text in rows] == ["user"]
        return
    assert rows[-1][:2] in (("assistant", "stopped"), ("assistant", "interrupted"))
    assert rows[-1][2] == "".join(event.text for event in recorder.of(AnswerProgressed))


class FullDisk:
    """Makes SQLite refuse every change, as on a full disk."""

    def __init__(self, services: AppServices) -> None:
        self._connection = services.store.conversations._connection._connection

    def fill(self) -> None:
        """From now on nothing can be written."""
        self._connection.execute("PRAGMA query_only = ON")

    def free(self) -> None:
        """Changes are possible again."""
        self._connection.execute("PRAGMA query_only = OFF")


def test_a_store_that_cannot_be_written_is_told_once_and_the_answer_goes_on(data_dir: Path) -> None:
    with open_services(data_dir, echo=("--tokens-per-s", "100", "--tokens", "120")) as services:
        recorder = EventRecorder(services)
        conversation = services.chat.create()
        services.chat.send(conversation.id, "question")
        recorder.wait_for(AnswerProgressed, 5)
        disk = FullDisk(services)
        disk.fill()
        ended = recorder.wait_for(AnswerEnded)
        assert ended.message.state is MessageState.DONE
        assert ended.message.text == "".join(event.text for event in recorder.of(AnswerProgressed))
        assert [event.error.code for event in recorder.of(ErrorHappened)] == ["store_unavailable"]
        assert is_quiet(services)
        disk.free()
        services.chat.send(conversation.id, "and again")
        assert recorder.wait_for(AnswerEnded, 2).message.state is MessageState.DONE


def test_a_store_that_cannot_take_an_answer_says_so_and_does_not_block_the_queue(data_dir: Path) -> None:
    with open_services(data_dir, echo=("--tokens", "5", "--load-s", "0.3")) as services:
        recorder = EventRecorder(services)
        conversation = services.chat.create()
        services.chat.send(conversation.id, "question")
        disk = FullDisk(services)
        disk.fill()
        assert recorder.wait_for(ErrorHappened).error.code == "store_unavailable"
        wait_until(lambda: is_quiet(services))
        disk.free()
        services.chat.send(conversation.id, "and again")
        assert recorder.wait_for(AnswerEnded).message.state is MessageState.DONE


def test_the_first_question_after_a_failed_load_asks_for_the_model_again(data_dir: Path) -> None:
    with open_services(data_dir, echo=("--fault", "refuse@load")) as services:
        conversation = services.chat.create()
        for _ in range(2):
            services.chat.send(conversation.id, "question")
            wait_until(lambda: services.engine.state.status is EngineStatus.FAILED)
            wait_until(lambda: is_quiet(services))
        assert states(services, conversation.id) == ["?", "?"]

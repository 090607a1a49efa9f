"""Conversations over a real worker process: answered, stopped, killed, continued, queued."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from localai_app.errors import AppError
from localai_app.services.events import AnswerEnded, AnswerProgressed, EngineFailed, ModelLoaded
from localai_app.services.views import EngineStatus
from localai_app.store.records import MessageState, Role
from tests.helpers.services_fixture import TINY_KEY, EventRecorder, install_tiny_model, open_services, wait_until


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    install_tiny_model(tmp_path)
    return tmp_path


def test_a_question_is_answered_and_kept_with_its_numbers(data_dir: Path) -> None:
    with open_services(data_dir, echo=("--tokens-per-s", "500", "--tokens", "40")) as services:
        recorder = EventRecorder(services)
        conversation = services.chat.create()
        services.chat.send(conversation.id, "What is a heap?\nExplain it.")
        ended = recorder.wait_for(AnswerEnded)
        streamed = "".join(event.text for event in recorder.of(AnswerProgressed))
        assert ended.error is None
        assert ended.message.state is MessageState.DONE
        assert ended.message.text == streamed
        assert ended.message.stats is not None
        assert ended.message.stats.completion_tokens == 40
        assert services.chat.conversations()[0].title == "What is a heap?"
        roles = [message.role for message in services.chat.messages(conversation.id)]
        assert roles == [Role.USER, Role.ASSISTANT]
        model = services.library.get(TINY_KEY)
        assert model.last_used_s is not None
        assert model.tps is not None


def test_killing_the_worker_keeps_the_text_and_one_retry_goes_on(data_dir: Path, expect_log) -> None:
    expect_log("the engine ended")
    with open_services(data_dir, echo=("--tokens-per-s", "100", "--tokens", "400")) as services:
        recorder = EventRecorder(services)
        conversation = services.chat.create()
        services.chat.send(conversation.id, "Go on for long")
        wait_until(lambda: len(recorder.of(AnswerProgressed)) > 20)
        pid = services.engine.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        ended = recorder.wait_for(AnswerEnded)
        assert ended.message.state is MessageState.INTERRUPTED
        assert ended.message.text == "".join(event.text for event in recorder.of(AnswerProgressed))
        assert ended.error is not None
        assert ended.error.action in ended.message.error
        assert services.engine.state.status is EngineStatus.FAILED

        services.chat.retry(conversation.id)
        recorder.wait_for(ModelLoaded, 2)
        wait_until(lambda: services.chat.answering_conversation_id == conversation.id)
        wait_until(lambda: len(services.chat.messages(conversation.id)[-1].text) > len(ended.message.text))
        services.chat.stop(conversation.id)
        again = recorder.wait_for(AnswerEnded, 2)
        assert again.message.id == ended.message.id
        assert again.message.text.startswith(ended.message.text)
        assert again.message.state is MessageState.STOPPED


def test_stop_keeps_what_came(data_dir: Path) -> None:
    with open_services(data_dir, echo=("--tokens-per-s", "50", "--tokens", "4000")) as services:
        recorder = EventRecorder(services)
        conversation = services.chat.create()
        services.chat.send(conversation.id, "Go")
        recorder.wait_for(AnswerProgressed, 3)
        services.chat.stop(conversation.id)
        ended = recorder.wait_for(AnswerEnded)
        assert ended.message.state is MessageState.STOPPED
        assert ended.message.text
        assert services.engine.state.status is EngineStatus.READY


def test_messages_sent_while_the_model_loads_are_answered_in_order(data_dir: Path) -> None:
    with open_services(data_dir, echo=("--load-s", "0.5", "--text", "prompt")) as services:
        recorder = EventRecorder(services)
        first, second = services.chat.create(), services.chat.create()
        services.chat.send(first.id, "first question")
        services.chat.send(second.id, "second question")
        assert services.chat.is_waiting(first.id)
        recorder.wait_for(AnswerEnded, 2)
        order = [event.message.conversation_id for event in recorder.of(AnswerEnded)]
        assert order == [first.id, second.id]
        assert "second question" in services.chat.messages(second.id)[-1].text


def test_answering_again_replaces_the_answer(data_dir: Path) -> None:
    with open_services(data_dir, echo=("--tokens", "10")) as services:
        recorder = EventRecorder(services)
        conversation = services.chat.create()
        services.chat.send(conversation.id, "Question")
        recorder.wait_for(AnswerEnded)
        services.chat.retry(conversation.id)
        recorder.wait_for(AnswerEnded, 2)
        assert [message.role for message in services.chat.messages(conversation.id)] == [Role.USER, Role.ASSISTANT]


def test_without_any_model_sending_says_so_and_keeps_nothing_half_done(tmp_path: Path) -> None:
    with open_services(tmp_path) as services:
        conversation = services.chat.create()
        with pytest.raises(AppError) as caught:
            services.chat.send(conversation.id, "Hello?")
        assert caught.value.code == "no_model_loaded"
        assert services.chat.messages(conversation.id) == ()


def test_a_chat_without_a_model_is_answered_by_a_file_that_was_opened(tmp_path: Path) -> None:
    install_tiny_model(tmp_path / "elsewhere")
    (path,) = (tmp_path / "elsewhere").rglob("*.gguf")
    with open_services(tmp_path / "data", echo=("--tokens", "5")) as services:
        recorder = EventRecorder(services)
        conversation = services.chat.create()
        services.engine.load(str(path))
        services.chat.send(conversation.id, "Hello?")
        assert recorder.wait_for(AnswerEnded).message.model_key == str(path)


def test_a_model_that_cannot_load_fails_the_waiting_question_in_words(data_dir: Path) -> None:
    path = data_dir / "models" / "tester" / "Tiny-Chat-GGUF" / "tiny-chat-F32.gguf"
    path.write_bytes(b"not a model at all" * 10)
    with open_services(data_dir) as services:
        recorder = EventRecorder(services)
        conversation = services.chat.create()
        services.chat.send(conversation.id, "Hello?")
        failed = recorder.wait_for(EngineFailed)
        assert failed.error.code == "not_a_gguf"
        assert [message.text for message in services.chat.messages(conversation.id)] == ["Hello?"]
        assert not services.chat.is_waiting(conversation.id)


def test_delete_and_undo(data_dir: Path) -> None:
    with open_services(data_dir) as services:
        conversation = services.chat.create()
        services.chat.rename(conversation.id, "  Kept  ")
        services.chat.delete(conversation.id)
        assert services.chat.conversations() == ()
        restored = services.chat.undo_delete()
        assert restored is not None
        assert [one.title for one in services.chat.conversations()] == ["Kept"]


def test_a_conversation_survives_a_restart(data_dir: Path) -> None:
    with open_services(data_dir, echo=("--tokens", "20")) as services:
        recorder = EventRecorder(services)
        conversation = services.chat.create()
        services.chat.send(conversation.id, "Remember me")
        text = recorder.wait_for(AnswerEnded).message.text
    with open_services(data_dir) as services:
        assert services.chat.conversations("remember")[0].id == conversation.id
        assert services.chat.messages(conversation.id)[-1].text == text


def test_unloading_ends_the_process(data_dir: Path) -> None:
    with open_services(data_dir) as services:
        recorder = EventRecorder(services)
        services.engine.load(TINY_KEY)
        recorder.wait_for(ModelLoaded)
        pid = services.engine.pid
        assert pid is not None
        services.engine.unload()
        wait_until(lambda: not Path(f"/proc/{pid}").exists())
        assert services.engine.state.status is EngineStatus.NONE


THOUGHT = "<think>\n" + "one two three four five six seven eight nine ten " * 12 + "\n</think>\n\nThe answer"


def test_thinking_is_kept_apart_with_its_duration(data_dir: Path) -> None:
    echo = ("--text", "prompt", "--tokens-per-s", "400")
    with open_services(data_dir, echo=echo) as services:
        recorder = EventRecorder(services)
        conversation = services.chat.create()
        services.chat.send(conversation.id, THOUGHT)
        ended = recorder.wait_for(AnswerEnded).message
        assert ended.text == "The answer"
        assert ended.thinking == ("one two three four five six seven eight nine ten " * 12).strip()
    with open_services(data_dir, echo=echo) as services:
        kept = services.chat.messages(conversation.id)[1]
        assert kept == ended, "after a restart"
        assert kept.stats is not None
        assert kept.stats.thinking_s > 0.1


def test_an_answer_killed_while_it_thought_goes_on_thinking(data_dir: Path, expect_log) -> None:
    expect_log("the engine ended")
    with open_services(data_dir, echo=("--text", "prompt", "--tokens-per-s", "100")) as services:
        recorder = EventRecorder(services)
        conversation = services.chat.create()
        services.chat.send(conversation.id, THOUGHT)
        wait_until(lambda: len(recorder.of(AnswerProgressed)) > 20)
        assert services.engine.pid is not None
        os.kill(services.engine.pid, signal.SIGKILL)
        cut_off = recorder.wait_for(AnswerEnded).message
        assert (cut_off.text, cut_off.state) == ("", MessageState.INTERRUPTED)
        assert cut_off.thinking is not None
        assert cut_off.thinking.startswith("one two three")
        services.chat.retry(conversation.id)
        whole = recorder.wait_for(AnswerEnded, count=2).message
        assert whole.text == "The answer"
        assert whole.thinking == ("one two three four five six seven eight nine ten " * 12).strip()


def test_calls_of_tools_are_kept_typed(data_dir: Path) -> None:
    with open_services(data_dir, echo=("--text", "prompt")) as services:
        recorder = EventRecorder(services)
        conversation = services.chat.create()
        services.chat.send(conversation.id, 'Look.\n<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>')
        recorder.wait_for(AnswerEnded)
        kept = services.chat.messages(conversation.id)[1]
        assert kept.text.strip() == "Look."
        assert [(call.name, call.arguments_json) for call in kept.tool_calls] == [("f", '{"a":1}')]

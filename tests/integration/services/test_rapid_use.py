"""Impatient use through the services, with real workers: bursts of questions, stops, models changed in an answer."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from localai_app.services.events import AnswerEnded, AnswerProgressed, EngineFailed, ModelLoaded
from localai_app.services.views import EngineStatus
from localai_app.store.records import MessageState, Role
from tests.helpers.gguf_files import write_tiny_gguf
from tests.helpers.real_models import smollm2_path
from tests.helpers.services_fixture import EventRecorder, install_tiny_model, open_services, wait_until

N_SENDS = 100
N_CHATS = 10


def test_a_hundred_rapid_sends_are_all_answered_and_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    """To ten chats in turn; what is written to a chat that waits already is answered together with it."""
    install_tiny_model(tmp_path)
    with open_services(tmp_path, echo=("--text", "prompt", "--load-s", "0.2")) as services:
        recorder = EventRecorder(services)
        chats = [services.chat.create().id for _ in range(N_CHATS)]
        for number in range(N_SENDS):
            services.chat.send(chats[number % N_CHATS], f"message {number}")
        wait_until(lambda: not (services.chat.answering_conversation_id or any(map(services.chat.is_waiting, chats))), 60)
        first_ends = [event.message.conversation_id for event in recorder.of(AnswerEnded)][:N_CHATS]
        assert first_ends == chats
        for place, chat in enumerate(chats):
            messages = services.chat.messages(chat)
            questions = [message.text for message in messages if message.role is Role.USER]
            assert questions == [f"message {number}" for number in range(place, N_SENDS, N_CHATS)]
            assert messages[-1].role is Role.ASSISTANT
            assert f"message {N_SENDS - N_CHATS + place}" in messages[-1].text
            assert all(message.state is MessageState.DONE for message in messages)
        assert not recorder.of(EngineFailed)


@pytest.mark.model
@pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="llama.cpp is not installed")
def test_stops_and_other_models_at_any_moment_of_a_real_answer(tmp_path: Path) -> None:
    other = write_tiny_gguf(tmp_path / "other.gguf")
    with open_services(tmp_path / "data", echo=None) as services:
        services.settings.set("context_tokens", 2048)
        recorder = EventRecorder(services)
        conversation = services.chat.create()
        services.engine.load(str(smollm2_path()))
        recorder.wait_for(ModelLoaded, timeout_s=60)

        services.chat.send(conversation.id, "word " * 900, str(smollm2_path()))
        wait_until(lambda: services.engine.state.status is EngineStatus.ANSWERING)
        services.chat.stop(conversation.id)
        stopped = recorder.wait_for(AnswerEnded, 1).message
        assert stopped.state is MessageState.STOPPED

        conversation = services.chat.create()
        services.chat.send(conversation.id, "Write a long story about a fox.", str(smollm2_path()))
        n_seen = len(recorder.of(AnswerProgressed))
        recorder.wait_for(AnswerProgressed, n_seen + 3, timeout_s=60)
        services.engine.load(str(other))
        recorder.wait_for(ModelLoaded, 2, timeout_s=60)
        services.chat.stop(conversation.id)
        ended = recorder.wait_for(AnswerEnded, 2).message
        assert services.chat.messages(conversation.id)[-1].text == ended.text != ""

        for _ in range(10):
            services.chat.send(conversation.id, "Hi", str(other))
            services.chat.stop(conversation.id)
        wait_until(lambda: services.chat.answering_conversation_id is None)
        assert services.engine.state.status is EngineStatus.READY
        assert services.engine.state.model_key == str(other)
        assert not recorder.of(EngineFailed)
        states = {message.state for message in services.chat.messages(conversation.id)}
        assert states <= {MessageState.DONE, MessageState.STOPPED}

"""A chat whose model was unloaded meanwhile is gone on with, and not read again."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from localai_app.services.events import AnswerEnded, AnswerTimed
from localai_app.services.views import EngineStatus
from tests.helpers.quick_model import quick_smollm2_path
from tests.helpers.services_fixture import EventRecorder, open_services, wait_until

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="llama.cpp is not installed"),
]

QUESTION = "Every boat in the harbour has a name and a small light. " * 20


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    place = tmp_path / "models" / "tester" / "SmolLM2-GGUF" / "SmolLM2-135M-Instruct.Q4_0.gguf"
    place.parent.mkdir(parents=True)
    place.symlink_to(quick_smollm2_path())
    return tmp_path


def test_a_chat_is_not_read_again_and_goes_with_its_state(data_dir: Path) -> None:
    with open_services(data_dir, echo=None) as services:
        services.settings.set("max_answer_tokens", 4)
        recorder = EventRecorder(services)
        chat = services.chat.create()
        services.chat.send(chat.id, QUESTION)
        recorder.wait_for(AnswerEnded, 1, 60)
    (state,) = services.paths.chat_states.iterdir()
    with open_services(data_dir, echo=None) as services:
        recorder = EventRecorder(services)
        services.chat.send(chat.id, "What is on the boats?")
        recorder.wait_for(AnswerEnded, 1, 60)
        stats = recorder.wait_for(AnswerTimed).stats
        assert stats.reused_tokens > 240
        assert stats.prompt_tokens - stats.reused_tokens < 30
        services.chat.delete(chat.id)
        assert not state.exists()
        services.engine.unload()
        wait_until(lambda: services.engine.state.status is EngineStatus.NONE)
    assert not list(services.paths.chat_states.iterdir())

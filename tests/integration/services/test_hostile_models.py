"""Model files that are none, and that change while they are used, through the services: in words, and with the chat kept."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from localai_app.errors import AppError
from localai_app.services.app_services import AppServices
from localai_app.services.events import AnswerEnded, AnswerProgressed, EngineFailed, ModelLoaded
from localai_app.services.views import EngineStatus
from localai_app.store.records import MessageState
from tests.helpers.real_models import smollm2_path
from tests.helpers.services_fixture import TINY_KEY, EventRecorder, install_tiny_model, open_services
from tests.unit.gguf.test_reader_limits import OVERSIZE, make_odd

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="llama.cpp is not installed"),
]
posix = pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be changed there")
KINDS = ("nothing in it", "text", "folder", "link to itself", "link to nowhere", "pipe", "device", *OVERSIZE)


@pytest.fixture
def services(tmp_path: Path) -> Iterator[AppServices]:
    with open_services(tmp_path / "data", echo=None) as opened:
        yield opened


def test_what_is_no_model_is_refused_at_once_and_the_next_one_loads(services: AppServices, tmp_path: Path) -> None:
    recorder = EventRecorder(services)
    n_failed = 0
    for number, kind in enumerate(KINDS):
        path = tmp_path / f"odd{number}.gguf"
        if kind in OVERSIZE:
            OVERSIZE[kind](path)
        elif not make_odd(path, kind):
            continue
        started_s = time.monotonic()
        with pytest.raises(AppError) as refused:
            services.library.link(path)
        assert refused.value.message, kind
        services.engine.load(str(path))
        n_failed += 1
        failed = recorder.wait_for(EngineFailed, n_failed).error
        assert failed.action, kind
        assert services.engine.pid is None, f"{kind}: a worker was started"
        assert time.monotonic() - started_s < 5.0, kind
        if path.is_file():
            path.unlink()
    assert n_failed >= 10
    install_tiny_model(services.paths.data)
    services.engine.load(TINY_KEY)
    recorder.wait_for(ModelLoaded, timeout_s=60)


@posix
def test_a_file_cut_short_in_the_middle_of_an_answer(services: AppServices, tmp_path: Path, expect_log) -> None:
    expect_log("the engine ended")
    path = tmp_path / "model.gguf"
    shutil.copyfile(smollm2_path(), path)
    recorder = EventRecorder(services)
    conversation = services.chat.create()
    services.chat.send(conversation.id, "Write a long story about a fox.", str(path))
    recorder.wait_for(AnswerProgressed, 3, timeout_s=60)
    os.truncate(path, 4096)
    ended = recorder.wait_for(AnswerEnded, timeout_s=60)
    assert ended.message.state is MessageState.INTERRUPTED
    assert services.chat.messages(conversation.id)[-1].text == ended.message.text != ""
    assert ended.error is not None
    assert "model file changed" in ended.error.message
    assert services.engine.state.status is EngineStatus.FAILED
    services.chat.retry(conversation.id)
    again = recorder.wait_for(EngineFailed, 2, timeout_s=60).error
    assert again.code == "gguf_truncated"
    assert services.chat.messages(conversation.id)[-1].text == ended.message.text


@posix
@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_file_that_is_taken_away_in_the_middle_of_an_answer(services: AppServices, tmp_path: Path, how: str) -> None:
    path = tmp_path / "model.gguf"
    shutil.copyfile(smollm2_path(), path)
    services.settings.set("max_answer_tokens", 30)
    recorder = EventRecorder(services)
    conversation = services.chat.create()
    services.chat.send(conversation.id, "Write a long story about a fox.", str(path))
    recorder.wait_for(AnswerProgressed, 3, timeout_s=60)
    if how == "deleted":
        path.unlink()
    else:
        (tmp_path / "other").write_bytes(b"not a model" * 1000)
        (tmp_path / "other").replace(path)
    ended = recorder.wait_for(AnswerEnded, timeout_s=60)
    assert ended.error is None
    assert ended.message.state is MessageState.DONE
    assert services.engine.state.status is EngineStatus.READY
    services.engine.load(str(path))
    failed = recorder.wait_for(EngineFailed, timeout_s=60).error
    assert failed.code == ("model_file_missing" if how == "deleted" else "not_a_gguf")
    assert services.chat.messages(conversation.id)[-1].text == ended.message.text

"""The real worker with a real model, killed, frozen and orphaned at each stage of its life."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from localai_app.engine.outcome import OutcomeKind
from localai_app.engine.protocol import LoadProgressed, PromptProgressed, Sampling, TextGenerated
from tests.helpers.orphans import outlives_its_parent
from tests.helpers.quick_model import quick_smollm2_path
from tests.integration.engine.conftest import RecordedWorker, StartWorker

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="llama.cpp is not installed"),
    pytest.mark.skipif(sys.platform == "win32", reason="uses POSIX signals"),
]

LONG_PROMPT = "word " * 900
STORY = "Write a long story about a fox."


def reach(worker: RecordedWorker, stage: str) -> None:
    """Bring a worker with a fresh process to a stage of its work."""
    load_id = worker.send_load(model_path=str(quick_smollm2_path()), ctx=2048)
    if stage == "load":
        worker.wait_for(LoadProgressed, load_id)
        return
    worker.wait_until(lambda: worker.ends_of(load_id), "end of the load")
    request_id = worker.send_chat(LONG_PROMPT if stage == "prefill" else STORY)
    if stage == "prefill":
        worker.wait_for(PromptProgressed, request_id)
    else:
        worker.wait_until(lambda: len(worker.text_of(request_id)) > 10, "some text")


@pytest.mark.parametrize(("stage", "number"), [
    ("load", signal.SIGSEGV), ("load", signal.SIGKILL), ("prefill", signal.SIGILL), ("prefill", signal.SIGABRT),
    ("mid-token", signal.SIGSEGV), ("mid-token", signal.SIGBUS),
])
def test_a_signal_at_any_stage_is_told_by_its_name(start_worker: StartWorker, stage: str, number: signal.Signals) -> None:
    worker = start_worker("llama")
    reach(worker, stage)
    os.kill(worker.client.pid or 0, number)
    outcome = worker.wait_for_outcome()
    assert (outcome.kind, outcome.signal) == (OutcomeKind.SIGNAL, int(number))
    assert number.name in outcome.error().message
    assert outcome.error().action
    assert len(worker.outcomes) == 1
    assert bool([event for event in worker.events if isinstance(event, TextGenerated)]) == (stage == "mid-token")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_signal_while_it_is_being_ended_is_an_ordinary_end(start_worker: StartWorker, number: signal.Signals) -> None:
    worker = start_worker("llama")
    reach(worker, "prefill")
    pid = worker.client.pid or 0
    os.kill(pid, signal.SIGSTOP)
    unloading = threading.Thread(target=worker.client.stop)
    unloading.start()
    time.sleep(0.1)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
        os.kill(pid, signal.SIGCONT)
    unloading.join()
    assert [outcome.kind for outcome in worker.outcomes] == [OutcomeKind.STOPPED]
    assert not psutil.pid_exists(pid)


def test_a_frozen_worker_is_noticed_in_the_middle_of_a_prompt(start_worker: StartWorker) -> None:
    worker = start_worker("llama", hang_timeout_s=8.0)
    reach(worker, "prefill")
    os.kill(worker.client.pid or 0, signal.SIGSTOP)
    outcome = worker.wait_for_outcome(30.0)
    assert outcome.kind is OutcomeKind.HANG
    assert "did not answer for 8 seconds" in outcome.error().message


@pytest.mark.parametrize("stage", ["prefill", "decode"])
def test_a_worker_ends_within_2_s_of_its_killed_parent(tmp_path: Path, stage: str) -> None:
    code = f"""
import sys, threading
from pathlib import Path
from localai_app.engine.client import EngineClient
from localai_app.engine.launch import worker_command
from localai_app.engine.protocol import *
def on_event(event):
    if isinstance(event, Loaded):
        prompt = {LONG_PROMPT!r} if {stage!r} == "prefill" else {STORY!r}
        client.send(Chat(id=2, messages=(ChatMessage(role="user", content=prompt),)))
    if isinstance(event, PromptProgressed if {stage!r} == "prefill" else TextGenerated):
        print(client.pid, flush=True)
client = EngineClient(worker_command("llama"), cwd=Path(sys.argv[1]), on_event=on_event, on_exit=print)
client.start()
client.send(Load(id=1, options=LoadOptions(model_path={str(quick_smollm2_path())!r}, ctx=2048, threads=1)))
threading.Event().wait()
"""
    assert not outlives_its_parent(code, tmp_path)


def test_a_hundred_real_questions_in_a_burst_are_answered_in_order(start_worker: StartWorker) -> None:
    worker = start_worker("llama")
    worker.load(model_path=str(quick_smollm2_path()), ctx=512)
    sampling = Sampling(temperature=0.0, max_tokens=1)
    ids = [worker.send_chat("Say yes.", sampling=sampling) for _ in range(100)]
    worker.wait_until(lambda: worker.ends_of(ids[-1]), "the last answer", 60.0)
    assert [event.id for event in worker.events if isinstance(event, TextGenerated)] == ids

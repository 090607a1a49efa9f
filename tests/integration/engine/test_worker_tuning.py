"""The short measurement of a loaded model with a real one: what it finds, that it stops, and that it leaves no trace."""

from __future__ import annotations

import importlib.util

import pytest

from localai_app.engine.protocol import Sampling, Stop, Tune, Tuned, TuningKind
from tests.helpers.quick_model import quick_smollm2_path

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="llama.cpp is not installed"),
]

GREEDY = Sampling(temperature=0.0, max_tokens=12)


def test_threads_and_steps_are_measured_and_the_conversation_stays(start_worker) -> None:
    worker = start_worker("llama")
    worker.load(model_path=str(quick_smollm2_path()), ctx=1024)
    answer, first = worker.chat("Name a colour.", sampling=GREEDY)
    worker.client.send(Tune(id=90, threads=(1, 2), ubatches=(64, 128), budget_s=2.0))
    tuned = worker.wait_for(Tuned, 90)
    assert tuned.is_complete
    found = {(row.kind, row.value) for row in tuned.rows}
    assert {(TuningKind.GENERATION, 1), (TuningKind.PROMPT, 1)} <= found
    assert all(row.tps > 0 for row in tuned.rows)
    stats = worker.chat("Name a colour.", answer, "And another?", sampling=GREEDY)[1].stats
    assert stats.reused_tokens >= first.stats.prompt_tokens


def test_it_ends_at_once_when_stopped(start_worker) -> None:
    worker = start_worker("llama")
    worker.load(model_path=str(quick_smollm2_path()), ctx=512)
    worker.client.send(Tune(id=90, threads=(1,), ubatches=(512, 1024), budget_s=600.0))
    worker.client.send(Stop(id=90))
    tuned = worker.wait_for(Tuned, 90, timeout_s=10.0)
    assert not tuned.is_complete
    assert tuned.rows == ()
    assert worker.chat("Name a colour.", sampling=GREEDY)[0]


def test_without_a_model_it_is_refused(start_worker) -> None:
    worker = start_worker("llama")
    worker.client.send(Tune(id=90))
    assert worker.refusal(90).code == "no_model_loaded"

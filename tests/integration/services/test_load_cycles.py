"""A model loaded, asked and unloaded again and again: the window's process does not grow, and no process stays."""

from __future__ import annotations

import gc
import importlib.util
from pathlib import Path

import psutil
import pytest

from localai_app.engine.protocol import ChatMessage, FinishReason, Sampling
from localai_app.services.app_services import AppServices
from localai_app.services.events import EngineFailed, ModelLoaded
from tests.helpers.engine_bench import Sink
from tests.helpers.real_models import smollm2_path
from tests.helpers.services_fixture import EventRecorder, open_services, wait_until
from tests.helpers.torture import rounds

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="llama.cpp is not installed"),
    pytest.mark.timeout(7200),
]

MAX_GROWTH_BYTES = 5_000_000
WARM_UP = 3
"""Rounds before the first measurement: what Python and the allocator take once."""
QUESTION = (ChatMessage(role="user", content="Say yes."),)


def one_round(services: AppServices) -> None:
    """Load, answer two tokens, unload."""
    recorder = EventRecorder(services)
    services.engine.load(str(smollm2_path()))
    wait_until(lambda: bool(recorder.of(ModelLoaded) or recorder.of(EngineFailed)), 60)
    assert not recorder.of(EngineFailed), recorder.of(EngineFailed)[0].error.message
    pid = services.engine.pid
    sink = Sink()
    services.engine.chat(QUESTION, Sampling(temperature=0.0, max_tokens=2), sink)
    wait_until(lambda: bool(sink.ends), 60)
    assert sink.ends == [FinishReason.LENGTH]
    services.engine.unload()
    wait_until(lambda: not psutil.pid_exists(pid or 0), 20)
    recorder.close()


def held_bytes() -> int:
    """Main memory of this process alone, after what is garbage is gone."""
    gc.collect()
    return int(psutil.Process().memory_full_info().uss)


def test_loading_asking_and_unloading_leaves_nothing_behind(tmp_path: Path) -> None:
    n_rounds = rounds(20, 200)
    with open_services(tmp_path / "data", echo=None) as services:
        services.settings.set("context_tokens", 512)
        for _ in range(WARM_UP):
            one_round(services)
        children = len(psutil.Process().children(recursive=True))
        before_bytes = held_bytes()
        for _ in range(n_rounds):
            one_round(services)
        growth_bytes = held_bytes() - before_bytes
        assert len(psutil.Process().children(recursive=True)) <= children
        print(f"{n_rounds} rounds: {growth_bytes / 1e6:+.2f} MB, {growth_bytes / n_rounds / 1e3:+.1f} kB each")
        assert growth_bytes < MAX_GROWTH_BYTES

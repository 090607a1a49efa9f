"""Tokens per second of a real worker process beside a bare loop over llama.cpp, in turns on the same computer."""

from __future__ import annotations

import os
import queue
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec import structs

from localai_app.engine.client import EngineClient
from localai_app.engine.launch import worker_command, worker_environment
from localai_app.engine.protocol import Complete, Event, Finished, Load, Loaded, LoadOptions, RequestFailed
from tests.bench.bare_loop_program import SAMPLINGS
from tests.bench.tables import print_table
from tests.helpers.real_models import smollm2_path

pytestmark = [pytest.mark.bench, pytest.mark.model, pytest.mark.timeout(300)]

TOKENS = 128
ROUNDS = 7
PROMPT = "The history of the lighthouse begins"
WAIT_S = 60.0
OPENMP_SPINS = "1000"
"""The worker sets this for itself; the bare loop gets it too, so that only the loops differ."""


@dataclass(frozen=True)
class Round:
    """Tokens per second in one round of both."""

    worker: float
    bare: float


def test_worker_beside_bare_loop(tmp_path: Path) -> None:
    path = smollm2_path()
    with running_worker(path, tmp_path) as worker, running_bare_loop(path) as bare:
        rounds = {
            name: [Round(worker_speed(*worker, name, request_id), bare_speed(bare, name))
                   for request_id in range(100 * kind, 100 * kind + ROUNDS)]
            for kind, name in enumerate(SAMPLINGS, start=1)}
    rows = []
    for name, results in rounds.items():
        best_worker, best_bare = max(result.worker for result in results), max(result.bare for result in results)
        ratio = statistics.median(result.worker / result.bare for result in results)
        rows.append((name, f"worker {best_worker:.0f} tok/s, bare loop {best_bare:.0f}, "
                           f"best to best {best_worker / best_bare:.3f}, median of {len(results)} rounds {ratio:.3f}"))
    print_table("SmolLM2 135M Q4_1 on the processor", rows)


@contextmanager
def running_worker(path: Path, folder: Path) -> Iterator[tuple[EngineClient, queue.SimpleQueue[Event]]]:
    """A real worker with the model loaded, and its events."""
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    client = EngineClient(worker_command(), cwd=folder, on_event=events.put, on_exit=lambda _outcome: None)
    client.start()
    client.send(Load(id=1, options=LoadOptions(model_path=str(path), ctx=2048)))
    while not isinstance(event := events.get(timeout=WAIT_S), Loaded):
        assert not isinstance(event, RequestFailed)
    yield client, events
    client.stop()


@contextmanager
def running_bare_loop(path: Path) -> Iterator[subprocess.Popen[str]]:
    """The other program, ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.bare_loop_program", str(path), str(TOKENS), PROMPT], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env={**worker_environment(os.environ), "PYTHONSAFEPATH": "", "GOMP_SPINCOUNT": OPENMP_SPINS})
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process


def worker_speed(client: EngineClient, events: queue.SimpleQueue[Event], sampling: str, request_id: int) -> float:
    """Tokens per second of one answer, as the worker counts them; the first token counts to the prompt."""
    client.send(Complete(id=request_id, prompt=PROMPT, sampling=structs.replace(SAMPLINGS[sampling], max_tokens=TOKENS)))
    while not isinstance(event := events.get(timeout=WAIT_S), Finished):
        assert not isinstance(event, RequestFailed)
    assert event.stats.completion_tokens > TOKENS / 2, "the model ended too early to be measured"
    return event.stats.tps


def bare_speed(process: subprocess.Popen[str], sampling: str) -> float:
    """The same of the bare loop."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{sampling}\n")
    process.stdin.flush()
    return (TOKENS - 1) / float(process.stdout.readline())

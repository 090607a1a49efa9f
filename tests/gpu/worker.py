"""A worker of the program, driven directly: loads, answers, benchmarks, and the memory that it holds on the way."""

from __future__ import annotations

import itertools
import queue
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from localai_app.engine.client import EngineClient
from localai_app.engine.outcome import WorkerOutcome
from localai_app.engine.protocol import (
    Benchmark,
    Benchmarked,
    BenchmarkRow,
    Command,
    Complete,
    Event,
    Finished,
    Load,
    Loaded,
    LoadOptions,
    PromptProgressed,
    Ready,
    RequestFailed,
    Sampling,
    Stop,
    TextGenerated,
)

WAIT_S = 120.0
E = TypeVar("E", bound=Event)


class WorkerError(Exception):
    """The worker refused a request, or ended."""


@dataclass(frozen=True)
class Answer:
    """How an answer ended, and how long it took the worker to end it after it was asked to."""

    finished: Finished
    stop_s: float


class GpuWorker:
    """One worker; every method waits for its answer."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._events: queue.SimpleQueue[Event | WorkerOutcome] = queue.SimpleQueue()
        self._ids = itertools.count(1)
        self.client = EngineClient(
            list(command), cwd=folder, on_event=self._take, on_exit=self._events.put, hang_timeout_s=WAIT_S)
        self.client.start()
        self.ready = self._next(Ready)

    @property
    def pid(self) -> int:
        """Of the process."""
        pid = self.client.pid
        assert pid is not None
        return pid

    def load(self, options: LoadOptions) -> Loaded:
        """Load a model in place of the present one; WorkerError with the reason otherwise."""
        self._send(Load(id=next(self._ids), options=options))
        return self._next(Loaded)

    def benchmark(
        self, prompts: Sequence[int], depths: Sequence[int], tokens: int, repeats: int = 2,
    ) -> tuple[BenchmarkRow, ...]:
        """The worker's own benchmark."""
        self._send(Benchmark(
            id=next(self._ids), prompt_tokens=tuple(prompts), depths=tuple(depths), generated_tokens=tokens, repeats=repeats))
        return self._next(Benchmarked).rows

    def answer(self, prompt: str, tokens: int, *, stop_after_s: float | None = None, temperature: float = 0.0) -> Answer:
        """Continue a text; with `stop_after_s` the answer is stopped so long after it was asked for."""
        request_id = next(self._ids)
        started_s = time.monotonic()
        self._send(Complete(id=request_id, prompt=prompt, sampling=Sampling(
            temperature=temperature, max_tokens=tokens)))
        stopped_s = started_s
        if stop_after_s is not None:
            time.sleep(stop_after_s)
            self._send(Stop(id=request_id))
            stopped_s = time.monotonic()
        finished = self._next(Finished)
        return Answer(finished, time.monotonic() - stopped_s)

    def close(self) -> None:
        """End it."""
        self.client.stop()

    def _take(self, event: Event) -> None:
        if not isinstance(event, (TextGenerated, PromptProgressed)):
            self._events.put(event)

    def _send(self, command: Command) -> None:
        self.client.send(command)

    def _next(self, kind: type[E]) -> E:
        end_s = time.monotonic() + WAIT_S
        while True:
            event = self._events.get(timeout=max(0.1, end_s - time.monotonic()))
            if isinstance(event, kind):
                return event
            if isinstance(event, RequestFailed):
                raise WorkerError(f"{event.code} {event.fields} {event.detail}")
            if isinstance(event, WorkerOutcome):
                raise WorkerError(f"{event.kind.value}: {event.cause} {event.stderr_tail[-600:]}")


@contextmanager
def running_worker(command: Sequence[str], folder: Path) -> Iterator[GpuWorker]:
    """A started worker, ended at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    worker = GpuWorker(command, folder)
    try:
        yield worker
    finally:
        worker.close()

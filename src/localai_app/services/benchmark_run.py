"""One benchmark in a worker of its own: started, loaded, timed, ended."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from localai_app.engine import protocol
from localai_app.engine.client import EngineClient
from localai_app.engine.failure import error_of
from localai_app.engine.outcome import WorkerOutcome

E = TypeVar("E", bound=protocol.Event)
_LOAD_ID, _BENCHMARK_ID = 1, 2
_PATIENCE_S = 0.2
GENERATION_COST = 10.0
"""How many tokens of a prompt take as long as a generated one, until both are measured: from 5 on processors to 30 on GPUs."""


@dataclass(frozen=True, slots=True)
class BenchmarkFacts:
    """What a benchmark found, and what ran it."""

    engine_build: str
    loaded: protocol.Loaded
    result: protocol.Benchmarked


@dataclass(frozen=True, slots=True)
class RunProgress:
    """How far a run is. `load_fraction` counts until the model is loaded, then `counts`; `left_s` None: not known yet."""

    load_fraction: float = 0.0
    counts: protocol.BenchmarkProgressed | None = None

    @property
    def fraction(self) -> float:
        """Share of the benchmark that is done, by time; 0.0 while the model is loaded."""
        done_s, left_s = self._seconds
        return done_s / (done_s + left_s) if done_s + left_s > 0 else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds that are left, from the speeds so far."""
        done_s, left_s = self._seconds
        return left_s if done_s > 0 else None

    @property
    def _seconds(self) -> tuple[float, float]:
        counts = self.counts
        if counts is None or not counts.prompt_done + counts.generated_done:
            return 0.0, 0.0
        read_s = counts.prompt_s / counts.prompt_done if counts.prompt_done else 0.0
        token_s = counts.generation_s / counts.generated_done if counts.generated_done else GENERATION_COST * read_s
        read_s = read_s or token_s / GENERATION_COST
        left_s = (counts.prompt_total - counts.prompt_done) * read_s + (
            counts.generated_total - counts.generated_done) * token_s
        return counts.prompt_s + counts.generation_s, left_s


class BenchmarkRun:
    """Used once, in the thread of its owner; `stop` may come from any thread."""

    def __init__(self, command: Sequence[str], cwd: Path, on_progress: Callable[[RunProgress], None]) -> None:
        self._events: queue.SimpleQueue[protocol.Event | WorkerOutcome] = queue.SimpleQueue()
        self._client = EngineClient(command, cwd=cwd, on_event=self._events.put, on_exit=self._events.put)
        self._on_progress = on_progress
        self._is_loaded = False
        self._is_stopped = False

    def stop(self) -> None:
        """End it soon: with the figures so far, or while it loads without any."""
        self._is_stopped = True
        if self._is_loaded:
            self._client.send(protocol.Stop(id=_BENCHMARK_ID))

    def run(self, options: protocol.LoadOptions, wish: protocol.Benchmark) -> BenchmarkFacts | None:
        """Load and measure; None where it was stopped before the first figure. AppError for everything that goes wrong."""
        try:
            self._client.start()
            ready = self._wait_for(protocol.Ready)
            self._client.send(protocol.Load(id=_LOAD_ID, options=options))
            loaded = self._wait_for(protocol.Loaded)
            if ready is None or loaded is None:
                return None
            self._client.send(msgspec.structs.replace(wish, id=_BENCHMARK_ID))
            self._is_loaded = True
            if self._is_stopped:
                return None
            result = self._wait_for(protocol.Benchmarked)
            return BenchmarkFacts(ready.engine_build, loaded, result) if result is not None and result.rows else None
        finally:
            self._client.stop()

    def _wait_for(self, kind: type[E]) -> E | None:
        """The next event of a kind; None where it was stopped first. What is loaded is waited for to its end."""
        while True:
            try:
                event = self._events.get(timeout=_PATIENCE_S)
            except queue.Empty:
                if self._is_stopped and not self._is_loaded:
                    return None
                continue
            if isinstance(event, kind):
                return event
            match event:
                case protocol.LoadProgressed(fraction=fraction):
                    self._on_progress(RunProgress(load_fraction=fraction))
                case protocol.BenchmarkProgressed():
                    self._on_progress(RunProgress(1.0, event))
                case protocol.RequestFailed():
                    raise error_of(event)
                case WorkerOutcome():
                    raise event.error()
                case _:
                    pass


"""The worker of one contestant: started, loaded, asked one prompt after the other, ended."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from localai_app.engine import protocol
from localai_app.engine.client import EngineClient
from localai_app.engine.failure import error_of
from localai_app.engine.launch import CommandSource
from localai_app.engine.outcome import WorkerOutcome
from localai_app.errors import AppError
from localai_app.services.compare.worker_memory import peak_rss_bytes

_LOAD_ID = 1
_PATIENCE_S = 0.1


class StoppedError(Exception):
    """Somebody asked for the end of the comparison."""


class WorkerEndedError(Exception):
    """The worker is gone; the cause in words, and as it was."""

    def __init__(self, outcome: WorkerOutcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome

    @property
    def error(self) -> AppError:
        """What happened, for people."""
        return self.outcome.error()


@dataclass(frozen=True, slots=True)
class LoadFacts:
    """How a load went. `load_s`: from the start of the worker until it can answer, its first token included."""

    engine_build: str
    loaded: protocol.Loaded
    load_s: float


class ContestantWorker:
    """Used once, in the thread of its owner; `stop` may come from any thread. `close` it in any case."""

    def __init__(self, command: CommandSource, folder: Path) -> None:
        self._events: queue.SimpleQueue[protocol.Event | WorkerOutcome] = queue.SimpleQueue()
        self._client = EngineClient(command, cwd=folder, on_event=self._take, on_exit=self._events.put)
        self._on_text: Callable[[protocol.TextGenerated], None] = _ignored
        self._is_stopped = False
        self.is_ready = False
        """Whether it ever spoke: one that never did does not fail because of the model."""
        self._next_id = _LOAD_ID

    @property
    def pid(self) -> int | None:
        """Of the process, while it runs."""
        return self._client.pid if self._client.is_running else None

    def stop(self) -> None:
        """End the process, so that its memory is free at once; what waits for an event raises StoppedError."""
        self._is_stopped = True
        self._client.kill()

    def close(self) -> int:
        """End the process and wait for it; the most main memory that it ever held, in bytes, 0 where nothing tells."""
        peak_bytes = peak_rss_bytes(self.pid)
        self._client.stop()
        return peak_bytes

    def load(self, options: protocol.LoadOptions, on_progress: Callable[[float], None]) -> LoadFacts:
        """Start the process and load; AppError, WorkerEndedError or StoppedError."""
        started_s = time.monotonic()
        self._client.start()
        ready = self._next()
        if not isinstance(ready, protocol.Ready):
            raise TypeError(f"a worker began with {type(ready).__name__}")
        self.is_ready = True
        self._client.send(protocol.Load(id=_LOAD_ID, options=options))
        while True:
            match event := self._next():
                case protocol.LoadProgressed(fraction=fraction):
                    on_progress(fraction)
                case protocol.Loaded():
                    return LoadFacts(ready.engine_build, event, time.monotonic() - started_s)
                case protocol.RequestFailed():
                    raise error_of(event)
                case _:
                    pass

    def answer(
        self, make_command: Callable[[int], protocol.Chat | protocol.Complete],
        on_text: Callable[[protocol.TextGenerated], None],
    ) -> protocol.Finished:
        """Have one prompt answered. AppError where the worker refused it and lives on; WorkerEndedError, StoppedError.

        `on_text` is called in the thread that reads from the worker: to wake another one for each token costs some percent of
        the speed where all cores compute.
        """
        self._next_id += 1
        self._on_text = on_text
        self._client.send(make_command(self._next_id))
        try:
            while True:
                match event := self._next():
                    case protocol.Finished():
                        return event
                    case protocol.RequestFailed():
                        raise error_of(event)
                    case _:
                        pass
        finally:
            self._on_text = _ignored

    def _take(self, event: protocol.Event) -> None:
        if isinstance(event, protocol.TextGenerated):
            self._on_text(event)
        else:
            self._events.put(event)

    def _next(self) -> protocol.Event:
        while not self._is_stopped:
            try:
                event = self._events.get(timeout=_PATIENCE_S)
            except queue.Empty:
                continue
            if not isinstance(event, WorkerOutcome):
                return event
            if not self._is_stopped:
                raise WorkerEndedError(event)
        raise StoppedError


def _ignored(_event: protocol.TextGenerated) -> None:
    """Text that nobody waits for any more."""

"""One command to a worker of its own: started, waited for, ended."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from localai_app.engine import protocol
from localai_app.engine.client import EngineClient
from localai_app.engine.failure import error_of
from localai_app.engine.outcome import WorkerOutcome

A = TypeVar("A", bound=protocol.Event)
_PATIENCE_S = 0.2


class WorkerErrand:
    """Used once, in the thread of its owner; `stop` may come from any thread. `on_progress` gets every other event."""

    def __init__(self, command: Sequence[str], cwd: Path, on_progress: Callable[[protocol.Event], None]) -> None:
        self._events: queue.SimpleQueue[protocol.Event | WorkerOutcome] = queue.SimpleQueue()
        self._client = EngineClient(command, cwd=cwd, on_event=self._events.put, on_exit=self._events.put)
        self._on_progress = on_progress
        self._is_stopped = False
        self.engine_build = ""
        """What ran it, once it has begun."""

    def stop(self) -> None:
        """End it now, whatever it is doing."""
        self._is_stopped = True

    def run(self, request: protocol.Command, answer: type[A]) -> A | None:
        """The answer, which has this type; None where it was stopped first. AppError for everything that goes wrong."""
        try:
            self._client.start()
            self._client.send(request)
            return self._wait_for(answer)
        finally:
            self._client.stop()

    def _wait_for(self, answer: type[A]) -> A | None:
        while not self._is_stopped:
            try:
                event = self._events.get(timeout=_PATIENCE_S)
            except queue.Empty:
                continue
            if isinstance(event, answer):
                return event
            match event:
                case protocol.Ready():
                    self.engine_build = event.engine_build
                case protocol.RequestFailed():
                    raise error_of(event)
                case WorkerOutcome():
                    raise event.error()
                case _:
                    self._on_progress(event)
        return None

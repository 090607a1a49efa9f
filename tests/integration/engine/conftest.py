"""Real worker processes for tests, with everything they say written down."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from localai_app.engine.client import EngineClient
from localai_app.engine.launch import worker_command
from localai_app.engine.outcome import WorkerOutcome
from localai_app.engine.protocol import (
    Chat,
    ChatMessage,
    Complete,
    Event,
    Finished,
    Load,
    Loaded,
    LoadOptions,
    Ready,
    RequestFailed,
    Sampling,
    TextGenerated,
)

T = TypeVar("T", bound=Event)
PATIENCE_S = 30.0


class RecordedWorker:
    """One worker and all that came from it; the methods wait for what they return."""

    def __init__(self, command: Sequence[str], cwd: Path, hang_timeout_s: float = 60.0) -> None:
        self.events: list[Event] = []
        self.outcomes: list[WorkerOutcome] = []
        self.threads: set[str] = set()
        self._changed = threading.Condition()
        self.client = EngineClient(
            command, cwd=cwd, on_event=self._on_event, on_exit=self._on_exit, hang_timeout_s=hang_timeout_s)
        self._next_id = 0

    def _on_event(self, event: Event) -> None:
        with self._changed:
            self.events.append(event)
            self.threads.add(threading.current_thread().name)
            self._changed.notify_all()

    def _on_exit(self, outcome: WorkerOutcome) -> None:
        with self._changed:
            self.outcomes.append(outcome)
            self.threads.add(threading.current_thread().name)
            self._changed.notify_all()

    def new_id(self) -> int:
        self._next_id += 1
        return self._next_id

    def wait_until(self, is_met: Callable[[], Any], what: str, timeout_s: float = PATIENCE_S) -> Any:
        """The first true value of `is_met`; it is asked after each event."""
        end_s = time.monotonic() + timeout_s
        with self._changed:
            while not (value := is_met()):
                left_s = end_s - time.monotonic()
                if left_s <= 0:
                    pytest.fail(f"no {what} within {timeout_s} s; last: {self.events[-3:]}, ends: {self.outcomes}")
                self._changed.wait(left_s)
        return value

    def wait_for(self, kind: type[T], request_id: int | None = None, timeout_s: float = PATIENCE_S) -> T:
        """The first event of a kind (for a request)."""
        def found() -> T | None:
            for event in self.events:
                if isinstance(event, kind) and (request_id is None or getattr(event, "id", None) == request_id):
                    return event
            return None

        result: T = self.wait_until(found, kind.__name__, timeout_s)
        return result

    def wait_for_outcome(self, timeout_s: float = PATIENCE_S) -> WorkerOutcome:
        self.wait_until(lambda: self.outcomes, "end of the worker", timeout_s)
        assert self.client.wait(5.0)
        return self.outcomes[0]

    def load(self, **options: Any) -> Loaded:
        """Load a model and wait until it is ready."""
        request_id = self.send_load(**options)
        self.wait_until(lambda: self.ends_of(request_id), "end of the load")
        return self.wait_for(Loaded, request_id, 1.0)

    def send_load(self, **options: Any) -> int:
        request_id = self.new_id()
        # One thread: with more of them llama.cpp gets very slow when other programs keep the cores busy.
        defaults = {"model_path": "none", "ctx": 4096, "threads": 1}
        self.client.send(Load(id=request_id, options=LoadOptions(**(defaults | options))))
        return request_id

    def send_chat(self, *turns: str, sampling: Sampling | None = None, system: str = "", **more: Any) -> int:
        """Ask for the answer to a conversation: turns of user and assistant, alternating."""
        request_id = self.new_id()
        messages = [ChatMessage(role="system", content=system)] if system else []
        messages += [ChatMessage(role=("user", "assistant")[index % 2], content=turn) for index, turn in enumerate(turns)]
        self.client.send(Chat(id=request_id, messages=tuple(messages), sampling=sampling or Sampling(), **more))
        return request_id

    def chat(self, *turns: str, **options: Any) -> tuple[str, Finished]:
        return self.finish(self.send_chat(*turns, **options))

    def complete(self, prompt: str, sampling: Sampling) -> tuple[str, Finished]:
        request_id = self.new_id()
        self.client.send(Complete(id=request_id, prompt=prompt, sampling=sampling))
        return self.finish(request_id)

    def finish(self, request_id: int) -> tuple[str, Finished]:
        """The whole text of an answer and its end."""
        self.wait_until(lambda: self.ends_of(request_id), f"end of request {request_id}")
        return self.text_of(request_id), self.wait_for(Finished, request_id, 1.0)

    def refusal(self, request_id: int) -> RequestFailed:
        self.wait_until(lambda: self.ends_of(request_id), f"end of request {request_id}")
        return self.wait_for(RequestFailed, request_id, 1.0)

    def ends_of(self, request_id: int) -> list[Event]:
        ends = [e for e in self.events if isinstance(e, (Finished, RequestFailed, Loaded)) and e.id == request_id]
        return ends or (list(self.events[:1]) if self.outcomes else [])

    def text_of(self, request_id: int) -> str:
        return "".join(event.text for event in self.events if isinstance(event, TextGenerated) and event.id == request_id)


StartWorker = Callable[..., RecordedWorker]


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[StartWorker]:
    """Starts workers by back end and extra arguments, and ends them with the test."""
    workers: list[RecordedWorker] = []

    def start(
        backend: str = "echo", *extra: str, command: Sequence[str] = (), hang_timeout_s: float = 60.0, ready: bool = True
    ) -> RecordedWorker:
        worker = RecordedWorker(command or worker_command(backend, extra), tmp_path / "worker", hang_timeout_s)
        workers.append(worker)
        worker.client.start()
        if ready:
            worker.wait_for(Ready)
        return worker

    yield start
    for worker in workers:
        worker.client.stop()


@pytest.fixture
def python_worker() -> Callable[[str], list[str]]:
    """The command of a program that pretends to be a worker."""
    return lambda code: [sys.executable, "-c", code]

"""Real services over a private data folder, with a recorder of their events."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from localai_app.bootstrap import LaunchOptions, build_services
from localai_app.engine.launch import worker_command
from localai_app.services.app_services import AppServices
from localai_app.services.events import Event
from tests.helpers.gguf_files import write_tiny_gguf

E = TypeVar("E")
TINY_REPO = "tester/Tiny-Chat-GGUF"
TINY_KEY = f"{TINY_REPO}:F32"
WAIT_S = 20.0


class EventRecorder:
    """Keeps every event in order and waits for the one that a test needs."""

    def __init__(self, services: AppServices) -> None:
        self.events: list[Event] = []
        self._unsubscribe = services.events.subscribe(self.events.append)

    def close(self) -> None:
        """Hear nothing more."""
        self._unsubscribe()

    def of(self, kind: type[E]) -> list[E]:
        """All events of one kind so far."""
        return [event for event in list(self.events) if isinstance(event, kind)]

    def wait_for(self, kind: type[E], count: int = 1, timeout_s: float = WAIT_S) -> E:
        """The `count`th event of a kind, once it has come."""
        wait_until(lambda: len(self.of(kind)) >= count, timeout_s, lambda: f"{count} {kind.__name__}; seen: {self._kinds()}")
        return self.of(kind)[count - 1]

    def _kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.events]


def wait_until(
    condition: Callable[[], bool], timeout_s: float = WAIT_S, what: Callable[[], str] = lambda: "the condition",
) -> None:
    """Wait until `condition` holds; fails the test when it does not in time."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f"waited {timeout_s:.0f} s in vain for {what()}"
        time.sleep(0.01)


@contextmanager
def open_services(
    data_dir: Path, *, echo: Sequence[str] | None = ("--tokens-per-s", "200"), catalog: Path | None = None,
) -> Iterator[AppServices]:
    """Services of one run of the program; `echo` None uses llama.cpp, else the echo worker with these options."""
    worker = worker_command("echo", echo) if echo is not None else None
    services = build_services(LaunchOptions(data_dir=data_dir, worker=worker, catalog=catalog))
    try:
        yield services
    finally:
        services.close()


def install_tiny_model(data_dir: Path, repo_id: str = TINY_REPO, name: str = "tiny-chat-F32.gguf") -> Path:
    """Put a small valid model where a download would have put it; the key of the first one is `TINY_KEY`."""
    path = data_dir / "models" / repo_id / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tiny_gguf(path)
    return path

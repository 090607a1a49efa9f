"""The thread of a piece of work that takes long, of which its owner runs one at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable


class WorkThread:
    """Safe from any thread. The work looks at `is_stopped` and ends soon after it is set."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._over = threading.Event()

    @property
    def is_stopped(self) -> bool:
        """Whether the work was asked to end."""
        return self._stopped.is_set()

    def prepare(self) -> None:
        """Forget that the work before was asked to end. Before others can see that work begins, or what they ask is lost."""
        self._stopped.clear()

    def begin(self, work: Callable[[], object]) -> None:
        """Run `work`; the one before must be over."""
        self._over = over = threading.Event()

        def run() -> None:
            try:
                work()
            finally:
                over.set()

        self._thread = threading.Thread(target=run, name=self._name, daemon=True)
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Let the work see that it is to end."""
        self._stopped.set()

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait for the end of the work, for `timeout_s` at most."""
        thread = self._thread
        # Not by `join`: up to Python 3.12, after an exception out of a signal in one, every later one returns at once.
        if thread is not None and self._over.wait(timeout_s):
            thread.join()

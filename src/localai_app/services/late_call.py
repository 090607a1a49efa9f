"""A call after a pause, in a thread of its own; a newer one takes the place of one that waits."""

from __future__ import annotations

import threading
from collections.abc import Callable


class LateCall:
    """At most one call waits. Safe from any thread, but `close` not from the call itself, for whose end it waits."""

    def __init__(self, name: str) -> None:
        """`name`: of the thread."""
        self._name = name
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._is_closed = False

    def set(self, pause_s: float, call: Callable[[], None]) -> None:
        """Call so many seconds from now."""
        self._replace(threading.Timer(pause_s, call))

    def drop(self) -> None:
        """Let nothing wait."""
        self._replace(None)

    def close(self) -> None:
        """Call nothing more, and wait for a call that is under way."""
        with self._lock:
            self._is_closed = True
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
            timer.join()

    def _replace(self, timer: threading.Timer | None) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if timer is None or self._is_closed:
                return
            timer.name, timer.daemon = self._name, True
            self._timer = timer
            timer.start()

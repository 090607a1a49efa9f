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
        self._timers: list[threading.Timer] = []
        """The one that waits, and calls under way that others took the place of."""
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
            timers, self._timers = self._timers, []
        for timer in timers:
            timer.cancel()
            timer.join()

    def _replace(self, timer: threading.Timer | None) -> None:
        with self._lock:
            for each in self._timers:
                each.cancel()
            self._timers = [each for each in self._timers if each.is_alive()]
            if timer is None or self._is_closed:
                return
            timer.name, timer.daemon = self._name, True
            timer.start()
            self._timers.append(timer)

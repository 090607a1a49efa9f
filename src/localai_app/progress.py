"""Progress and cancellation as plain values, so that every layer can share them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a piece of work has come; both numbers in the same unit (bytes unless said otherwise)."""

    done: int
    total: int

    @property
    def fraction(self) -> float:
        """Share done, 0.0 to 1.0; 0.0 while the total is unknown."""
        return min(1.0, self.done / self.total) if self.total > 0 else 0.0


ProgressCallback = Callable[[Progress], None]


class Cancelled(Exception):  # noqa: N818 - a request that was granted, not an error
    """Raised inside a piece of work after its `CancelToken` was set; never shown to the user."""


class CancelToken:
    """A flag that one thread sets and another one checks between steps of its work."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the work to stop; safe from any thread, any number of times."""
        self._event.set()

    @property
    def is_cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._event.is_set()

    def raise_if_cancelled(self) -> None:
        """Raise `Cancelled` if the work should stop."""
        if self._event.is_set():
            raise Cancelled

    def wait(self, timeout_s: float) -> bool:
        """Sleep up to `timeout_s` seconds; true at once when cancelled."""
        return self._event.wait(timeout_s)

"""One bounded pool of threads for probes, disk scans and the network."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

log = logging.getLogger(__name__)
T = TypeVar("T")
MAX_THREADS = 4


class BackgroundPool:
    """Runs functions off the caller's thread; after `close` it refuses new ones and has no thread left."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="background")

    def submit(self, function: Callable[[], T]) -> Future[T]:
        """Run `function` soon; its exception, if any, is in the future and in the log."""
        try:
            future = self._executor.submit(function)
        except RuntimeError:
            # Closed: what would have been done is no longer of use to anybody.
            refused: Future[T] = Future()
            refused.cancel()
            return refused
        future.add_done_callback(_log_failure)
        return future

    def close(self) -> None:
        """Drop what has not begun and wait for what runs."""
        self._executor.shutdown(wait=True, cancel_futures=True)


class Wishes:
    """Does one thing in the pool whenever it is wished for; wishes that come while it is done are granted together, once."""

    def __init__(self, pool: BackgroundPool, work: Callable[[], None]) -> None:
        self._pool = pool
        self._work = work
        self._lock = threading.Lock()
        self._is_wanted = False
        self._is_busy = False
        self._closed = threading.Event()

    @property
    def is_busy(self) -> bool:
        """Whether it is being done, or about to be."""
        return self._is_busy

    def wish(self) -> None:
        """Have it done soon; returns at once."""
        with self._lock:
            self._is_wanted = True
            if self._is_busy or self._closed.is_set():
                return
            self._is_busy = True
        self._pool.submit(self._grant)

    def rest(self, seconds: float) -> bool:
        """For the work, between its steps, so that the window's thread need not wait for this one; True: it is to end."""
        return self._closed.wait(seconds)

    def close(self) -> None:
        """Grant no more; what is being done is told so by `rest`."""
        self._closed.set()

    def _grant(self) -> None:
        try:
            while self._takes_one():
                self._work()
        except BaseException:
            with self._lock:
                self._is_busy = False
            raise

    def _takes_one(self) -> bool:
        with self._lock:
            is_wanted = self._is_wanted and not self._closed.is_set()
            self._is_wanted = False
            self._is_busy = is_wanted
            return is_wanted


def _log_failure(future: Future[T]) -> None:
    if future.cancelled():
        return
    error = future.exception()
    if error is not None:
        log.info("a background task failed: %s", error, exc_info=error)

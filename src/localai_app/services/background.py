"""One bounded pool of threads for probes, disk scans and the network."""

from __future__ import annotations

import logging
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


def _log_failure(future: Future[T]) -> None:
    if future.cancelled():
        return
    error = future.exception()
    if error is not None:
        log.info("a background task failed: %s", error, exc_info=error)

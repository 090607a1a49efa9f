"""Reads something slow in a thread of its own, so that who waits for it can stop waiting at any moment.

A blocked read of a socket, a proxy's handshake or a name lookup cannot be interrupted portably; a thread that nobody listens
to any more can be left to its own timeout.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

from localai_app.hub.failures import TransferError
from localai_app.progress import CancelToken

T = TypeVar("T")
_POLL_S = 0.1
_QUEUE_ITEMS = 32


class BackgroundReader(Generic[T]):
    """The items of an iterator that is run in a daemon thread; errors of the iterator are raised by `next_item`."""

    def __init__(self, produce: Callable[[], Iterator[T]], name: str) -> None:
        self._produce = produce
        self._items: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(_QUEUE_ITEMS)
        self._abandoned = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._abandoned.set()

    def next_item(self, cancel: CancelToken, timeout_s: float) -> T | None:
        """The next item, or None after the last one. Raises `Cancelled`, or TransferError after `timeout_s` without one."""
        ends_s = time.monotonic() + timeout_s
        while True:
            cancel.raise_if_cancelled()
            try:
                item, error = self._items.get(timeout=_POLL_S)
            except queue.Empty:
                if time.monotonic() >= ends_s:
                    raise TransferError("nothing arrived for a while") from None
                continue
            if error is not None:
                raise error
            return item

    def _run(self) -> None:
        items = self._produce()
        try:
            for item in items:
                if not self._put((item, None)):
                    return
            self._put((None, None))
        except BaseException as error:  # noqa: BLE001  every error belongs to the thread that waits
            self._put((None, error))
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()

    def _put(self, item: tuple[T | None, BaseException | None]) -> bool:
        while not self._abandoned.is_set():
            try:
                self._items.put(item, timeout=_POLL_S)
            except queue.Full:
                continue
            return True
        return False

"""Work off the window's thread, with its result back in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import shiboken6
from PySide6.QtCore import QObject, Qt, QThreadPool, Signal, Slot

from localai_app.errors import AppError

T = TypeVar("T")


class BackgroundTask(QObject):
    """One piece of work under way. `drop` forgets its result, for answers that nobody waits for any more."""

    _ended = Signal(object)

    def __init__(
        self, parent: QObject, on_success: Callable[[Any], None], on_failure: Callable[[AppError], None] | None,
    ) -> None:
        super().__init__()
        self._receiver: QObject | None = parent
        self._on_success = on_success
        self._on_failure = on_failure
        self._ended.connect(self._on_ended, Qt.ConnectionType.QueuedConnection)

    def drop(self) -> None:
        """Call nothing when the work ends."""
        self._receiver = None

    def work(self, function: Callable[[], T]) -> None:
        """Run in a thread of the pool. The payload holds this object, so that it lives until it is delivered."""
        result: object = None
        error: BaseException | None = None
        try:
            result = function()
        except Exception as failure:  # noqa: BLE001 - every failure is delivered to the window's thread, where bugs reach the crash dialog
            error = failure
        self._ended.emit((self, result, error))

    @Slot(object)
    def _on_ended(self, payload: tuple[BackgroundTask, object, BaseException | None]) -> None:
        _, result, error = payload
        receiver, self._receiver = self._receiver, None
        if receiver is None or not shiboken6.isValid(receiver):
            return
        if error is None:
            self._on_success(result)
        elif isinstance(error, AppError) and self._on_failure is not None:
            self._on_failure(error)
        else:
            raise error


def run_in_background(
    parent: QObject, function: Callable[[], T], on_success: Callable[[T], None],
    on_failure: Callable[[AppError], None] | None = None,
) -> BackgroundTask:
    """Run `function` in Qt's thread pool; then call one of the two in the window's thread.

    Nothing is called if `parent` no longer exists by then. An exception that is not an AppError is a bug and is
    raised in the window's thread, where the crash dialog shows it; so is an AppError without `on_failure`.
    """
    task = BackgroundTask(parent, on_success, on_failure)
    QThreadPool.globalInstance().start(lambda: task.work(function))
    return task

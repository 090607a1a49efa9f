"""One comparison at a time on a profile, whether the window or a command runs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from localai_app import errors
from localai_app.errors import AppError

if TYPE_CHECKING:
    from filelock import FileLock

ELSEWHERE = "another window or command of Local AI runs one"


class ComparingTurn:
    """Held from the start of a comparison to its end; the system gives it back where the process dies."""

    def __init__(self, path: Path) -> None:
        """`path`: of the lock file, beside the store that the comparisons are in."""
        self._path = path
        self._lock: FileLock | None = None

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take it; it is kept beyond the block unless that fails. AppError COMPARISON_BUSY where another process has it."""
        from filelock import FileLock, Timeout

        if self._lock is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Taken in the caller's thread, given back in that of the run.
            self._lock = FileLock(self._path, timeout=0, thread_local=False)
        try:
            self._lock.acquire()
        except Timeout:
            raise AppError(errors.COMPARISON_BUSY, what=ELSEWHERE) from None
        try:
            yield
        except BaseException:
            self._give_back()
            raise

    def during(self, work: Callable[[], None]) -> Callable[[], None]:
        """The work, giving the turn back at its end."""
        def run() -> None:
            try:
                work()
            finally:
                self._give_back()

        return run

    def _give_back(self) -> None:
        if self._lock is not None:
            self._lock.release()

"""Runs code that may never end or eat all memory (a model file's own chat template) within limits."""

from __future__ import annotations

import contextlib
import ctypes
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

_POLL_S = 0.02
_GRACE_S = 0.5


class LimitExceededError(Exception):
    """The code took too long or too much memory; says which."""


class _Interrupted(SystemExit):
    """Raised inside the runaway thread. Not an Exception, so that nothing in there catches it; silent at the thread's end."""


class _Run(threading.Thread, Generic[T]):
    def __init__(self, function: Callable[[], T]) -> None:
        super().__init__(name="guarded", daemon=True)
        self._function = function
        self._lock = threading.Lock()
        self._is_over = False
        self.result: T | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.result = self._function()
        except _Interrupted:
            pass
        except BaseException as error:  # noqa: BLE001 - handed to the caller, who raises it again
            self.error = error
        while not self._is_over:
            # An interruption may have been on its way when the function ended; after this none is sent.
            try:
                with self._lock:
                    self._is_over = True
            except _Interrupted:
                continue

    def interrupt(self) -> None:
        """Raise _Interrupted in the thread if the function still runs; it arrives between two byte codes."""
        with self._lock:
            if not self._is_over and self.ident is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.ident), ctypes.py_object(_Interrupted))


def run_guarded(function: Callable[[], T], *, deadline_s: float, memory_bytes: int) -> T:
    """The result of `function`, run in a thread of its own, or LimitExceededError.

    The limits are `deadline_s` seconds and `memory_bytes` more memory than now. A thread over its limits is
    ended by an exception raised inside it. While it runs, the address space of the process is capped (Linux),
    which also stops a single huge allocation; elsewhere the growth of the process is watched.
    """
    run = _Run(function)
    with _address_space_capped(memory_bytes):
        run.start()
        reason = _wait(run, deadline_s, memory_bytes)
        if reason:
            with _lost_interruptions_unreported():
                _interrupt(run)
    if reason:
        raise LimitExceededError(reason)
    if isinstance(run.error, MemoryError):
        raise LimitExceededError("it needs too much memory") from run.error
    if run.error is not None:
        raise run.error
    return run.result  # type: ignore[return-value]


def _wait(run: _Run[T], deadline_s: float, memory_bytes: int) -> str:
    """Empty when the run has ended within its limits, else the limit that it broke."""
    import psutil

    process = psutil.Process()
    rss_before_bytes = process.memory_info().rss
    end_s = time.monotonic() + deadline_s
    while True:
        run.join(_POLL_S)
        if not run.is_alive():
            return ""
        if time.monotonic() >= end_s:
            return f"it did not end within {deadline_s:g} seconds"
        if process.memory_info().rss - rss_before_bytes > memory_bytes:
            return "it needs too much memory"


def _interrupt(run: _Run[T]) -> None:
    end_s = time.monotonic() + _GRACE_S
    while run.is_alive() and time.monotonic() < end_s:
        # One may be lost where Python code is called by C code that drops exceptions, hence again and again.
        run.interrupt()
        run.join(_POLL_S)


@contextlib.contextmanager
def _lost_interruptions_unreported() -> Iterator[None]:
    """Keeps what Python reports of an interruption that it dropped (in a finalizer, say) from the log: the next one follows."""
    report = sys.unraisablehook

    def report_unless_ours(unraisable: sys.UnraisableHookArgs) -> None:
        if not (unraisable.exc_type and issubclass(unraisable.exc_type, _Interrupted)):
            report(unraisable)

    sys.unraisablehook = report_unless_ours
    try:
        yield
    finally:
        sys.unraisablehook = report


@contextlib.contextmanager
def _address_space_capped(extra_bytes: int) -> Iterator[None]:
    if sys.platform != "linux":
        yield
        return
    import resource

    import psutil

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    # Thread stacks and malloc arenas reserve address space in advance, hence the 256 MiB on top.
    cap = psutil.Process().memory_info().vms + extra_bytes + 256 * 1024**2
    if soft not in (resource.RLIM_INFINITY, -1):
        cap = min(cap, soft)
    resource.setrlimit(resource.RLIMIT_AS, (cap, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

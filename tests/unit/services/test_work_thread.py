"""The thread of a long piece of work, and waiting for it."""

from __future__ import annotations

import signal
import sys
import threading

import pytest

from localai_app.services.work_thread import WorkThread


class StopTestError(Exception):
    """What a signal raises in this test."""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a timer that sends a signal")
def test_an_interrupted_wait_does_not_spoil_the_next_one() -> None:
    may_end, done, thread = threading.Event(), threading.Event(), WorkThread("test")

    def interrupt(_number: int, _frame: object) -> None:
        raise StopTestError

    def work() -> None:
        may_end.wait(10)
        done.set()

    before = signal.signal(signal.SIGALRM, interrupt)
    thread.begin(work)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(StopTestError):
            thread.wait(5)
    finally:
        signal.signal(signal.SIGALRM, before)
    timer = threading.Timer(0.3, may_end.set)
    timer.start()
    thread.wait(0.01)
    assert not done.is_set()
    thread.wait()
    assert done.is_set()
    timer.join()

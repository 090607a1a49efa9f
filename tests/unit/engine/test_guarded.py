"""Code that never ends is ended, and says nothing about it."""

from __future__ import annotations

import sys
import threading
import time

import pytest

from localai_app.engine.worker.guarded import LimitExceededError, run_guarded

GIB = 1024**3


class SlowToDie:
    """Its finalizer takes long, and Python drops what is raised in a finalizer."""

    def __init__(self, in_finalizer: threading.Event) -> None:
        self._in_finalizer = in_finalizer

    def __del__(self) -> None:
        self._in_finalizer.set()
        end_s = time.monotonic() + 0.2
        while time.monotonic() < end_s:
            pass


def test_an_interruption_dropped_in_a_finalizer_is_followed_by_another_and_not_reported(
    capfd: pytest.CaptureFixture[str],
) -> None:
    in_finalizer = threading.Event()
    report = sys.unraisablehook

    def for_ever() -> None:
        SlowToDie(in_finalizer)
        while True:
            pass

    with pytest.raises(LimitExceededError, match=r"within 0\.1 seconds"):
        run_guarded(for_ever, deadline_s=0.1, memory_bytes=GIB)
    assert in_finalizer.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name == "guarded"]
    assert sys.unraisablehook is report
    assert capfd.readouterr().err == ""


def test_what_else_a_finalizer_raises_is_still_reported() -> None:
    reported: list[type[BaseException] | None] = []
    report = sys.unraisablehook
    sys.unraisablehook = lambda unraisable: reported.append(unraisable.exc_type)

    class Broken:
        def __del__(self) -> None:
            raise ZeroDivisionError

    def for_ever() -> None:
        while True:
            Broken()
            time.sleep(0.001)

    try:
        with pytest.raises(LimitExceededError):
            run_guarded(for_ever, deadline_s=0.1, memory_bytes=GIB)
    finally:
        sys.unraisablehook = report
    assert ZeroDivisionError in reported

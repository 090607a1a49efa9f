"""Calls after a pause."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from localai_app.services.late_call import LateCall


@pytest.mark.parametrize("change", [lambda late: late.drop(), lambda late: late.set(60.0, lambda: None)])
def test_the_end_waits_for_a_call_under_way_though_another_one_took_its_place(change: Callable[[LateCall], None]) -> None:
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()
    late = LateCall("test")

    def call() -> None:
        begun.set()
        may_end.wait()
        ended.set()

    late.set(0.0, call)
    begun.wait()
    change(late)
    threading.Timer(0.2, may_end.set).start()
    late.close()
    assert ended.is_set()


def test_a_call_may_set_the_next_one() -> None:
    calls: list[int] = []
    over = threading.Event()
    late = LateCall("test")

    def call() -> None:
        calls.append(1)
        if len(calls) < 3:
            late.set(0.0, call)
        else:
            over.set()

    late.set(0.0, call)
    assert over.wait(10.0)
    late.close()
    late.set(0.0, call)
    assert len(calls) == 3

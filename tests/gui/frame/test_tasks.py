from __future__ import annotations

import gc
import threading
import weakref

import pytest
import shiboken6
from PySide6.QtCore import QObject, QThreadPool

from localai_app.errors import NO_MODEL_LOADED, AppError
from localai_app.gui.tasks import BackgroundTask, run_in_background


def test_the_result_comes_back_in_the_windows_thread(qtbot) -> None:
    parent, seen = QObject(), []
    run_in_background(parent, threading.get_ident, lambda ident: seen.append((ident, threading.get_ident())))
    qtbot.waitUntil(lambda: len(seen) == 1)
    worker, receiver = seen[0]
    assert receiver == threading.get_ident() != worker


def test_an_error_in_words_goes_to_the_failure_callback(qtbot) -> None:
    def fail() -> None:
        raise AppError(NO_MODEL_LOADED)

    parent, failures = QObject(), []
    run_in_background(parent, fail, lambda _: pytest.fail("called"), failures.append)
    qtbot.waitUntil(lambda: len(failures) == 1)
    assert failures[0].code == "no_model_loaded"


def test_a_bug_is_raised_in_the_windows_thread(qtbot) -> None:
    parent = QObject()
    with qtbot.captureExceptions() as exceptions:
        run_in_background(parent, lambda: 1 / 0, lambda _: None, lambda _: None)
        qtbot.waitUntil(lambda: len(exceptions) == 1)
    assert exceptions[0][0] is ZeroDivisionError


def test_nothing_is_called_for_a_parent_that_is_gone_or_a_dropped_task(qtbot) -> None:
    release, seen = threading.Event(), []
    gone, alive = QObject(), QObject()
    run_in_background(gone, lambda: release.wait(10), seen.append)
    dropped = run_in_background(alive, lambda: release.wait(10), seen.append)
    shiboken6.delete(gone)
    dropped.drop()
    release.set()
    assert QThreadPool.globalInstance().waitForDone(10_000)
    qtbot.wait(50)
    assert seen == []


def test_a_task_that_nobody_holds_still_delivers_and_is_then_freed(qtbot) -> None:
    parent, seen = QObject(), []
    held: list[weakref.ref[BackgroundTask]] = []
    for index in range(50):
        held.append(weakref.ref(run_in_background(parent, lambda index=index: index, seen.append)))
    gc.collect()
    qtbot.waitUntil(lambda: len(seen) == 50)
    assert sorted(seen) == list(range(50))
    QThreadPool.globalInstance().waitForDone(10_000)
    gc.collect()
    assert [reference for reference in held if reference() is not None] == []

"""Finds what a test leaves behind: threads, child processes, open files, Qt windows and timers."""

from __future__ import annotations

import gc
import os
import threading
import time
from pathlib import Path
from typing import Any

import psutil

PATIENCE_S = 2.0

SHARED_THREADS = ("pytest_timeout", "TMonitor", "tqdm")
OPEN_FILES = Path("/proc/self/fd")
CHILDREN_FILE = Path(f"/proc/self/task/{threading.main_thread().native_id}/children")


class ResourceWatch:
    """Remembers what is there at the start; `left_behind` tells what has been added since.

    `patience_s`: how long things that are ending anyway may take; only a test that leaves something waits at all.
    """

    def __init__(self, temporary: Path, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._temporary = str(temporary)
        self._process = psutil.Process()
        self._threads = set(threading.enumerate())
        self._children = self._running_children()
        self._files = self._open_files()

    def left_behind(self) -> list[str]:
        """Threads, processes and files below the test's temporary folder that are still there after a moment."""
        deadline = time.monotonic() + self._patience_s
        while (left := self._look()) and time.monotonic() < deadline:
            gc.collect()
            time.sleep(0.02)
        return left

    def _look(self) -> list[str]:
        threads = [
            f"thread {thread.name}" for thread in threading.enumerate()
            if thread not in self._threads and thread.is_alive() and not _is_shared(thread)
        ]
        children = [f"process {self._describe(pid)}" for pid in sorted(self._running_children() - self._children)]
        files = [f"open file {path}" for path in sorted(self._open_files() - self._files)]
        return threads + children + files

    def _running_children(self) -> set[int]:
        if CHILDREN_FILE.exists():
            pids = {
                int(pid) for task in Path("/proc/self/task").iterdir() for pid in _read(f"{task}/children").split()}
        else:
            pids = {child.pid for child in self._process.children()}
        return {pid for pid in pids if not self._is_service(pid)} if pids else pids

    def _is_service(self, pid: int) -> bool:
        """Python's own helper of multiprocessing lives as long as the process."""
        try:
            return any("resource_tracker" in part for part in psutil.Process(pid).cmdline())
        except psutil.Error:
            return True

    def _describe(self, pid: int) -> str:
        try:
            return f"{pid} ({' '.join(psutil.Process(pid).cmdline())[:120] or 'ended, but never waited for'})"
        except psutil.Error:
            return str(pid)

    def _open_files(self) -> set[str]:
        if OPEN_FILES.exists():
            # Twice for each of thousands of tests, which psutil would tell the position in each file too.
            paths = {_target(str(link)) for link in OPEN_FILES.iterdir()}
            return {path for path in paths if path.startswith(self._temporary) and Path(path).is_file()}
        try:
            return {file.path for file in self._process.open_files() if file.path.startswith(self._temporary)}
        except psutil.Error:
            return set()


def _is_shared(thread: threading.Thread) -> bool:
    """Threads of the test tools, and foreign threads (Qt's) that Python only knows by name."""
    return isinstance(thread, threading._DummyThread) or thread.name.startswith(SHARED_THREADS)


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123 - as often as `_open_files`
            return file.read()
    except OSError:
        return ""


def _target(link: str) -> str:
    try:
        return os.readlink(link)  # noqa: PTH115 - as often as `_open_files`
    except OSError:
        return ""


class QtWatch:
    """The same for Qt: top-level widgets, running timers, and work in the global thread pool."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._widgets = {id(widget) for widget in _top_level_widgets()}
        self._timers = {id(timer) for timer in _active_timers()}

    def left_behind(self) -> list[str]:
        """What is still there after Qt has done its pending deletions."""
        deadline = time.monotonic() + self._patience_s
        while (left := self._look()) and time.monotonic() < deadline:
            _process_deletions()
            gc.collect()
            time.sleep(0.01)
        return left

    def _look(self) -> list[str]:
        _process_deletions()
        widgets = [widget for widget in _top_level_widgets() if id(widget) not in self._widgets]
        timers = [timer for timer in _active_timers() if id(timer) not in self._timers]
        left = [f"window {type(widget).__name__} {widget.objectName()!r}" for widget in widgets]
        left += [f"active timer of {type(timer.parent()).__name__} ({timer.interval()} ms)" for timer in timers]
        if _pool_is_busy():
            left.append("work in the global thread pool")
        return left


def _application() -> Any:
    from PySide6.QtWidgets import QApplication

    return QApplication.instance()


def _top_level_widgets() -> list[Any]:
    application = _application()
    return list(application.topLevelWidgets()) if application is not None else []


def _active_timers() -> list[Any]:
    """Every running QTimer that Python knows; those inside Qt itself have no wrapper and are Qt's own business."""
    from PySide6.QtCore import QTimer
    from shiboken6 import getAllValidWrappers

    return [thing for thing in getAllValidWrappers() if isinstance(thing, QTimer) and thing.isActive()]


def _pool_is_busy() -> bool:
    from PySide6.QtCore import QThreadPool

    return QThreadPool.globalInstance().activeThreadCount() > 0


def _process_deletions() -> None:
    from PySide6.QtCore import QCoreApplication, QEvent

    if _application() is not None:
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)

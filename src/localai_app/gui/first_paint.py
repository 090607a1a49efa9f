"""Tells when a window was first painted, and how long after the start of the process that was."""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path

import psutil
from PySide6.QtCore import QEvent, QObject, QTimer, Signal
from PySide6.QtWidgets import QWidget

log = logging.getLogger(__name__)
GIVE_UP_MS = 3_000


class FirstPaint(QObject):
    """`happened` comes once, when the event loop is free again after the window's first painting.

    A window that starts minimized is not painted; then it comes after three seconds.
    """

    happened = Signal()

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._window = window
        self._is_announced = False
        window.installEventFilter(self)
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.timeout.connect(self._announce)
        self._patience.start(GIVE_UP_MS)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Wait for the first paint event."""
        if event.type() == QEvent.Type.Paint and watched is self._window:
            self._window.removeEventFilter(self)
            QTimer.singleShot(0, self, self._on_painted)
        return super().eventFilter(watched, event)

    def _on_painted(self) -> None:
        log.info("first paint after %.0f ms", process_age_s() * 1000)
        self._announce()

    def _announce(self) -> None:
        self._patience.stop()
        if not self._is_announced:
            self._is_announced = True
            self.happened.emit()


def process_age_s() -> float:
    """Seconds since this process was created.

    On Linux from field 22 of /proc/self/stat (proc_pid_stat(5)) on the clock it counts by: psutil adds it to the boot
    time, which the kernel tells in whole seconds only.
    """
    if sys.platform == "linux":
        try:
            fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            started_s = int(fields[19]) / os.sysconf("SC_CLK_TCK")
            return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started_s)
        except (OSError, ValueError, IndexError):
            log.debug("the start time of the process cannot be read from /proc")
    return max(0.0, time.time() - psutil.Process().create_time())

"""Exceptions that nobody expected: logged, then shown once each with text to copy."""

from __future__ import annotations

import logging
import platform
import sys
import threading
import traceback
from pathlib import Path
from types import TracebackType

from PySide6.QtCore import QObject, Qt, Signal, qVersion

from localai_app import __version__
from localai_app.log import redact

log = logging.getLogger(__name__)


class CrashHooks(QObject):
    """Catches what reaches the top of any thread. `crashed` carries the report, in the window's thread, once per place."""

    crashed = Signal(str)
    _caught = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._seen: set[str] = set()
        self._lock = threading.Lock()
        self._before = (sys.excepthook, threading.excepthook)
        self._caught.connect(self.crashed, Qt.ConnectionType.QueuedConnection)

    def install(self) -> None:
        """Begin catching."""
        self._before = (sys.excepthook, threading.excepthook)
        sys.excepthook = self.on_exception
        threading.excepthook = self._on_thread_exception

    def uninstall(self) -> None:
        """Put back what was there before."""
        sys.excepthook, threading.excepthook = self._before

    def on_exception(
        self, kind: type[BaseException], error: BaseException | None, trace: TracebackType | None,
    ) -> None:
        """Log an exception and announce it unless the same one from the same place was announced before."""
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error or kind(), trace)
            return
        text = "".join(traceback.format_exception(kind, error, trace))
        log.error("unexpected error\n%s", text)
        place = "".join(traceback.format_tb(trace)) + kind.__name__
        with self._lock:
            if place in self._seen:
                return
            self._seen.add(place)
        self._caught.emit(crash_report(text))

    def _on_thread_exception(self, args: threading.ExceptHookArgs) -> None:
        if args.exc_type is not SystemExit:
            self.on_exception(args.exc_type, args.exc_value, args.exc_traceback)


def crash_report(trace: str) -> str:
    """What helps to find the mistake: versions, system and the place; neither secrets nor the name of the home folder."""
    home = str(Path.home())
    if Path(home) != Path(Path(home).anchor):
        trace = trace.replace(home, "~")
    return (f"Local AI {__version__}\nPython {platform.python_version()}, Qt {qVersion()}\n"
            f"{platform.system()} {platform.release()} {platform.machine()}\n\n{redact(trace)}")

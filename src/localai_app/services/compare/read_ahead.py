"""Brings a model's file into the system's file cache while another model answers, so that it is loaded sooner."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path

from localai_app.hardware.memory import measure_memory
from localai_app.units import GIB

log = logging.getLogger(__name__)

LEFT_FREE_BYTES = GIB
"""So much memory stays free beside what is read."""
_CHUNK_BYTES = 4 * 1024 * 1024
_PAUSE_S = 0.02
"""Between two pieces, so that 200 MB/s are read at most: a fast disk would otherwise take its share of the memory's speed."""


class ReadAhead:
    """Reads in a thread of its own at the lowest priority, only where the memory has room; `close` it in any case."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="read-ahead", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Read no more, and wait for the thread."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            size_bytes = sum(path.stat().st_size for path in self._paths)
            if measure_memory().available_bytes < size_bytes + LEFT_FREE_BYTES:
                return
            _lower_priority()
            for path in self._paths:
                self._read(path)
        except OSError as error:
            log.info("a file is not read ahead: %s", error)

    def _read(self, path: Path) -> None:
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            for start in range(0, size, _CHUNK_BYTES):
                if self._ended.wait(_PAUSE_S):
                    return
                if hasattr(os, "posix_fadvise"):
                    # The kernel reads without a copy for this process.
                    os.posix_fadvise(file.fileno(), start, _CHUNK_BYTES, os.POSIX_FADV_WILLNEED)
                else:
                    file.read(_CHUNK_BYTES)


def _lower_priority() -> None:
    """Of this thread alone, which only Linux can do."""
    with contextlib.suppress(AttributeError, OSError):
        if os.uname().sysname == "Linux":
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)

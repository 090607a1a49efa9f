"""What the workers of another program hold, seen from outside."""

from __future__ import annotations

import threading

import psutil

INTERVAL_S = 0.05


class PeakOfWorkers:
    """Samples the resident memory of all workers below a process while it is open; `peak_bytes` is the largest sum."""

    def __init__(self, pid: int) -> None:
        self.peak_bytes = 0
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="peak-of-workers", daemon=True)

    def __enter__(self) -> PeakOfWorkers:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(INTERVAL_S):
            total = 0
            try:
                children = psutil.Process(self._pid).children(recursive=True)
            except psutil.Error:
                continue
            for child in children:
                try:
                    if "--engine-worker" in child.cmdline():
                        total += child.memory_info().rss
                except psutil.Error:
                    continue
            self.peak_bytes = max(self.peak_bytes, total)

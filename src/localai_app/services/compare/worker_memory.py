"""How much main memory workers hold: each at its peak, and all of them together at one moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

from localai_app.engine.protocol import PlannedBuffer

SAMPLE_S = 0.1


def peak_rss_bytes(pid: int | None) -> int:
    """Most main memory that a running process ever held, as the system tells; what it holds now where it does not; else 0.

    Linux: VmHWM of /proc/PID/status. Windows: the peak of the working set.
    """
    if pid is None:
        return 0
    try:
        for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines():
            name, _colon, value = line.partition(":")
            if name == "VmHWM":
                return int(value.split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        memory = psutil.Process(pid).memory_info()
    except psutil.Error:
        return 0
    return int(getattr(memory, "peak_wset", memory.rss))


def gpu_bytes(buffers: Iterable[PlannedBuffer]) -> int:
    """What a load allocated outside main memory."""
    return sum(
        buffer.weights_bytes + buffer.kv_bytes + buffer.compute_bytes + buffer.output_bytes
        for buffer in buffers if buffer.kind != "cpu")


class MemoryWatch:
    """Samples the workers of a comparison ten times a second, in a thread of its own, while it is open."""

    def __init__(self, pids: Callable[[], Iterable[int]]) -> None:
        """`pids`: of the workers that run now; asked from another thread."""
        self._pids = pids
        self._peaks: dict[int, int] = {}
        self._peak_bytes = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="comparison-memory", daemon=True)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def peak_bytes(self) -> int:
        """The largest sum so far."""
        return self._peak_bytes

    def peak_of(self, pid: int | None) -> int:
        """The most that one of them held in any sample."""
        return self._peaks.get(pid, 0) if pid is not None else 0

    def _run(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            self._sample()

    def _sample(self) -> None:
        total = 0
        for pid in self._pids():
            try:
                rss_bytes = int(psutil.Process(pid).memory_info().rss)
            except psutil.Error:
                continue
            total += rss_bytes
            self._peaks[pid] = max(self._peaks.get(pid, 0), rss_bytes)
        self._peak_bytes = max(self._peak_bytes, total)

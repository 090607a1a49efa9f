"""How fast this computer moves main memory, measured."""

from __future__ import annotations

import ctypes
import mmap
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from localai_app.hardware.probe import read_text

SMALLEST_BUFFER_BYTES = 96 * 1024**2
"""Two of these are taken: together above the last-level cache of desktop processors (128 MiB at most), and below 256 MB."""
LARGEST_BUFFER_BYTES = 1024**3
"""Enough for servers whose sockets hold a gigabyte of cache; they have hundreds of times as much memory."""
BUDGET_S = 0.15
"""No new round begins after this time, so that the whole measurement stays below 0.3 s."""
MAX_ROUNDS = 8
MAX_THREADS = 16
"""More threads do not raise the bandwidth of one socket, but they cost time to start."""


def measure_memory_bandwidth(
    *, buffer_bytes: int | None = None, threads: int | None = None, root: Path = Path("/"),
) -> float:
    """Bandwidth in bytes read per second while all physical cores copy between two buffers; the best of a few rounds.

    The bytes written are not counted, so the figure is at most half of what the memory moves in total. Both buffers together
    are twice the last-level cache that the system tells below `root`/sys, unless `buffer_bytes` (of one) is given.
    ctypes.memmove releases the interpreter lock, which is what lets the threads run at once.
    """
    n_threads = threads or min(MAX_THREADS, psutil.cpu_count(logical=False) or 1)
    part_bytes = (buffer_bytes or _buffer_bytes(last_level_cache_bytes(root))) // n_threads
    begin_s = time.perf_counter()
    with mmap.mmap(-1, part_bytes * n_threads) as source, mmap.mmap(-1, part_bytes * n_threads) as target:
        source_view, target_view = ctypes.c_char.from_buffer(source), ctypes.c_char.from_buffer(target)
        source_start, target_start = ctypes.addressof(source_view), ctypes.addressof(target_view)

        def touch(part: int) -> None:
            # Untouched pages are not real memory yet, and reading them would measure the zero page.
            ctypes.memset(source_start + part * part_bytes, 1, part_bytes)
            ctypes.memset(target_start + part * part_bytes, 2, part_bytes)

        def copy(part: int) -> None:
            ctypes.memmove(target_start + part * part_bytes, source_start + part * part_bytes, part_bytes)

        _in_threads(touch, n_threads)
        best_s = _in_threads(copy, n_threads)
        for _ in range(MAX_ROUNDS - 1):
            if time.perf_counter() - begin_s > BUDGET_S:
                break
            best_s = min(best_s, _in_threads(copy, n_threads))
        # The views must go before the mappings can be closed.
        del source_view, target_view
    return part_bytes * n_threads / best_s


def last_level_cache_bytes(root: Path = Path("/")) -> int:
    """All last-level caches of the computer together, as Linux lists them; 0 where the system does not tell."""
    sizes: dict[tuple[str, str], int] = {}
    for cache in (root / "sys/devices/system/cpu").glob("cpu[0-9]*/cache/index[0-9]*"):
        size = re.fullmatch(r"(\d+)([KMG]?)", read_text(cache / "size") or "")
        if size is not None:
            level, sharers = read_text(cache / "level") or "", read_text(cache / "shared_cpu_list") or cache.parts[-3]
            sizes[level, sharers] = int(size[1]) * {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}[size[2]]
    last = max((level for level, _sharers in sizes), default="")
    return sum(size for (level, _sharers), size in sizes.items() if level == last)


def _buffer_bytes(cache_bytes: int) -> int:
    return min(max(SMALLEST_BUFFER_BYTES, cache_bytes), LARGEST_BUFFER_BYTES)


def _in_threads(work: Callable[[int], None], n_threads: int) -> float:
    """Run `work(0..n-1)` at the same time; seconds from the common start to the last end."""
    barrier = threading.Barrier(n_threads + 1)

    def run(part: int) -> None:
        barrier.wait()
        work(part)

    workers = [threading.Thread(target=run, args=(part,), name="bandwidth", daemon=True) for part in range(n_threads)]
    for worker in workers:
        worker.start()
    barrier.wait()
    begin_s = time.perf_counter()
    for worker in workers:
        worker.join()
    return time.perf_counter() - begin_s

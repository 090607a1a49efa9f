"""From the start of the process to the first painting of its window, and what the window holds ten seconds later."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import psutil
import pytest

from tests.bench.tables import print_table
from tests.helpers.display import virtual_display
from tests.helpers.window_process import paint_times_ms, running_window

pytestmark = [pytest.mark.bench, pytest.mark.timeout(300)]

WARM_STARTS = 7
SETTLED_S = 10.0


def test_first_paint(tmp_path: Path) -> None:
    with virtual_display() as display:
        for _ in range(1 + WARM_STARTS):
            with running_window(tmp_path, display):
                pass
    first, *warm = paint_times_ms(tmp_path)
    print_table("First paint", [
        ("first start, fresh profile", f"{first} ms"),
        (f"warm, median of {len(warm)}", f"{statistics.median(warm):.0f} ms"),
        ("warm, all", " ".join(f"{time_ms}" for time_ms in sorted(warm)) + " ms"),
    ])


def test_memory_of_the_window(tmp_path: Path) -> None:
    with virtual_display() as display, running_window(tmp_path, display) as window:
        time.sleep(SETTLED_S)
        memory = psutil.Process(window.pid).memory_full_info()
    print_table(f"Memory of the window's process {SETTLED_S:.0f} s after first paint", [
        ("resident (RSS)", f"{memory.rss / 1e6:.0f} MB"),
        ("its own (USS)", f"{memory.uss / 1e6:.0f} MB"),
    ])

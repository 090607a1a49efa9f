"""The real program with its window, as a process of its own on a given screen."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.helpers.program import program_command

START_TIMEOUT_S = 60.0
END_TIMEOUT_S = 20.0
FIRST_PAINT = re.compile(r"first paint after (\d+) ms")


@contextmanager
def running_window(data_dir: Path, display: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """The program with its window on `display`, from its first painting on; ended politely."""
    seen = len(paint_times_ms(data_dir))
    process = subprocess.Popen(
        program_command("--data-dir", data_dir), env={**os.environ, **display}, stdin=subprocess.DEVNULL)
    try:
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while len(paint_times_ms(data_dir)) == seen:
            assert process.poll() is None, "the program ended before it painted"
            assert time.monotonic() < deadline_s, "the window was not painted"
            time.sleep(0.02)
        yield process
    finally:
        process.terminate()
        process.wait(END_TIMEOUT_S)


def paint_times_ms(data_dir: Path) -> list[int]:
    """Every "first paint after N ms" in the log of a data folder, oldest first."""
    log = data_dir / "logs" / "localai.log"
    return [int(found) for found in FIRST_PAINT.findall(log.read_text(encoding="utf-8"))] if log.exists() else []

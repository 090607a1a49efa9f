"""Workers whose parent is killed: a program that starts one, and a look at how soon it is gone."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil

LIMIT_S = 2.0


def outlives_its_parent(code: str, folder: Path) -> bool:
    """Whether the worker, whose process id a program prints as its first line, is still there 2 s after that was killed."""
    parent = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    worker = psutil.Process(int(parent.stdout.readline()))
    assert worker.is_running()
    parent.kill()
    parent.wait()
    parent.stdout.close()
    end_s = time.monotonic() + LIMIT_S
    while is_alive(worker) and time.monotonic() < end_s:
        time.sleep(0.02)
    return is_alive(worker)


def is_alive(process: psutil.Process) -> bool:
    """Whether a process runs; one that ended and was never waited for does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

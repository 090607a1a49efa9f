"""How fast the application bundle in dist/ starts: its window, a worker, and a command that only tells the version."""

from __future__ import annotations

import os
import statistics
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from localai_app.engine.client import EngineClient
from localai_app.engine.protocol import Event, Ready
from localai_app.engine.runtimes import discover, processor_runtimes
from tests.bench.tables import print_table
from tests.helpers.display import virtual_display
from tests.helpers.window_process import paint_times_ms, running_window

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]

PROGRAM = Path(__file__).resolve().parents[2] / "dist" / "localai-app" / "localai-app"
ROUNDS = 7


def figures(values_s: list[float]) -> str:
    return f"{statistics.median(values_s):.2f} s ({min(values_s):.2f} to {max(values_s):.2f})"


def timed(call: Callable[[], object]) -> float:
    started = time.monotonic()
    call()
    return time.monotonic() - started


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Path:
    if not PROGRAM.exists():
        pytest.skip("make it with `python3 dev.py package bundle`")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return PROGRAM


def test_first_paint(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.helpers.window_process.program_command", lambda *words: [str(program), *map(str, words)])
    outside_s = []
    with virtual_display() as display:
        for _ in range(1 + ROUNDS):
            started = time.monotonic()
            with running_window(tmp_path, display):
                outside_s.append(time.monotonic() - started)
    _first, *warm = paint_times_ms(tmp_path)
    print_table("First paint of the bundle", [
        ("first start, fresh profile", f"{outside_s[0]:.2f} s"),
        (f"warm, as the program measures it, {len(warm)} times", figures([time_ms / 1000 for time_ms in warm])),
        ("warm, from outside, polled every 20 ms", figures(outside_s[1:])),
    ])


def test_worker_and_version(program: Path, tmp_path: Path) -> None:
    build = discover([program.parent / "engine"]).builds[0]
    runtime = next(each for each in processor_runtimes(build) if _starts(program, tmp_path, each.options))
    worker_s = [_start_of_worker_s(program, tmp_path, runtime.options) for _ in range(ROUNDS)]
    version_s = [timed(lambda: subprocess.run([program, "--version"], check=True, capture_output=True)) for _ in range(ROUNDS)]
    help_s = [timed(lambda: subprocess.run([program, "rm", "--help"], check=True, capture_output=True)) for _ in range(ROUNDS)]
    print_table("Start of the bundle's other parts", [
        (f"worker, from its start to Ready ({runtime.key})", figures(worker_s)),
        ("--version", figures(version_s)),
        ("rm --help", figures(help_s)),
    ])


def _starts(program: Path, folder: Path, options: tuple[str, ...]) -> bool:
    try:
        return _start_of_worker_s(program, folder, options) > 0
    except AssertionError:
        return False


def _start_of_worker_s(program: Path, folder: Path, options: tuple[str, ...]) -> float:
    is_ready, over = [False], threading.Event()

    def on_event(event: Event) -> None:
        if isinstance(event, Ready):
            is_ready[0] = True
            over.set()

    client = EngineClient(
        [str(program), "--engine-worker", "--backend", "llama", *options], cwd=folder, on_event=on_event,
        on_exit=lambda _outcome: over.set())
    took_s = timed(lambda: (client.start(), over.wait(60)))
    client.stop()
    assert is_ready[0], f"the worker ended, on {os.uname().machine}"
    return took_s

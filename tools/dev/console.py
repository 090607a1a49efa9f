"""What the developer sees: one short line per step with its time, everything else in a log file.

All of it goes to stderr: stdout belongs to the program that is started.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

TAIL_LINES = 15
COMPILED = re.compile(rb"\[(\d+)/(\d+)\]")
REFRESH_S = 1.0
NOTE_EVERY_S = 30.0

UNREACHABLE = re.compile(
    r"name resolution|getaddrinfo failed|nodename nor servname|Network is unreachable|Connection refused|NewConnectionError"
    r"|ConnectTimeout|ProxyError|ReadTimeout|from versions: none", re.IGNORECASE)
HASH_MISMATCH = re.compile(r"DO NOT MATCH THE HASHES", re.IGNORECASE)
DISK_FULL = re.compile(r"No space left on device|not enough space", re.IGNORECASE)
NO_WHEEL = re.compile(r"No matching distribution found for (\S+)")


class StepError(Exception):
    """A step that cannot be completed; the text is one plain sentence for the developer."""


class Steps:
    """Numbered steps of a set-up: `[2/6] Installing 42 packages ... 21 s`."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._number = 0

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Announce a step and print the time it took, or that it failed."""
        self._number += 1
        started = time.monotonic()
        print(f"[{self._number}/{self._total}] {title} ... ", end="", file=sys.stderr, flush=True)
        try:
            yield
        except BaseException:
            print("failed", file=sys.stderr, flush=True)
            raise
        print(format_seconds(time.monotonic() - started), file=sys.stderr, flush=True)


def format_seconds(seconds: float) -> str:
    """A time span for a status line: 0.4 s, 21 s, 3 min 20 s."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"


def run_logged(command: Sequence[str], log: Path, *, cwd: Path, env: Mapping[str, str]) -> None:
    """Run a program with its output in `log`, showing how far a compilation is.

    `StepError` with a plain sentence if it fails; the end of the log is printed first.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        try:
            _wait_with_progress(process, log)
        except BaseException:
            process.kill()
            process.wait()
            raise
    if process.returncode:
        text = log.read_text(encoding="utf-8", errors="replace")
        lines = [line for line in text.splitlines() if line.strip()]
        print("\n" + "\n".join("    " + line[:200] for line in lines[-TAIL_LINES:]), file=sys.stderr, flush=True)
        raise StepError(f"{explain(text)} The whole output is in {log}.")


def explain(output: str) -> str:
    """One sentence about why a program of the set-up failed, from what it printed."""
    if DISK_FULL.search(output):
        return "The disk is full."
    if HASH_MISMATCH.search(output):
        return "A package differs from the one that the lock file names: the mirror or a proxy changed it."
    if UNREACHABLE.search(output):
        return "The package index cannot be reached: check the internet connection and the proxy, then try again."
    if found := NO_WHEEL.search(output):
        return f"There is no package {found[1]} for this computer or this Python."
    return "This step did not work."


def _wait_with_progress(process: subprocess.Popen[bytes], log: Path) -> None:
    started = last_note = time.monotonic()
    shown = ""
    while True:
        try:
            process.wait(REFRESH_S)
            break
        except subprocess.TimeoutExpired:
            pass
        now = time.monotonic()
        progress = _compile_progress(log)
        if sys.stderr.isatty():
            print("\b" * len(shown) + " " * len(shown) + "\b" * len(shown), end="", file=sys.stderr)
            shown = f"{progress} {format_seconds(now - started)} ".lstrip()
            print(shown, end="", file=sys.stderr, flush=True)
        elif progress and now - last_note >= NOTE_EVERY_S:
            last_note = now
            print(f"{progress}, ", end="", file=sys.stderr, flush=True)
    if shown:
        print("\b" * len(shown) + " " * len(shown) + "\b" * len(shown), end="", file=sys.stderr, flush=True)


def _compile_progress(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4000))
        found = COMPILED.findall(file.read())
    return f"{int(found[-1][0])} of {int(found[-1][1])} files" if found else ""

"""What a probe is: a named function that finds out one thing and puts what failed into words."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from localai_app.hardware.report import Cpu, Gpu, Memory, ProbeNote, Vendor

COMMAND_TIMEOUT_S = 1.5
RunCommand = Callable[[Sequence[str]], str | None]
"""Runs a program and returns its standard output, or None where it failed."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What one probe found out; only its own part is filled in."""

    cpu: Cpu | None = None
    memory: Memory | None = None
    gpus: tuple[Gpu, ...] = ()
    notes: tuple[ProbeNote, ...] = ()


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe with the name that its notes carry."""

    name: str
    run: Callable[[], Findings]


@dataclass(frozen=True, slots=True)
class FreeReading:
    """Free memory of one GPU now, in bytes, with what identifies it among the GPUs of a report."""

    source: str
    vendor: Vendor
    total_bytes: int | None
    free_bytes: int | None


def read_text(path: Path) -> str | None:
    """A small file of the system without surrounding blanks; None where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def read_int(path: Path) -> int | None:
    """A number (decimal or 0x...) that a file of the system holds; None where there is none."""
    text = read_text(path)
    if not text:
        return None
    try:
        return int(text.split()[0], 0)
    except ValueError:
        return None


def run_command(command: Sequence[str]) -> str | None:
    """Run a program of the system and return its output; None where it is missing, fails or takes too long."""
    try:
        done = subprocess.run(
            list(command), stdin=subprocess.DEVNULL, capture_output=True, text=True, encoding="utf-8", errors="replace",
            timeout=COMMAND_TIMEOUT_S, check=False,
            # On Windows a program of the console would otherwise flash up a console.
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0))
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.stdout.strip() else None

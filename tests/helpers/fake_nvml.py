"""Computers with NVIDIA cards that are not there: a small NVML library, built once, and a file that says what it reports."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

SOURCE = Path(__file__).with_name("fake_nvml.c")
GIB = 1024**3
WARNINGS = ("-Wall", "-Werror", "-Wno-unused-function")

PROBE = """
import sys
from pathlib import Path
import msgspec
from localai_app.hardware.nvidia import probe_nvidia
from localai_app.hardware.report import Memory
memory = Memory(total_bytes=128 << 30, available_bytes=100 << 30)
found = probe_nvidia(root=Path(sys.argv[1]), memory=lambda: memory)
sys.stdout.write(msgspec.json.encode({"gpus": found.gpus, "notes": found.notes}).decode())
"""


def compiler() -> str | None:
    """The C compiler of this computer, or None."""
    return next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)


def build_fake_nvml(folder: Path, *, without: Sequence[str] = ()) -> Path:
    """Compile the library into `folder`, without the functions named; returns the folder to search it in."""
    cc = compiler()
    if cc is None:
        raise FileNotFoundError("no C compiler")
    folder.mkdir(parents=True, exist_ok=True)
    defines = [f"-DWITHOUT_{name}" for name in without]
    subprocess.run(
        [cc, "-shared", "-fPIC", "-O1", *WARNINGS, *defines, "-o", str(folder / "libnvidia-ml.so.1"), str(SOURCE)],
        check=True, capture_output=True)
    return folder


def nvml_environment(library_folder: Path, configuration: Path) -> dict[str, str]:
    """Variables for a process that shall find the fake library."""
    return {**os.environ, "LD_LIBRARY_PATH": str(library_folder), "FAKE_NVML": str(configuration)}


def run_with_nvml(library_folder: Path, configuration: Path, script: str, *arguments: object) -> Any:
    """Run a Python script in a process of its own with the fake library; what it prints, as JSON."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *map(str, arguments)], capture_output=True, text=True, timeout=60,
        env=nvml_environment(library_folder, configuration), check=False)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return msgspec.json.decode(done.stdout)


def gpu_line(
    name: str, total_bytes: int = 24 * GIB, free_bytes: int | None = None, *, compute: str = "8.9", **more: int,
) -> str:
    """One card of the configuration file; `more`: any further key of the file."""
    free = total_bytes if free_bytes is None else free_bytes
    extra = "".join(f" {key}={value}" for key, value in more.items())
    return f"gpu name={name.replace(' ', '_')} total={total_bytes} free={free} cc={compute}{extra}"

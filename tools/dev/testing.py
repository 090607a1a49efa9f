"""`dev.py test`: every check and test, several at a time, each with one line in the summary.

Most tests wait for processes that they have started, so more of them run at once than there are cores.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from tools.dev.commands import NO_QT_VENV
from tools.dev.console import format_seconds
from tools.dev.environment import ROOT, cache_dir, clean_environment
from tools.dev.stamp import venv_python

ALL_BUT_BENCHMARKS = ("-m", "not bench")
PROOF_OF_NO_QT = "import importlib.util, sys; sys.exit(importlib.util.find_spec('PySide6') is not None)"
PROVES_NOTHING = "PySide6 can be imported in the environment that is to lack it"
MORE_THAN_CORES = 1
"""Checks at a time beyond the number of cores."""


@dataclass(frozen=True)
class Check:
    """One program of the test run; it fails by its exit status."""

    title: str
    command: tuple[str, ...]


def run_tests(arguments: Sequence[str], models: Path) -> int:
    """Run everything, also after a failure, or only pytest with the given arguments; 0 if all passed."""
    env = clean_environment() | {"LOCALAI_TEST_MODELS": str(models)}
    # The tests start the program and its workers by the thousand: without bytecode each start compiles every module.
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    python = str(venv_python(ROOT))
    if arguments:
        return subprocess.call([python, "-m", "pytest", *arguments], cwd=ROOT, env=env)
    checks = _checks(python, str(venv_python(ROOT, NO_QT_VENV)))
    results: dict[Check, tuple[int, float]] = {}
    with ThreadPoolExecutor((os.cpu_count() or 1) + MORE_THAN_CORES) as pool:
        running = {pool.submit(_run, check, env): check for check in checks}
        for done in as_completed(running):
            status, seconds, output = done.result()
            results[running[done]] = (status, seconds)
            print(f"\n== {running[done].title}\n{output}", flush=True)
    print("\nSummary")
    for check in checks:
        status, seconds = results[check]
        outcome = "passed" if status == 0 else f"FAILED with exit status {status}"
        print(f"  {outcome}  {check.title} ({format_seconds(seconds)})")
    return int(any(status for status, _seconds in results.values()))


def _checks(python: str, python_without_qt: str) -> tuple[Check, ...]:
    programs = Path(python).parent
    pytest = ("-m", "pytest", "-q", "--durations=10")
    # The longest first, so that none of them is left alone at the end.
    return (
        Check("tests of the engine", (python, *pytest, "tests/integration/engine", *ALL_BUT_BENCHMARKS)),
        Check("tests of the services", (python, *pytest, "tests/integration/services", *ALL_BUT_BENCHMARKS)),
        Check("tests of what is packaged", (python, *pytest, "tests/packaging", *ALL_BUT_BENCHMARKS)),
        Check("tests of the whole program", (
            python, *pytest, "tests/integration/acceptance", "tests/e2e", "tests/gpu", *ALL_BUT_BENCHMARKS)),
        Check("tests of the Hub and the commands", (
            python, *pytest, "tests/integration", "--ignore", "tests/integration/engine", "--ignore",
            "tests/integration/services", "--ignore", "tests/integration/acceptance", *ALL_BUT_BENCHMARKS)),
        Check("unit tests without Qt", (python_without_qt, *pytest, "tests/unit", *ALL_BUT_BENCHMARKS)),
        Check("tests of the window", (python, *pytest, "tests/gui", *ALL_BUT_BENCHMARKS)),
        Check("mypy: types", (python, "-m", "mypy", "--cache-dir", str(cache_dir() / "mypy"))),
        Check("ruff: style and likely mistakes", (python, "-m", "ruff", "check", ".")),
        Check("import-linter: layers", (str(programs / ("lint-imports.exe" if os.name == "nt" else "lint-imports")),)),
        Check("no Qt in the second environment", (python_without_qt, "-c", PROOF_OF_NO_QT)),
    )


def _run(check: Check, env: dict[str, str]) -> tuple[int, float, str]:
    """Exit status, seconds and all output of one program."""
    print(f"Started: {check.title}", flush=True)
    started = time.monotonic()
    with tempfile.TemporaryFile() as output:
        status = subprocess.call(check.command, cwd=ROOT, env=env, stdout=output, stderr=subprocess.STDOUT)
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
    if status and PROOF_OF_NO_QT in check.command:
        text += PROVES_NOTHING
    return status, time.monotonic() - started, text

"""`dev.py test`: every check and test, each with one line in the summary."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.dev.commands import NO_QT_VENV
from tools.dev.console import format_seconds
from tools.dev.environment import ROOT, clean_environment
from tools.dev.stamp import venv_python

ALL_BUT_BENCHMARKS = ("-m", "not bench")
PROOF_OF_NO_QT = "import importlib.util, sys; sys.exit(importlib.util.find_spec('PySide6') is not None)"
PROVES_NOTHING = "PySide6 can be imported in the environment that is to lack it"


@dataclass(frozen=True)
class Check:
    """One program of the test run; it fails by its exit status."""

    title: str
    command: tuple[str, ...]


def run_tests(arguments: Sequence[str], models: Path) -> int:
    """Run everything, also after a failure, or only pytest with the given arguments; 0 if all passed."""
    env = clean_environment() | {"LOCALAI_TEST_MODELS": str(models)}
    python = str(venv_python(ROOT))
    if arguments:
        return subprocess.call([python, "-m", "pytest", *arguments], cwd=ROOT, env=env)
    results = [(check.title, *_run(check, env)) for check in _checks(python, str(venv_python(ROOT, NO_QT_VENV)))]
    print("\nSummary")
    for title, status, seconds in results:
        outcome = "passed" if status == 0 else f"FAILED with exit status {status}"
        print(f"  {outcome}  {title} ({format_seconds(seconds)})")
    return int(any(status for _, status, _ in results))


def _checks(python: str, python_without_qt: str) -> tuple[Check, ...]:
    programs = Path(python).parent
    pytest = ("-m", "pytest", "-q")
    return (
        Check("ruff: style and likely mistakes", (python, "-m", "ruff", "check", ".")),
        Check("mypy: types", (python, "-m", "mypy")),
        Check("import-linter: layers", (str(programs / ("lint-imports.exe" if os.name == "nt" else "lint-imports")),)),
        Check("no Qt in the second environment", (python_without_qt, "-c", PROOF_OF_NO_QT)),
        Check("unit tests without Qt", (python_without_qt, *pytest, "tests/unit", *ALL_BUT_BENCHMARKS)),
        Check("all other tests", (python, *pytest, "tests", "--ignore", "tests/unit", *ALL_BUT_BENCHMARKS)),
    )


def _run(check: Check, env: dict[str, str]) -> tuple[int, float]:
    print(f"\n== {check.title}", flush=True)
    started = time.monotonic()
    status = subprocess.call(check.command, cwd=ROOT, env=env)
    if status and PROOF_OF_NO_QT in check.command:
        print(PROVES_NOTHING, flush=True)
    return status, time.monotonic() - started

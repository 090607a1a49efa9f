"""Run the program as a user does: as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.helpers.program_server import ProgramServer

READ_BY_THE_INTERPRETER = ("PYTHON", "LC_", "LANG")
"""Variables that only count when a process starts."""
_servers: list[ProgramServer] = []


@dataclass(frozen=True)
class Outcome:
    """What a command printed and returned."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """Standard output as JSON; fails the test where it is anything else."""
        return json.loads(self.stdout)


def program_command(*arguments: str | Path) -> list[str]:
    """The command line of the program in this environment."""
    return [sys.executable, "-m", "localai_app", *map(str, arguments)]


@contextmanager
def warm_programs() -> Iterator[None]:
    """Inside it, `run_program` forks a process that has imported the program already, where the system allows it."""
    if not sys.platform.startswith("linux"):
        yield
        return
    _servers.append(ProgramServer())
    try:
        yield
    finally:
        _servers.pop().close()


def run_program(
    *arguments: str | Path, environment: Mapping[str, str] | None = None, timeout_s: float = 120, cwd: Path | None = None,
) -> Outcome:
    """Run a command to its end."""
    changed = environment or {}
    everything = {**os.environ, **changed}
    if _servers and not any(name.startswith(READ_BY_THE_INTERPRETER) for name in changed):
        result = _servers[-1].run([*map(str, arguments)], everything, cwd or Path.cwd(), timeout_s)
    else:
        result = subprocess.run(
            program_command(*arguments), capture_output=True, text=True, timeout=timeout_s, cwd=cwd, check=False,
            stdin=subprocess.DEVNULL, env=everything)
    assert "Traceback" not in result.stderr, result.stderr
    return Outcome(result.returncode, result.stdout, result.stderr)

"""Run the program as a user does: as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


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


def run_program(
    *arguments: str | Path, environment: Mapping[str, str] | None = None, timeout_s: float = 120, cwd: Path | None = None,
) -> Outcome:
    """Run a command to its end."""
    result = subprocess.run(
        program_command(*arguments), capture_output=True, text=True, timeout=timeout_s, cwd=cwd, check=False,
        stdin=subprocess.DEVNULL, env={**os.environ, **(environment or {})})
    assert "Traceback" not in result.stderr, result.stderr
    return Outcome(result.returncode, result.stdout, result.stderr)

#!/usr/bin/env python3
"""The developer's entry: makes the environment and opens, tests, demonstrates or packages Local AI.

    python3 dev.py run  [-- app arguments]     set everything up on first use, then open the app
    python3 dev.py test [pytest arguments]     all checks and tests; with arguments only pytest
    python3 dev.py demo [-- app arguments]     `run` against a Hub on this computer with two small models
    python3 dev.py package [target ...]        make what people download, into dist/: all that this computer can, or the targets

Only the standard library is used. This file and the modules it imports at its top have to run on
Python 3.8, far enough to say in one line what is missing; everything else is in tools/dev.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Sequence

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))

from tools.dev import prerequisites, stamp  # noqa: E402

COMMANDS = ("run", "test", "demo", "package")


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says; the exit status of the program that was started."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print((__doc__ or "").strip())
        return 0
    command, rest = arguments[0], list(arguments[1:])
    if rest[:1] == ["--"]:
        rest = rest[1:]
    if command not in COMMANDS:
        return say(f"there is no command {command!r}; use one of: {', '.join(COMMANDS)}", status=2)
    problem = prerequisites.missing_for_window(command)
    if problem:
        return say(problem)
    if command == "run" and stamp.is_ready(ROOT):
        return open_app(rest)
    return set_up_and(command, rest)


def set_up_and(command: str, rest: Sequence[str]) -> int:
    """Go on to the part that needs a new Python, if there is one with all its modules."""
    if not prerequisites.MINIMUM <= sys.version_info[:2] <= prerequisites.NEWEST:
        python = prerequisites.find_python()
        if python is None:
            return say(prerequisites.python_missing())
        return wait_for([*python, str(ROOT / "dev.py"), command, *rest])
    problem = prerequisites.missing_for_setup()
    if problem:
        return say(problem)
    from tools.dev import commands  # written for Python 3.11, so only imported here

    return commands.main(command, rest)


def say(problem: str, status: int = 1) -> int:
    """Report in one line what is missing or wrong; the exit status."""
    print(f"dev.py: {problem}", file=sys.stderr)
    return status


def open_app(arguments: Sequence[str]) -> int:
    """Become the app; on Windows, where a process cannot be replaced, wait for it."""
    line = [str(stamp.venv_python(ROOT)), "-m", "localai_app", *arguments]
    if os.name == "posix":
        sys.stdout.flush()
        os.execv(line[0], line)
    return wait_for(line)


def wait_for(line: Sequence[str]) -> int:
    """Run a program to its end and pass its exit status on; Ctrl+C is for the program, not for this one."""
    process = subprocess.Popen(line)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Draws the window in a process of its own: Qt ends a program whose screen it cannot use, which the report has to survive."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import IO

from localai_app.bootstrap import LaunchOptions, build_services
from localai_app.cli.output import Output
from localai_app.engine.launch import program_command

PROBE_WORD = "frame"
"""After `--self-check` on the command line: only draw, and say what came of it."""
_DEADLINE_S = 60.0
_LONGEST_REASON = 300


def frame_words(catalog: Path | None, folder: Path) -> str:
    """“works” where every page of the window was drawn on the screen that this session has; else what is wrong."""
    command = [*program_command(), "--self-check", PROBE_WORD, "--data-dir", str(folder)]
    if catalog is not None:
        command += ["--catalog", str(catalog)]
    # Into files, for pipes end only with the last process that the child started, which may outlive it by far.
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as errors:
        try:
            done = subprocess.run(
                command, stdout=answer, stderr=errors, stdin=subprocess.DEVNULL, timeout=_DEADLINE_S, check=False)
        except subprocess.TimeoutExpired:
            return f"the window was not drawn within {_DEADLINE_S:.0f} seconds"
        return _words(done.returncode, _text(answer), _text(errors))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


def _words(status: int, printed: str, errors: str) -> str:
    try:
        answer = json.loads(printed)
        return str(answer["frame"]) if "frame" in answer else f"the window could not be made: {answer['error']['message']}"
    except (ValueError, KeyError, TypeError):
        said = " ".join(errors.split())[-_LONGEST_REASON:]  # A traceback says what happened at its end.
        return f"the window's process ended with status {status}{f': {said}' if said else ''}"


def run_probe(launch: LaunchOptions, output: Output) -> int:
    """What the child does: draw each page, print `{"frame": "works"}` or what is wrong. Returns the exit code."""
    if "DISPLAY" not in os.environ and "WAYLAND_DISPLAY" not in os.environ:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    try:
        from localai_app.gui.frame_check import undrawn_pages
    except ImportError as error:
        output.document({"frame": f"Qt cannot be loaded: {error}"})
        return 1
    services = build_services(launch)
    try:
        empty = undrawn_pages(services)
    finally:
        services.close()
    output.document({"frame": f"these pages stayed empty: {', '.join(empty)}" if empty else "works"})
    return int(bool(empty))

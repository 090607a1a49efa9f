"""The self-check's child that draws the window: what is made of its answer, and that nothing it leaves is waited for."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from localai_app.cli import frame_probe

STARTS_SOMETHING_THAT_LIVES_ON = """
import pathlib, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
pathlib.Path(sys.argv[-1], "pid").write_text(str(child.pid))
child.returncode = 0
print('{"frame": "works"}')
"""


@pytest.mark.skipif(os.name == "nt", reason="ends the process by a signal of POSIX")
def test_a_process_that_the_probe_leaves_behind_holds_nothing_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_probe, "program_command", lambda: [sys.executable, "-c", STARTS_SOMETHING_THAT_LIVES_ON])
    started_s = time.monotonic()
    try:
        assert frame_probe.frame_words(None, tmp_path) == "works"
        assert time.monotonic() - started_s < 20
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_a_probe_that_does_not_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_probe, "program_command", lambda: [sys.executable, "-c", "import time; time.sleep(30)"])
    monkeypatch.setattr(frame_probe, "_DEADLINE_S", 1.0)
    assert frame_probe.frame_words(None, tmp_path) == "the window was not drawn within 1 seconds"


def test_the_end_of_what_a_failing_probe_said_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_probe, "program_command", lambda: [sys.executable, "-c", "raise SystemExit('no screen')"])
    assert frame_probe.frame_words(None, tmp_path) == "the window's process ended with status 1: no screen"

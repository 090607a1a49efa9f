"""The commands about the engine's builds and about lending, in real processes."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from localai_app.engine.rpc_greeting import Answer, greet
from tests.helpers.lent_devices import library_folder
from tests.helpers.program import run_program

pytestmark = pytest.mark.skipif(library_folder() is None, reason="this llama.cpp cannot lend devices")


def test_builds_are_listed_and_tested(tmp_path: Path) -> None:
    (tmp_path / "runtimes" / "half").mkdir(parents=True)
    (tmp_path / "runtimes" / "half" / "engine.json").write_text("{")
    listed = run_program("runtimes", "--json", "--data-dir", tmp_path)
    assert listed.code == 0, listed.stderr
    (build,) = listed.document["runtimes"]
    assert (build["key"], build["in_use"], build["test"]) == ("installed/cpu", True, None)
    assert "half is not used: its engine.json cannot be read" in listed.document["refused"][0]
    tested = run_program("runtimes", "--test", "--data-dir", tmp_path)
    assert "* llama-cpp-python" in tested.stdout
    assert "processor: passed in " in tested.stdout
    (build,) = run_program("runtimes", "--json", "--data-dir", tmp_path).document["runtimes"]
    assert build["test"]["passed"] is True, "remembered"


def test_lending_is_said_plainly_and_ends_with_the_command(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    open_to_all = run_program("lend", "--address", "0.0.0.0:50052", "--data-dir", tmp_path)
    assert open_to_all.code == 1
    assert "whoever reaches it needs no password" in open_to_all.stderr
    wrong = run_program("lend", "--address", "nowhere", "--data-dir", tmp_path)
    assert wrong.code == 2
    process = subprocess.Popen(
        [sys.executable, "-m", "localai_app", "lend", "--address", address, "--data-dir", str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == f"The devices of this computer are lent at {address}. Ctrl-C ends that.\n"
        assert greet(address) is Answer.READY
        process.send_signal(signal.SIGINT)
        _stdout, stderr = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert "no passwords and no encryption" in stderr
    deadline_s = time.monotonic() + 5
    while greet(address) is not Answer.ABSENT:
        assert time.monotonic() < deadline_s

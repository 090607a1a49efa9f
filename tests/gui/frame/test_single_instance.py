from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtNetwork import QLocalSocket

from localai_app.gui.single_instance import SingleInstance, hand_over, instance_name

FIRST = """
import logging, sys
from pathlib import Path
from PySide6.QtCore import QCoreApplication
from PySide6.QtGui import QFileOpenEvent
from localai_app.bootstrap import LaunchOptions, build_services
from localai_app.gui import app as app_module
from localai_app.paths import app_paths
logging.basicConfig(level=logging.INFO, stream=sys.stderr)
app_module.open_given = lambda target, window, services, messages: print("opened", target, flush=True)
data = Path(sys.argv[1])
services = lambda: build_services(LaunchOptions(data_dir=data, worker=["false"]))
# As macOS tells of a double click that started the program.
QCoreApplication.sendEvent(app_module.make_application(), QFileOpenEvent("/clicked.gguf"))
code = app_module.run_window(services, app_paths(data), first_page="settings")
print("ended", code, flush=True)
"""
SECOND = """
import sys
from pathlib import Path
from localai_app.gui.app import run_window
from localai_app.paths import app_paths

def unwanted():
    raise SystemExit("a second start must not build anything")

sys.exit(run_window(unwanted, app_paths(Path(sys.argv[1])), open_target=sys.argv[2]))
"""


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data folder ä"


@pytest.fixture
def first(data_dir: Path, qapp) -> Iterator[SingleInstance]:
    instance = SingleInstance(data_dir)
    assert instance.claim()
    yield instance
    instance.release()


HAND_OVER = """
import sys
from pathlib import Path
from localai_app.gui.single_instance import hand_over
print(hand_over(Path(sys.argv[1]), sys.argv[2]))
"""


def test_a_second_start_wakes_the_first_one_and_hands_over(first: SingleInstance, data_dir: Path, qtbot) -> None:
    with qtbot.waitSignal(first.activated) as activated:
        second = subprocess.Popen([sys.executable, "-c", HAND_OVER, str(data_dir), "hf:owner/name"], stdout=subprocess.PIPE)
    output, _ = second.communicate(timeout=20)
    assert output.strip() == b"True"
    assert activated.args == ["hf:owner/name"]


def test_nobody_to_hand_over_to(data_dir: Path, qapp) -> None:
    assert not hand_over(data_dir, "x")


def test_other_data_folders_are_other_programs(first: SingleInstance, tmp_path: Path) -> None:
    other = SingleInstance(tmp_path / "other")
    assert other.claim()
    other.release()
    assert instance_name(tmp_path / "a") != instance_name(tmp_path / "b")


def test_after_release_another_one_can_be_the_first(data_dir: Path, qapp) -> None:
    one, two = SingleInstance(data_dir), SingleInstance(data_dir)
    assert one.claim()
    one.release()
    assert two.claim()
    two.release()


def test_nonsense_on_the_socket_only_raises_the_window(first: SingleInstance, data_dir: Path, qtbot) -> None:
    for nonsense in (b"{broken\n", b"[1]\n", b'{"open": 7}\n'):
        socket = QLocalSocket()
        with qtbot.waitSignal(first.activated) as activated:
            socket.connectToServer(instance_name(data_dir))
            socket.write(nonsense)
        assert activated.args == [""]
        socket.abort()
    flood = QLocalSocket()
    flood.connectToServer(instance_name(data_dir))
    flood.write(b"x" * 200_000)
    qtbot.waitUntil(lambda: flood.state() is QLocalSocket.LocalSocketState.UnconnectedState)


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else False, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to_does_not_keep_the_window_shut(tmp_path: Path, qapp) -> None:
    tmp_path.chmod(0o500)
    instance = SingleInstance(tmp_path / "data")
    assert instance.claim()
    instance.release()
    tmp_path.chmod(0o700)


def start_first(data_dir: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", FIRST, str(data_dir)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "first paint after" in line:
            return process
    raise AssertionError(f"the window never came up: {process.wait()}")


def run_second(data_dir: Path, target: str) -> int:
    return subprocess.run([sys.executable, "-c", SECOND, str(data_dir), target], timeout=30, check=False).returncode


@pytest.mark.skipif(sys.platform == "win32", reason="ends the window with a signal")
def test_two_real_starts_share_one_window_and_a_killed_one_leaves_no_trace(data_dir: Path) -> None:
    killed = start_first(data_dir)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=10)
    process = start_first(data_dir)
    try:
        assert run_second(data_dir, "hf:owner/name") == 0
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=20)
    finally:
        process.kill()
    assert output.splitlines() == ["opened /clicked.gguf", "opened hf:owner/name", "ended 0"]
    assert process.returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="ends the window with a signal")
def test_a_window_whose_terminal_is_closed_ends_in_order(data_dir: Path) -> None:
    process = start_first(data_dir)
    try:
        process.send_signal(signal.SIGHUP)
        output, _ = process.communicate(timeout=20)
    finally:
        process.kill()
    assert output.splitlines()[-1] == "ended 0"
    assert process.returncode == 0

"""The guards of tests/conftest.py do notice what they are there for."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.helpers.isolation import Homes, NetworkForbiddenError
from tests.helpers.leaks import ResourceWatch
from tests.helpers.log_watch import LogWatch


def test_a_thread_left_running_is_noticed(tmp_path: Path) -> None:
    watch = ResourceWatch(tmp_path, patience_s=0.05)
    release = threading.Event()
    thread = threading.Thread(target=release.wait, name="forgotten", daemon=True)
    thread.start()
    assert watch.left_behind() == ["thread forgotten"]
    release.set()
    thread.join()
    assert watch.left_behind() == []


def test_a_child_process_left_running_is_noticed(tmp_path: Path) -> None:
    watch = ResourceWatch(tmp_path, patience_s=0.05)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert [left.split()[:2] for left in watch.left_behind()] == [["process", str(child.pid)]]
    child.communicate()
    assert watch.left_behind() == []


def test_a_file_left_open_is_noticed(tmp_path: Path) -> None:
    watch = ResourceWatch(tmp_path, patience_s=0.05)
    file = (tmp_path / "notes.txt").open("w", encoding="utf-8")
    assert watch.left_behind() == [f"open file {tmp_path / 'notes.txt'}"]
    file.close()
    assert watch.left_behind() == []


@pytest.mark.parametrize("address", [("192.0.2.1", 443), ("example.com", 80)])
def test_another_computer_cannot_be_reached(address: tuple[str, int]) -> None:
    with pytest.raises(NetworkForbiddenError):
        socket.create_connection(address, timeout=1)


def test_this_computer_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), timeout=5) as client:
        assert client.getpeername() == server.getsockname()


def test_a_reserved_name_is_an_ordinary_failure() -> None:
    with pytest.raises(socket.gaierror):
        socket.create_connection(("hub.invalid", 443), timeout=1)


def test_the_home_is_empty_and_the_tests_own(private_home: Path) -> None:
    assert Path.home() == private_home
    assert Path(os.environ["XDG_CONFIG_HOME"]).is_relative_to(private_home)
    assert [path for path in private_home.rglob("*") if path.is_file()] == []


def test_a_home_that_was_touched_is_no_other_tests(tmp_path: Path) -> None:
    names = iter("abcd")
    homes = Homes(lambda: tmp_path / next(names))
    first = homes.empty()
    assert homes.empty() == first
    (first / ".config" / "settings.json").touch()
    second = homes.empty()
    assert second != first
    third = second
    if sys.platform != "win32":  # Windows has no such rights.
        (second / "run").chmod(0o755)
        third = homes.empty()
        assert third != second
    (third / ".cache" / "huggingface").rmdir()
    assert homes.empty() != third


def test_an_unannounced_warning_is_a_problem_and_a_missing_one_too() -> None:
    watch = LogWatch()
    record = {"levelno": logging.WARNING, "levelname": "WARNING", "name": "x", "msg": "disk is slow"}
    watch.handle(logging.makeLogRecord(record))
    assert watch.problems() == ["unexpected log record: WARNING x: disk is slow"]
    watch.expect("disk")
    assert watch.problems() == []
    watch.expect("network")
    assert watch.problems() == ["no log record matched 'network'"]

"""Scenario 7: a models folder that cannot be written, is gone, or lies on a full disk. The program says so and goes on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.helpers.gguf_files import write_tiny_gguf
from tests.helpers.hub_server import HubServer, RepoFixture
from tests.helpers.program import run_program

REPO = "tester/Tiny-GGUF"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    tiny = write_tiny_gguf(tmp_path / "source.gguf").read_bytes()
    with HubServer({REPO: RepoFixture({"tiny-Q8_0.gguf": tiny + os.urandom(8_000_000)})}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        yield server


def pull_into(folder: Path, data_dir: Path) -> dict:
    """What `pull` says when `folder` is the models folder; the next command then has to work."""
    folder_setting = run_program("settings", "models_folder", folder, "--data-dir", data_dir)
    assert folder_setting.code == 0, folder_setting.stderr
    outcome = run_program("pull", REPO, "--json", "--data-dir", data_dir)
    assert outcome.code == 1
    assert run_program("models", "--json", "--data-dir", data_dir).code == 0
    assert outcome.document["error"]["action"]
    return outcome.document["error"]


@contextmanager
def mounted_disk(folder: Path, options: str) -> Iterator[Path]:
    """A disk of its own in memory; skips the test where the user may not mount one."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("only root may mount a disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_folder_that_cannot_be_written(tmp_path: Path, hub: HubServer) -> None:
    with mounted_disk(tmp_path / "locked", "ro,size=4g") as folder:
        error = pull_into(folder, tmp_path / "data")
    assert error["code"] == "folder_read_only"
    assert str(folder) in error["message"]


def test_a_folder_that_is_gone(tmp_path: Path, hub: HubServer) -> None:
    drive = tmp_path / "drive"
    error = pull_into(drive, tmp_path / "data")
    assert error["code"] == "folder_missing"
    assert str(drive) in error["message"]
    assert not drive.exists()


def test_a_disk_without_room(tmp_path: Path, hub: HubServer) -> None:
    with mounted_disk(tmp_path / "small", "size=4m") as folder:
        error = pull_into(folder, tmp_path / "data")
    assert error["code"] == "no_space"
    assert "MB" in error["message"]

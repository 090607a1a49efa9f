"""Downloads and the disk: a killed process, no space before and on the way, folders that are not there or not writable."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from localai_app import errors
from localai_app.errors import AppError
from localai_app.hub.client import HubClient
from localai_app.hub.download import FileRequest, download_file, partial_bytes
from localai_app.hub.space import free_bytes, require_space
from localai_app.progress import Cancelled, CancelToken
from localai_app.units import GB
from tests.helpers.hub_downloads import (
    MODEL,
    NAME,
    QUICK,
    REPO,
    SHA256,
    Recorder,
    download,
    files_below,
    request_for,
    tiny_server,
    with_options,
)
from tests.helpers.hub_server import HubServer

SIZE = len(MODEL)
NOBODY = 65534


@pytest.fixture
def server() -> Iterator[HubServer]:
    with tiny_server() as running:
        yield running


def program(server: HubServer, folder: Path, *options: str) -> list[str]:
    module = "tests.helpers.hub_download_program"
    return [sys.executable, "-m", module, server.endpoint, server.commit(REPO), str(folder), str(SIZE), SHA256, *options]


def run_program(server: HubServer, folder: Path, *options: str) -> str:
    """The last line that the download program prints."""
    done = subprocess.run(program(server, folder, *options), capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout, done.stderr
    return done.stdout.splitlines()[-1]


def test_after_kill_9_the_next_start_goes_on_from_what_was_on_the_disk(server: HubServer, tmp_path: Path) -> None:
    server.bytes_per_s = 400_000
    with subprocess.Popen(program(server, tmp_path, "--stall", "30"), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("progress") and int(line.split()[1]) > SIZE // 2:
                break
        process.kill()
    target = tmp_path / REPO / NAME
    kept = partial_bytes(target)
    assert SIZE * 0.3 < kept < SIZE
    assert not target.exists()
    server.bytes_per_s = 0
    server.forget_requests()
    assert download(server, tmp_path).read_bytes() == MODEL
    (resumed,) = server.body_requests()
    assert resumed.range == f"bytes={kept}-"
    assert resumed.status == 206
    assert resumed.bytes_sent == SIZE - kept
    assert files_below(tmp_path) == [f"{REPO}/{NAME}"]


def test_two_processes_do_not_write_one_file(server: HubServer, tmp_path: Path) -> None:
    server.bytes_per_s = 300_000
    with subprocess.Popen(program(server, tmp_path, "--stall", "30"), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(AppError) as caught:
            download(server, tmp_path)
        assert caught.value.spec is errors.DOWNLOAD_BUSY
        server.bytes_per_s = 0
        process.kill()
    assert download(server, tmp_path).read_bytes() == MODEL


def test_no_space_is_said_before_anything_is_fetched(server: HubServer, tmp_path: Path) -> None:
    with pytest.raises(AppError) as caught:
        download(server, tmp_path, options=with_options(space_floor_bytes=1 << 60))
    assert caught.value.spec is errors.NO_SPACE
    assert "GB (with 1152921504.6 GB to spare) needed, " in caught.value.message
    assert server.requests == []
    assert files_below(tmp_path) == []


def test_a_size_that_no_disk_holds_is_refused_without_reserving_it(server: HubServer, tmp_path: Path) -> None:
    request = request_for(server, tmp_path)
    huge = FileRequest(REPO, request.commit, type(request.file)(path=NAME, size_bytes=1 << 43, sha256=SHA256), request.target)
    with pytest.raises(AppError) as caught:
        download(server, tmp_path, request=huge)
    assert caught.value.spec is errors.NO_SPACE
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 10_000


def test_require_space_counts_margin_and_floor(tmp_path: Path) -> None:
    free = free_bytes(tmp_path)
    require_space(tmp_path, 0)
    require_space(tmp_path / "not" / "yet", free // 2, floor_bytes=0)
    with pytest.raises(AppError):
        require_space(tmp_path, free // 2, floor_bytes=free)
    with pytest.raises(AppError) as caught:
        require_space(tmp_path, int(free * 0.99) + GB, floor_bytes=0)
    assert caught.value.spec is errors.NO_SPACE


def test_what_is_said_to_be_needed_is_more_than_what_is_said_to_be_free(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _place: SimpleNamespace(free=419_000_000))
    with pytest.raises(AppError) as caught:
        require_space(tmp_path, 98_000_000)
    assert "1.1 GB (with 1.0 GB to spare) needed, 419 MB free" in caught.value.message


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 600 kB; skipped where this user may not mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    if mount is None or subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(place)], capture_output=True, check=False
    ).returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fills_up_keeps_what_arrived_and_goes_on_later(
    server: HubServer, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("localai_app.hub.space.free_bytes", lambda _: 1 << 50)
    with pytest.raises(AppError) as caught:
        download(server, small_disk)
    assert caught.value.spec is errors.DISK_FULL
    kept = partial_bytes(small_disk / REPO / NAME)
    assert 200_000 < kept < 620_000
    assert len(server.body_requests()) == 1
    with pytest.raises(AppError) as caught:
        download(server, small_disk)
    assert caught.value.spec is errors.DISK_FULL
    assert partial_bytes(small_disk / REPO / NAME) >= kept
    subprocess.run(["mount", "-o", "remount,size=2m", str(small_disk)], check=True)
    assert download(server, small_disk).read_bytes() == MODEL


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX limits")
def test_a_limit_on_the_size_of_files_is_said_as_such_and_keeps_what_arrived(server: HubServer, tmp_path: Path) -> None:
    assert run_program(server, tmp_path, "--file-limit", "400000") == errors.FILE_TOO_LARGE_FOR_DISK.code
    assert 300_000 <= partial_bytes(tmp_path / REPO / NAME) <= 400_000
    assert run_program(server, tmp_path) == "done"
    assert (tmp_path / REPO / NAME).read_bytes() == MODEL


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX permissions")
def test_a_folder_that_cannot_be_written_to(server: HubServer) -> None:
    # Root may write anywhere, and other users cannot reach into the folder of the tests.
    options = ["--user", str(NOBODY)] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory() as models:
        Path(models).chmod(0o555)
        assert run_program(server, Path(models), *options) == errors.FOLDER_READ_ONLY.code
        Path(models).chmod(0o755)


def test_a_models_folder_that_is_not_there_is_not_made_anew(server: HubServer, tmp_path: Path) -> None:
    models = tmp_path / "drive"
    request = request_for(server, models)
    there = FileRequest(request.repo_id, request.commit, request.file, request.target, models_folder=models)
    with pytest.raises(AppError) as caught:
        download(server, models, request=there)
    assert caught.value.spec is errors.FOLDER_MISSING
    assert not models.exists()


def test_a_file_where_the_folder_should_be(server: HubServer, tmp_path: Path) -> None:
    (tmp_path / "tiny").write_text("in the way")
    with pytest.raises(AppError) as caught:
        download(server, tmp_path)
    assert caught.value.spec in (errors.FOLDER_MISSING, errors.TRANSFER_FAILED)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not remove a folder with an open file")
def test_a_folder_that_goes_away_on_the_way(server: HubServer, tmp_path: Path) -> None:
    server.bytes_per_s = 500_000
    recorder = Recorder()
    failures: list[AppError] = []

    def run() -> None:
        try:
            download(server, tmp_path / "models", recorder=recorder)
        except AppError as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while not any(progress.done > 100_000 for progress in list(recorder.seen)):
        time.sleep(0.01)
    shutil.rmtree(tmp_path / "models")
    thread.join()
    assert [error.spec for error in failures] == [errors.FOLDER_MISSING]


def test_a_folder_with_spaces_and_foreign_letters(server: HubServer, tmp_path: Path) -> None:
    assert download(server, tmp_path / "Модели и 模型 ü").read_bytes() == MODEL


def test_the_finished_file_replaces_a_damaged_one(server: HubServer, tmp_path: Path) -> None:
    target = tmp_path / REPO / NAME
    target.parent.mkdir(parents=True)
    target.write_bytes(b"GGUF damaged")
    assert download(server, tmp_path).read_bytes() == MODEL


def test_a_cancelled_token_means_nothing_is_done(server: HubServer, tmp_path: Path) -> None:
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        download_file(
            HubClient(server.endpoint), request_for(server, tmp_path), on_progress=Recorder(), cancel=cancel, options=QUICK)
    assert server.requests == []
    assert files_below(tmp_path) == []

"""Downloads against a Hub on loopback: finished, paused, resumed after a restart, failed in words, cancelled."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from localai_app.services.events import DownloadFinished, LibraryChanged
from localai_app.services.views import DownloadStatus
from tests.helpers.gguf_files import write_tiny_gguf
from tests.helpers.hub_server import HubServer, RepoFixture
from tests.helpers.services_fixture import EventRecorder, open_services, wait_until

REPO = "tester/Tiny-GGUF"
LABEL = "Q8_0"
FILE = "tiny-Q8_0.gguf"


@pytest.fixture
def model_bytes(tmp_path: Path) -> bytes:
    path = write_tiny_gguf(tmp_path / "source.gguf")
    return path.read_bytes()


@pytest.fixture
def hub(model_bytes: bytes, monkeypatch: pytest.MonkeyPatch):
    with HubServer({REPO: RepoFixture({FILE: model_bytes + os.urandom(4_000_000)})}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        yield server


def test_a_download_ends_in_the_library(tmp_path: Path, hub: HubServer) -> None:
    with open_services(tmp_path / "data") as services:
        recorder = EventRecorder(services)
        download_id = services.downloads.start(REPO, LABEL)
        finished = recorder.wait_for(DownloadFinished)
        assert finished.download_id == download_id
        assert finished.model_key == f"{REPO}:{LABEL}"
        assert services.library.get(finished.model_key).paths[0].name == FILE
        assert services.downloads.downloads() == ()
        assert recorder.of(LibraryChanged)
        assert services.store.downloads.list() == ()


def test_the_same_variant_twice_is_one_download(tmp_path: Path, hub: HubServer) -> None:
    hub.bytes_per_s = 1_000_000
    with open_services(tmp_path / "data") as services:
        first = services.downloads.start(REPO, LABEL)
        assert services.downloads.start(REPO, LABEL) == first
        assert len(services.downloads.downloads()) == 1


def test_pause_keeps_what_came_and_resume_goes_on_from_there(tmp_path: Path, hub: HubServer) -> None:
    hub.bytes_per_s = 2_000_000
    with open_services(tmp_path / "data") as services:
        recorder = EventRecorder(services)
        download_id = services.downloads.start(REPO, LABEL)
        wait_until(lambda: _done_bytes(services, download_id) > 1_000_000)
        services.downloads.pause(download_id)
        view = services.downloads.get(download_id)
        assert view is not None
        assert view.status is DownloadStatus.PAUSED
        hub.bytes_per_s = 0
        services.downloads.resume(download_id)
        recorder.wait_for(DownloadFinished)
    assert _resumed_offsets(hub)


def test_an_unfinished_download_goes_on_at_the_next_start(tmp_path: Path, hub: HubServer) -> None:
    hub.bytes_per_s = 2_000_000
    with open_services(tmp_path / "data") as services:
        download_id = services.downloads.start(REPO, LABEL)
        wait_until(lambda: _done_bytes(services, download_id) > 1_000_000)
    hub.bytes_per_s = 0
    with open_services(tmp_path / "data") as services:
        recorder = EventRecorder(services)
        services.downloads.start_pending()
        finished = recorder.wait_for(DownloadFinished)
        assert services.library.get(finished.model_key).is_complete
    assert _resumed_offsets(hub)


def test_cancel_removes_what_came(tmp_path: Path, hub: HubServer) -> None:
    hub.bytes_per_s = 2_000_000
    with open_services(tmp_path / "data") as services:
        download_id = services.downloads.start(REPO, LABEL)
        wait_until(lambda: _done_bytes(services, download_id) > 500_000)
        services.downloads.cancel(download_id)
        wait_until(lambda: not list((tmp_path / "data" / "models").rglob("*.part")))
        assert services.downloads.downloads() == ()
        assert services.store.downloads.list() == ()


def test_a_damaged_transfer_fails_in_words_and_resume_tries_again(tmp_path: Path, hub: HubServer, expect_log) -> None:
    expect_log("failed: .* arrived damaged")
    expect_log(r"arrived damaged|checksum|again")
    hub.fail(f"*{FILE}", "corrupt@1000", times=2)
    with open_services(tmp_path / "data") as services:
        recorder = EventRecorder(services)
        download_id = services.downloads.start(REPO, LABEL)
        wait_until(lambda: _status(services, download_id) is DownloadStatus.FAILED)
        view = services.downloads.get(download_id)
        assert view is not None
        assert view.error is not None
        assert view.error.code == "hash_mismatch"
        assert services.library.models() == ()
        services.downloads.resume(download_id)
        recorder.wait_for(DownloadFinished)


@pytest.mark.parametrize(("repo_id", "label", "code"), [
    ("tester/absent-GGUF", None, "repo_unknown"),
    (REPO, "Q2_K", "variant_unknown"),
])
def test_what_is_not_there_is_named(
    tmp_path: Path, hub: HubServer, expect_log, repo_id: str, label: str | None, code: str,
) -> None:
    expect_log("download of .* failed")
    with open_services(tmp_path / "data") as services:
        download_id = services.downloads.start(repo_id, label)
        wait_until(lambda: _status(services, download_id) is DownloadStatus.FAILED)
        view = services.downloads.get(download_id)
        assert view is not None
        assert view.error is not None
        assert view.error.code == code


def test_no_network_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expect_log) -> None:
    expect_log("download of .* failed")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with open_services(tmp_path / "data") as services:
        download_id = services.downloads.start(REPO, LABEL)
        wait_until(lambda: _status(services, download_id) is DownloadStatus.FAILED, 60)
        view = services.downloads.get(download_id)
        assert view is not None
        assert view.error is not None
        assert view.error.code == "hub_unreachable"


def test_a_missing_models_folder_is_named(tmp_path: Path, hub: HubServer, expect_log) -> None:
    expect_log("download of .* failed")
    with open_services(tmp_path / "data") as services:
        chosen = tmp_path / "drive"
        chosen.mkdir()
        services.settings.set("models_folder", str(chosen))
        chosen.rmdir()
        download_id = services.downloads.start(REPO, LABEL)
        wait_until(lambda: _status(services, download_id) is DownloadStatus.FAILED)
        view = services.downloads.get(download_id)
        assert view is not None
        assert view.error is not None
        assert view.error.code == "folder_missing"


def test_what_another_command_began_a_moment_ago_is_remembered_once(
        tmp_path: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_services(tmp_path / "data") as services:
        ask, records = services.hub.repo, services.store.downloads

        def asked_by_both(repo_id: str) -> object:
            repo = ask(repo_id)
            (variant,) = repo.variants
            records.add(repo_id=repo.repo_id, commit=repo.commit, label=variant.label, files=tuple(
                (file.path, file.size_bytes, file.sha256) for file in variant.files))
            return repo

        monkeypatch.setattr(services.hub, "repo", asked_by_both)
        recorder = EventRecorder(services)
        services.downloads.start(REPO, LABEL)
        recorder.wait_for(DownloadFinished)
        assert records.list() == ()


def _done_bytes(services, download_id: int) -> int:
    view = services.downloads.get(download_id)
    return view.done_bytes if view is not None else 0


def _status(services, download_id: int) -> DownloadStatus | None:
    view = services.downloads.get(download_id)
    return view.status if view is not None else None


def _resumed_offsets(hub: HubServer) -> list[str]:
    return [record.range for record in hub.requests if record.range and not record.range.startswith("bytes=0-")]

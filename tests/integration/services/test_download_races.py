"""Downloads under quick and contradicting wishes, and beside another process that wants the same file."""

from __future__ import annotations

import os
import socket
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from localai_app.services.app_services import AppServices
from localai_app.services.events import DownloadChanged, DownloadFinished, Event, LibraryChanged
from localai_app.services.views import DownloadStatus
from tests.helpers.gguf_files import write_tiny_gguf
from tests.helpers.hub_server import HubServer, RepoFixture
from tests.helpers.services_fixture import EventRecorder, open_services, wait_until

OWNER = "tester"
LABEL = "Q8_0"


def repo(name: str) -> str:
    return f"{OWNER}/{name}-GGUF"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    header = write_tiny_gguf(tmp_path / "source.gguf").read_bytes()
    repos = {repo(name): RepoFixture({f"{name}-Q8_0.gguf": header + os.urandom(3_000_000)}) for name in ("One", "Two", "Three")}
    with HubServer(repos, bytes_per_s=3_000_000) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        yield server


def status(services: AppServices, download_id: int) -> DownloadStatus | None:
    view = services.downloads.get(download_id)
    return view.status if view is not None else None


def wait_for_bytes(services: AppServices, download_id: int, at_least: int = 300_000) -> None:
    def arrived() -> bool:
        view = services.downloads.get(download_id)
        return view is not None and view.done_bytes >= at_least

    wait_until(arrived)


def part_files(folder: Path) -> list[str]:
    """What is left of unfinished downloads."""
    return [path.name for path in folder.rglob("*") if path.is_file() and "Q8_0" in path.name and path.suffix != ".gguf"]


def test_pausing_and_resuming_very_often_still_ends_with_the_model(tmp_path: Path, hub: HubServer) -> None:
    with open_services(tmp_path / "data") as services:
        recorder = EventRecorder(services)
        download_id = services.downloads.start(repo("One"), LABEL)
        wait_for_bytes(services, download_id)
        for _ in range(40):
            services.downloads.pause(download_id)
            services.downloads.resume(download_id)
            time.sleep(0.005)
        hub.bytes_per_s = 0
        assert recorder.wait_for(DownloadFinished).download_id == download_id
        assert services.store.downloads.list() == ()


def test_a_pause_that_is_taken_back_at_once_does_not_leave_a_download_that_nobody_works_on(
    tmp_path: Path, hub: HubServer,
) -> None:
    with open_services(tmp_path / "data") as services:
        recorder = EventRecorder(services)
        download_id = services.downloads.start(repo("One"), LABEL)
        toggled: list[int] = []

        def on_event(event: Event) -> None:
            # In the transfer's own thread: between a progress report and its look at the pause.
            if isinstance(event, DownloadChanged) and len(toggled) < 3 and (
                    status(services, download_id) is DownloadStatus.DOWNLOADING):
                toggled.append(1)
                services.downloads.pause(download_id)
                services.downloads.resume(download_id)

        services.events.subscribe(on_event)
        recorder.wait_for(DownloadFinished)
        assert len(toggled) == 3


def test_cancelling_and_starting_again_at_once_downloads_from_the_beginning(tmp_path: Path, hub: HubServer) -> None:
    with open_services(tmp_path / "data") as services:
        recorder = EventRecorder(services)
        for _ in range(5):
            download_id = services.downloads.start(repo("One"), LABEL)
            wait_for_bytes(services, download_id)
            services.downloads.cancel(download_id)
            assert services.downloads.get(download_id) is None
        last = services.downloads.start(repo("One"), LABEL)
        hub.bytes_per_s = 0
        assert recorder.wait_for(DownloadFinished).download_id == last
        assert part_files(tmp_path / "data") == []


def test_the_third_download_waits_and_takes_the_place_of_one_that_is_paused_or_cancelled(
    tmp_path: Path, hub: HubServer,
) -> None:
    with open_services(tmp_path / "data") as services:
        first, second, third = (services.downloads.start(repo(name), LABEL) for name in ("One", "Two", "Three"))
        wait_for_bytes(services, first, 1)
        wait_for_bytes(services, second, 1)
        assert status(services, third) is DownloadStatus.WAITING
        services.downloads.pause(first)
        wait_for_bytes(services, third, 1)
        services.downloads.resume(first)
        assert status(services, first) is DownloadStatus.WAITING
        services.downloads.cancel(second)
        wait_until(lambda: status(services, first) in (DownloadStatus.DOWNLOADING, DownloadStatus.VERIFYING, None))


def test_cancelling_while_the_hub_is_asked_leaves_nothing(tmp_path: Path, hub: HubServer) -> None:
    with open_services(tmp_path / "data") as services:
        for number in range(10):
            download_id = services.downloads.start(repo("One"), LABEL)
            time.sleep(number * 0.005)
            services.downloads.cancel(download_id)
        wait_until(lambda: not [one for one in threading.enumerate() if one.name.startswith("download-")])
        assert services.downloads.downloads() == ()
        assert services.store.downloads.list() == ()
        assert part_files(tmp_path / "data") == []


def test_spam_from_several_threads_ends_in_order(tmp_path: Path, hub: HubServer) -> None:
    hub.bytes_per_s = 0
    with open_services(tmp_path / "data") as services:
        def spam(name: str) -> None:
            for number in range(15):
                download_id = services.downloads.start(repo(name), LABEL)
                (services.downloads.pause, services.downloads.resume, services.downloads.cancel)[number % 3](download_id)

        threads = [threading.Thread(target=spam, args=(name,)) for name in ("One", "Two", "One")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for name in ("One", "Two", "Three"):
            services.downloads.start(repo(name), LABEL)
        wait_until(lambda: services.downloads.downloads() == (), what=lambda: str(services.downloads.downloads()))
        assert {model.repo_id for model in services.library.models()} == {repo("One"), repo("Two"), repo("Three")}


@pytest.mark.parametrize("moment", ["transferring", "asking"])
def test_closing_is_quick_and_the_download_goes_on_at_the_next_start(tmp_path: Path, hub: HubServer, moment: str) -> None:
    with open_services(tmp_path / "data") as services:
        download_id = services.downloads.start(repo("One"), LABEL)
        if moment == "transferring":
            wait_for_bytes(services, download_id)
        started_s = time.monotonic()
        services.close()
        assert time.monotonic() - started_s < 2.0
    with closing(sqlite3.connect(services.paths.store_file)) as store:
        states = [state for (state,) in store.execute("SELECT state FROM downloads")]
    assert states == (["active"] if moment == "transferring" else [])


def test_a_file_that_another_process_downloads_is_named_busy_and_left_alone(
    tmp_path: Path, hub: HubServer, expect_log: Any,
) -> None:
    expect_log("already being downloaded")
    with open_services(tmp_path / "data") as first, open_services(tmp_path / "data") as second:
        recorder = EventRecorder(first)
        download_id = first.downloads.start(repo("One"), LABEL)
        wait_for_bytes(first, download_id)
        other_id = second.downloads.start(repo("One"), LABEL)
        wait_until(lambda: status(second, other_id) is DownloadStatus.FAILED)
        view = second.downloads.get(other_id)
        assert view is not None
        assert view.error is not None
        assert view.error.code == "download_busy"
        assert [record.state for record in first.store.downloads.list()] == ["active"]
        hub.bytes_per_s = 0
        recorder.wait_for(DownloadFinished)


def test_a_store_that_cannot_be_written_does_not_end_a_download(tmp_path: Path, hub: HubServer, expect_log: Any) -> None:
    expect_log("could not be stored|off the list")
    with open_services(tmp_path / "data") as services:
        recorder = EventRecorder(services)
        download_id = services.downloads.start(repo("One"), LABEL)
        wait_for_bytes(services, download_id)
        services.store.downloads._connection._connection.execute("PRAGMA query_only = ON")
        services.downloads.pause(download_id)
        services.downloads.resume(download_id)
        hub.bytes_per_s = 0
        assert recorder.wait_for(DownloadFinished).model_key == f"{repo('One')}:{LABEL}"


def test_a_name_in_other_letters_is_the_same_model_in_the_same_folder(tmp_path: Path, hub: HubServer) -> None:
    hub.bytes_per_s = 0
    with open_services(tmp_path / "data") as services:
        recorder = EventRecorder(services)
        services.downloads.start(repo("One").upper(), LABEL.lower())
        assert recorder.wait_for(DownloadFinished).model_key == f"{repo('One')}:{LABEL}"
        services.downloads.start(repo("One").lower(), LABEL)
        assert recorder.wait_for(DownloadFinished, 2).model_key == f"{repo('One')}:{LABEL}"
        assert len(services.library.models()) == 1


def test_a_hub_that_never_answers_does_not_hold_up_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with open_services(tmp_path / "data") as services:
            services.downloads.start(repo("One"), LABEL)
            connection, _address = silent.accept()
            assert connection.recv(100)
            started_s = time.monotonic()
            services.close()
            assert time.monotonic() - started_s < 2.0
        # Only now, with the store closed, does the question end; its thread must go without a word.
        connection.close()
    wait_until(lambda: not [one for one in threading.enumerate() if one.name.startswith("download-")])


def test_the_end_waits_for_what_a_finished_download_still_tells(tmp_path: Path, hub: HubServer) -> None:
    hub.bytes_per_s = 0
    is_telling = threading.Event()

    def listen_slowly(event: Event) -> None:
        if isinstance(event, LibraryChanged):
            is_telling.set()
            time.sleep(0.3)

    with open_services(tmp_path / "data") as services:
        services.events.subscribe(listen_slowly)
        services.downloads.start(repo("One"), LABEL)
        assert is_telling.wait(20)
        services.close()
        assert not [one for one in threading.enumerate() if one.name.startswith("download-")]

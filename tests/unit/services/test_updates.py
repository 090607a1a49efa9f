"""Looking for newer versions: when somebody is asked, what is believed, what is downloaded."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localai_app import errors
from localai_app.errors import AppError, ErrorSpec
from localai_app.progress import Progress
from localai_app.services.installation import Installation, InstallationKind
from localai_app.services.update_memory import UpdateMemory
from localai_app.services.update_steps import UpdateStatus
from localai_app.services.update_words import status_words
from tests.helpers.file_server import wait_for
from tests.helpers.signing import SigningKey, artefact, at, release
from tests.helpers.update_services import PACKAGE, Publisher, a_day_passes, program, publisher


@pytest.fixture
def house() -> Iterator[Publisher]:
    with publisher() as running:
        yield running


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every attempt to reach anybody, or to look a name up."""
    tried: list[object] = []

    def trap(*arguments: Any, **_options: Any) -> Any:
        tried.append(arguments[-1])
        raise OSError("trapped")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, trap)
    monkeypatch.setattr(socket, "getaddrinfo", trap)
    return tried


def check_failure(folder: Path, house: Publisher) -> AppError:
    with program(folder, house) as running, pytest.raises(AppError) as caught:
        running.updates.check()
    return caught.value


def test_a_newer_version_is_found_with_its_size_and_notes(tmp_path: Path, house: Publisher) -> None:
    house.publish(notes="- better")
    with program(tmp_path, house) as running:
        assert running.updates.state.status is UpdateStatus.UNKNOWN
        state = running.updates.check()
    assert (state.status, state.is_hidden) == (UpdateStatus.AVAILABLE, False)
    assert state.offer is not None
    assert state.offer.artefact is not None
    assert (state.offer.version, state.offer.notes, state.offer.artefact.size_bytes) == ("99.0", "- better", len(PACKAGE))


def test_the_same_or_an_older_version_is_nothing_new(tmp_path: Path, house: Publisher) -> None:
    for number, version in enumerate(("0.1.0", "0.0.9", "0.1.0rc5"), 1):
        house.publish(number, version)
        with program(tmp_path, house) as running:
            assert (running.updates.check().status, running.updates.state.offer) == (UpdateStatus.CURRENT, None)


def test_nobody_is_asked_without_an_address_or_against_the_wish(
    tmp_path: Path, house: Publisher, no_network: list[object],
) -> None:
    with program(tmp_path, None) as running:
        running.updates.start()
        running.updates.check_now()
        with pytest.raises(AppError) as caught:
            running.updates.check()
        assert (caught.value.spec, running.updates.state.status) == (errors.NOTHING_TO_ASK, UpdateStatus.NOT_CONFIGURED)
    with program(tmp_path, house) as running:
        running.settings.set("check_for_updates", False)
        running.updates.start()
        running.updates.check_now()
        running.updates.start_download()
        for call in (running.updates.check, lambda: running.updates.download(lambda _progress: None)):
            with pytest.raises(AppError) as caught:
                call()
            assert caught.value.spec is errors.UPDATES_OFF
        assert running.updates.state.status is UpdateStatus.OFF
    assert no_network == []
    with program(tmp_path, house) as running:
        running.settings.set("check_for_updates", True)
        with pytest.raises(AppError):
            running.updates.check()
    assert no_network != []


def test_it_asks_once_a_day_and_keeps_what_it_found(tmp_path: Path, house: Publisher) -> None:
    house.publish()
    with program(tmp_path, house) as running:
        running.updates.start()
        wait_for(lambda: running.updates.state.status is UpdateStatus.AVAILABLE)
    for _start in range(2):
        with program(tmp_path, house) as running:
            running.updates.start()
            wait_for(lambda: running.updates.state.status is UpdateStatus.AVAILABLE)
    assert house.count() == 1
    house.publish(2, "99.1")
    with program(tmp_path, house) as running:
        a_day_passes(running)
        running.updates.start()
        wait_for(lambda: running.updates.state.offer is not None and running.updates.state.offer.version == "99.1")
    assert house.count() == 2


def test_a_clock_set_to_the_future_and_back_does_not_end_the_looking(tmp_path: Path) -> None:
    memory = UpdateMemory(tmp_path / "updates.json", tmp_path / "list")
    (tmp_path / "updates.json").write_text('{"asked": "2199-01-01T00:00:00Z"}')
    assert memory.pause_s(100.0) == 0.0
    (tmp_path / "updates.json").write_text('{"asked": "2001-01-01T00:00:00Z"}')
    assert memory.pause_s(100.0) < 0
    for damaged in ("", "{", '{"asked": 5}', '{"asked": "2001-01-01T00:00:00"}', "\xff" * 10):
        (tmp_path / "updates.json").write_text(damaged)
        assert memory.pause_s(100.0) == 0.0


def test_turning_it_off_ends_a_request_at_once(tmp_path: Path, house: Publisher) -> None:
    house.publish(notes="x" * 40_000)
    house.server.served["/release.json"].drip_s = 0.2
    with program(tmp_path, house) as running:
        running.updates.start()
        wait_for(lambda: house.count() == 1)
        running.settings.set("check_for_updates", False)
        wait_for(lambda: running.updates.state.status is UpdateStatus.OFF)
        assert running.updates.state.offer is None
        house.publish(notes="")
        running.settings.set("check_for_updates", True)
        wait_for(lambda: running.updates.state.status is UpdateStatus.AVAILABLE)


def test_a_server_out_of_reach_counts_as_not_asked(tmp_path: Path, house: Publisher) -> None:
    house.publish()
    house.server.served["/release.json"].cut_after = [10]
    assert check_failure(tmp_path, house).spec is errors.SOURCE_UNREACHABLE
    with program(tmp_path, house) as running:
        assert running.memory.read().asked is None
        assert running.updates.check().status is UpdateStatus.AVAILABLE


@pytest.mark.parametrize(
    ("change", "spec"),
    [
        (lambda house: house.server.serve("/release.json", SigningKey().sign(release(9, "99.9"))), errors.SIGNATURE_INVALID),
        (lambda house: house.publish(4, "99.9"), errors.SIGNED_DOCUMENT_ROLLED_BACK),
        (lambda house: house.publish(9, "99.9", published=at(-5), expires=at(-1)), errors.SIGNED_DOCUMENT_EXPIRED),
        (lambda house: house.publish(9, "ninety"), errors.SIGNED_DOCUMENT_INVALID),
        (lambda house: house.server.serve("/release.json", b"<!doctype html><p>Log in"), errors.SOURCE_BAD_ANSWER),
        (lambda house: house.server.served.clear(), errors.SOURCE_REFUSED),
    ],
)
def test_what_cannot_be_believed_changes_nothing(tmp_path: Path, house: Publisher, change: Any, spec: ErrorSpec) -> None:
    house.publish(5, "99.0")
    with program(tmp_path, house) as running:
        running.updates.check()
        change(house)
        with pytest.raises(AppError) as caught:
            running.updates.check()
        state = running.updates.state
        assert (caught.value.spec, state.error, state.status) == (spec, caught.value, UpdateStatus.AVAILABLE)
        assert state.offer is not None
        assert state.offer.version == "99.0"
    with program(tmp_path, house) as running:
        running.updates.start()
        wait_for(lambda: running.updates.state.offer is not None)


def test_a_refused_list_does_not_make_this_version_the_newest(tmp_path: Path, house: Publisher) -> None:
    house.publish(published=at(-5), expires=at(-1))
    for _start in range(2):
        with program(tmp_path, house) as running:
            running.updates.start()
            running.updates.check_now()
            wait_for(lambda: running.updates.state.asked is not None and not running.updates.state.is_busy)
            assert running.updates.state.status is UpdateStatus.UNKNOWN
            assert "not known" in status_words(running.updates.state, "0.1.0")


@pytest.mark.parametrize(
    ("installation", "changes", "spec"),
    [
        (Installation(InstallationKind.SOURCE, "linux-x64"), {}, errors.UPDATE_FROM_SOURCE),
        (Installation(InstallationKind.DEB, "linux-arm64"), {}, errors.UPDATE_NOT_FOR_THIS),
        (Installation(InstallationKind.SETUP, "windows-x64"), {}, errors.UPDATE_NOT_FOR_THIS),
        (Installation(InstallationKind.DEB, "linux-x64"), {"minimum_version": "99.1", "minimum_system": "glibc 99.1"},
         errors.UPDATE_NEEDS_NEWER_SYSTEM),
    ],
)
def test_a_version_that_cannot_run_here_is_told_and_not_downloaded(
    tmp_path: Path, house: Publisher, installation: Installation, changes: dict[str, str], spec: ErrorSpec,
) -> None:
    house.publish(artefacts=[artefact(PACKAGE, **changes)])
    with program(tmp_path, house, installation=installation) as running:
        offer = running.updates.check().offer
        assert offer is not None
        assert offer.obstacle is not None
        assert (offer.version, offer.obstacle.spec, offer.artefact) == ("99.0", spec, None)
        with pytest.raises(AppError) as caught:
            running.updates.download(lambda _progress: None)
        assert caught.value.spec is spec
    assert house.count("/files/localai-app.deb") == 0


def test_an_installer_is_downloaded_verified_and_found_again(tmp_path: Path, house: Publisher) -> None:
    house.publish()
    told: list[Progress] = []
    with program(tmp_path, house) as running:
        running.updates.check()
        path = running.updates.download(told.append)
        assert (path.read_bytes(), path.name) == (PACKAGE, "localai-app.deb")
        assert sys.platform == "win32" or path.parent.stat().st_mode & 0o777 == 0o700
        assert (running.updates.state.status, running.updates.state.file) == (UpdateStatus.DOWNLOADED, path)
        assert told[-1] == Progress(len(PACKAGE), len(PACKAGE))
    with program(tmp_path, house) as running:
        running.updates.start()
        wait_for(lambda: running.updates.state.status is UpdateStatus.DOWNLOADED)
        (path.parent / "old.deb").write_text("")
        house.publish(2, "99.1", content=b"other")
        assert running.updates.check().status is UpdateStatus.AVAILABLE
        assert not (path.parent / "old.deb").exists()
        running.updates.download(told.append)
        house.publish(3, "0.1.0")
        assert running.updates.check().status is UpdateStatus.CURRENT
        assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("content", [PACKAGE[:-1] + b"\0", PACKAGE + b"\0", PACKAGE[:-1]])
def test_another_file_than_the_signed_one_is_refused(tmp_path: Path, house: Publisher, content: bytes) -> None:
    house.publish()
    house.server.serve("/files/localai-app.deb", content)
    with program(tmp_path, house) as running:
        running.updates.check()
        with pytest.raises(AppError) as caught:
            running.updates.download(lambda _progress: None)
        assert caught.value.spec is errors.DOWNLOAD_DAMAGED
        assert (running.updates.state.file, running.updates.state.status) == (None, UpdateStatus.AVAILABLE)
        assert running.updates.state.error is caught.value


def test_a_download_in_the_background_is_cancelled_and_goes_on(tmp_path: Path, house: Publisher) -> None:
    house.publish()
    house.server.served["/files/localai-app.deb"].drip_s = 0.02
    with program(tmp_path, house) as running:
        running.updates.check()
        running.updates.start_download()
        running.updates.start_download()
        wait_for(lambda: running.updates.state.progress.done > 5000)
        assert running.updates.state.status is UpdateStatus.DOWNLOADING
        running.updates.cancel()
        wait_for(lambda: running.updates.state.status is UpdateStatus.AVAILABLE)
        house.server.served["/files/localai-app.deb"].drip_s = 0.0
        wait_for(lambda: _started(running))
        wait_for(lambda: running.updates.state.status is UpdateStatus.DOWNLOADED)
    assert house.count("/files/localai-app.deb") == 2


def test_the_look_after_the_start_leaves_a_download_alone(tmp_path: Path, house: Publisher) -> None:
    house.publish()
    house.server.served["/files/localai-app.deb"].drip_s = 0.02
    seen: list[UpdateStatus] = []
    with program(tmp_path, house) as running:
        running.updates.check()
        running.updates.start_download()
        wait_for(lambda: running.updates.state.progress.done > 5000)
        running.events.subscribe(lambda _event: seen.append(running.updates.state.status))
        running.updates.start()
        done = running.updates.state.progress.done
        wait_for(lambda: running.updates.state.progress.done > done + 20_000)
        assert set(seen) == {UpdateStatus.DOWNLOADING}
        running.updates.cancel()


def _started(running: Any) -> bool:
    running.updates.start_download()
    return bool(running.updates.state.is_busy or running.updates.state.file)


def test_a_version_that_was_skipped_is_hidden_and_the_next_one_is_not(tmp_path: Path, house: Publisher) -> None:
    house.publish()
    with program(tmp_path, house) as running:
        running.updates.check()
        running.updates.hide()
        assert running.updates.state.is_hidden
    with program(tmp_path, house) as running:
        assert not running.updates.check().is_hidden
        running.updates.skip()
        assert running.updates.state.is_hidden
    with program(tmp_path, house) as running:
        assert running.updates.check().is_hidden
        house.publish(2, "99.1")
        assert not running.updates.check().is_hidden

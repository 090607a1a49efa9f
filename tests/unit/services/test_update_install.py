"""Handing a downloaded installer to the system: the very bytes that were signed, or nothing."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

from localai_app import errors
from localai_app.errors import AppError
from localai_app.release.release_document import Artefact
from localai_app.services.installation import (
    InstallationKind,
    appimage_file,
    is_system_old,
    this_installation,
)
from localai_app.services.update_install import hand_words, install, plan_words, system_environment
from tests.helpers.file_server import wait_for
from tests.helpers.update_services import program, publisher

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="starts programs of a POSIX system")

CONTENT = b"an installer" * 1000


def artefact_of(name: str, content: bytes = CONTENT) -> Artefact:
    return Artefact(
        platform="linux-x64-deb", file_name=name, url="https://example.com/x", size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "updates" / "localai-app.deb"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the system was asked to open is written here, by programs with the names of the system's own."""
    record, folder = tmp_path / "opened", tmp_path / "bin"
    folder.mkdir()
    for name in ("xdg-open", "open"):
        (folder / name).write_text(f'#!/bin/sh\necho "$0 $1" > {record}.new\nmv {record}.new {record}\n')
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return record


@pytest.mark.parametrize(
    ("kind", "program_name", "is_folder"),
    [
        (InstallationKind.DEB, "xdg-open", False), (InstallationKind.DMG, "open", False),
        (InstallationKind.TAR, "xdg-open", True),
    ],
)
def test_the_file_is_opened_by_the_system(
    kind: InstallationKind, program_name: str, is_folder: bool, file: Path, opened: Path,
) -> None:
    assert not install(kind, file, artefact_of(file.name)).ends_program
    wait_for(opened.exists)
    program, what = opened.read_text().split()
    assert Path(program).name == program_name
    assert Path(what) == (file.parent if is_folder else file)
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_setup_is_started_and_ends_the_program(tmp_path: Path) -> None:
    script = f"#!/bin/sh\ntouch {tmp_path / 'started'}\n".encode()
    setup = tmp_path / "updates" / "setup.exe"
    setup.parent.mkdir()
    setup.write_bytes(script)
    setup.chmod(0o755)
    assert install(InstallationKind.SETUP, setup, artefact_of(setup.name, script)).ends_program
    wait_for((tmp_path / "started").exists)


@pytest.mark.parametrize("change", ["other bytes", "longer", "link", "gone", "folder", "pipe"])
def test_a_file_that_was_swapped_after_the_download_is_refused(file: Path, opened: Path, tmp_path: Path, change: str) -> None:
    file.unlink()
    match change:
        case "other bytes":
            file.write_bytes(CONTENT[:-1] + b"!")
        case "longer":
            file.write_bytes(CONTENT + b"!")
        case "link":
            (tmp_path / "elsewhere").write_bytes(CONTENT)
            file.symlink_to(tmp_path / "elsewhere")
        case "folder":
            file.mkdir()
        case "pipe":
            os.mkfifo(file)
    with pytest.raises(AppError) as caught:
        install(InstallationKind.DEB, file, artefact_of(file.name))
    assert caught.value.spec is errors.UPDATE_CHANGED
    assert not opened.exists()
    assert not file.is_file()
    if change == "link":
        assert (tmp_path / "elsewhere").read_bytes() == CONTENT


def test_the_service_forgets_a_swapped_file_and_offers_the_download_again(tmp_path: Path, opened: Path) -> None:
    with publisher() as house, program(tmp_path, house) as running:
        house.publish()
        with pytest.raises(AppError, match="no newer version"):
            running.updates.install()
        running.updates.check()
        path = running.updates.download(lambda _progress: None)
        path.write_bytes(b"\0" * path.stat().st_size)
        with pytest.raises(AppError) as caught:
            running.updates.install()
        assert (caught.value.spec, running.updates.state.file) == (errors.UPDATE_CHANGED, None)
        running.updates.download(lambda _progress: None)
        assert running.updates.install().sentence
        wait_for(opened.exists)


def test_a_system_without_the_program_that_opens_files_says_what_to_do(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(file.parent))
    with pytest.raises(AppError) as caught:
        install(InstallationKind.DEB, file, artefact_of(file.name))
    assert caught.value.spec is errors.UPDATE_NOT_STARTED
    assert str(file) in caught.value.action
    assert file.exists()


def started_from(mounted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPDIR", str(mounted))
    monkeypatch.setattr(sys, "executable", str(mounted / "usr" / "localai-app"))


def test_an_appimage_is_replaced_by_the_verified_bytes(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = tmp_path / "apps" / "Local AI.AppImage"
    running.parent.mkdir()
    running.write_bytes(b"old")
    running.chmod(0o755)
    monkeypatch.setenv("APPIMAGE", str(running))
    assert appimage_file() is None, "the variable of another AppImage, which started this program"
    started_from(tmp_path / "mounted", monkeypatch)
    install(InstallationKind.APPIMAGE, file, artefact_of(file.name))
    assert running.read_bytes() == CONTENT
    assert running.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in running.parent.iterdir()] == [running.name]
    file.write_bytes(b"\0" * len(CONTENT))
    with pytest.raises(AppError, match="no longer the file"):
        install(InstallationKind.APPIMAGE, file, artefact_of(file.name))
    assert running.read_bytes() == CONTENT


def test_an_appimage_in_a_folder_that_is_gone_stays_as_it_is(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    running = tmp_path / "x.AppImage"
    running.write_bytes(b"old")
    monkeypatch.setenv("APPIMAGE", str(running))
    started_from(tmp_path / "mounted", monkeypatch)
    monkeypatch.setattr(os, "fsync", _full_disk)
    with pytest.raises(AppError) as caught:
        install(InstallationKind.APPIMAGE, file, artefact_of(file.name))
    assert caught.value.spec is errors.FOLDER_UNUSABLE
    assert (running.read_bytes(), sorted(path.name for path in tmp_path.glob("*.new"))) == (b"old", [])


def _full_disk(_descriptor: int) -> None:
    raise OSError(28, "No space left on device")


def test_every_kind_says_what_will_happen(file: Path) -> None:
    for kind in InstallationKind:
        assert plan_words(kind, file).endswith(("." , str(file)))
        assert hand_words(kind, file)
    spaced = file.with_name("two words.deb")
    assert f"'{spaced}'" in plan_words(InstallationKind.DEB, spaced)


def test_programs_of_the_system_do_not_get_the_libraries_of_a_frozen_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/localai-app/_internal")
    monkeypatch.setenv("LD_LIBRARY_PATH_ORIG", "/usr/local/lib")
    monkeypatch.setenv("QT_PLUGIN_PATH", "/opt/localai-app/plugins")
    environment = system_environment()
    assert environment["LD_LIBRARY_PATH"] == "/usr/local/lib"
    assert {"LD_LIBRARY_PATH_ORIG", "QT_PLUGIN_PATH"} & environment.keys() == set()


def test_a_program_of_a_checkout_is_replaced_by_no_file() -> None:
    found = this_installation()
    assert (found.kind, found.artefact) == (InstallationKind.SOURCE, "")


@pytest.mark.parametrize(("system", "executable", "kind"), [
    ("linux", "/usr/lib/localai-app/localai-app", InstallationKind.DEB),
    ("linux", "/opt/localai-app/localai-app", InstallationKind.TAR),
    ("win32", "localai-app.exe", InstallationKind.SETUP),
    ("darwin", "/Applications/Local AI.app/Contents/MacOS/localai-app", InstallationKind.DMG),
])
def test_a_frozen_program_is_known_by_its_place(
    monkeypatch: pytest.MonkeyPatch, system: str, executable: str, kind: InstallationKind,
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(sys, "executable", executable)
    found = this_installation()
    assert (found.kind, found.artefact) == (kind, f"{found.platform}-{kind}")


def test_a_mounted_appimage_is_known_by_its_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    (tmp_path / "x.AppImage").write_bytes(b"")
    monkeypatch.setenv("APPIMAGE", str(tmp_path / "x.AppImage"))
    started_from(tmp_path / "mounted", monkeypatch)
    assert this_installation().kind is InstallationKind.APPIMAGE


def test_a_system_is_too_old_only_where_that_is_known() -> None:
    assert is_system_old("2.36", lambda: "2.35")
    assert not is_system_old("2.36", lambda: "2.36")
    assert not is_system_old("2.9", lambda: "2.36")
    assert not is_system_old("", lambda: "2.36")
    assert not is_system_old("2.36", lambda: "")
    assert not is_system_old("2.36", lambda: "unknown")
    assert is_system_old("99.0") is (sys.platform != "darwin" or is_system_old("99.0"))

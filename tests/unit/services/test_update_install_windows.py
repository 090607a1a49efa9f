"""An installer is handed on as the very file that was verified: what Windows' own lock on it does."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from pathlib import Path

import pytest

from localai_app import errors
from localai_app.errors import AppError
from localai_app.release.release_document import Artefact
from localai_app.services import update_install
from localai_app.services.installation import InstallationKind
from localai_app.services.update_install import install
from tests.helpers.signing import artefact

pytestmark = pytest.mark.skipif(sys.platform != "win32", reason="locks files as Windows does")


@pytest.fixture
def setup(tmp_path: Path) -> Path:
    """A program of Windows that ends by itself, in a folder with a blank and letters in its name."""
    place = tmp_path / "Ünë two" / "setup.exe"
    place.parent.mkdir()
    shutil.copyfile(Path(os.environ["SYSTEMROOT"]) / "System32" / "whoami.exe", place)
    return place


def artefact_of(path: Path) -> Artefact:
    return Artefact(**artefact(path.read_bytes(), "windows-x64-setup", file_name=path.name))


def wait_for_installer() -> None:
    for thread in threading.enumerate():
        if thread.name == "installer":
            thread.join(30)


def test_nobody_changes_the_file_while_it_is_handed_on(setup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other, refused, start = setup.with_name("other.exe"), [], update_install._start
    other.write_bytes(b"other")

    def attack(command: list[str], path: Path) -> None:
        for change in (lambda: setup.open("r+b").close(), lambda: other.replace(setup), setup.unlink):
            with pytest.raises(PermissionError):
                change()
            refused.append(change)
        start(command, path)

    monkeypatch.setattr(update_install, "_start", attack)
    started = install(InstallationKind.SETUP, setup, artefact_of(setup))
    wait_for_installer()
    assert (started.ends_program, len(refused)) == (True, 3)


def test_another_file_is_removed_and_not_started(setup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signed, started = artefact_of(setup), []
    setup.write_bytes(setup.read_bytes()[:-1] + b"x")
    monkeypatch.setattr(update_install, "_start", lambda *given: started.append(given))
    with pytest.raises(AppError) as caught:
        install(InstallationKind.SETUP, setup, signed)
    assert (caught.value.spec, setup.exists(), started) == (errors.UPDATE_CHANGED, False, [])

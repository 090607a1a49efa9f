"""From the quiet line on top of the pages to the system's installer, in the real window with the real services."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication

from localai_app.gui.frame_updates import fetching_words
from localai_app.gui.updates.update_dialog import UpdateDialog
from localai_app.services.packs.installer import Phase
from localai_app.services.packs.pack_service import PackState
from localai_app.services.update_steps import UpdateState, UpdateStatus
from tests.helpers.real_window import open_window, wait_for
from tests.helpers.signing import trust_in
from tests.helpers.update_services import DEB, PACKAGE, publisher

pytestmark = pytest.mark.skipif(sys.platform == "win32" or shutil.which("sh") is None, reason="needs a POSIX shell")


def test_a_newer_version_is_told_downloaded_and_handed_to_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qapp: QApplication, qtbot: object,
) -> None:
    opened, programs = tmp_path / "opened", tmp_path / "bin"
    programs.mkdir()
    (programs / "xdg-open").write_text(f'#!/bin/sh\necho "$1" > {opened}.new && mv {opened}.new {opened}\n')
    (programs / "xdg-open").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    with publisher() as house:
        house.publish(version="7.0", notes="- faster")
        trust = trust_in(house.key, release_url=f"{house.server.url}/release.json")
        with open_window(tmp_path / "data", trust=trust, installation=DEB, is_started=False) as run:
            window, updates = run.window, run.services.updates
            assert window.update_notice.words == ""
            updates.check_now()
            wait_for(qtbot, lambda: window.update_notice.words == "Local AI 7.0 is available.")
            assert house.count("/files/localai-app.deb") == 0
            window.update_notice.open_button.click()
            dialog = window.findChild(UpdateDialog)
            dialog.go_button.click()
            wait_for(qtbot, lambda: dialog.go_button.text() == "Install" and dialog.go_button.isEnabled())
            assert not opened.exists()
            assert "can be installed" in window.update_notice.words
            dialog.go_button.click()
            wait_for(qtbot, opened.exists)
            file = Path(opened.read_text().strip())
            assert (file, file.read_bytes()) == (updates.state.file, PACKAGE)
            wait_for(qtbot, lambda: any("asked to open" in toast.message.text for toast in window.toasts.toasts))
            assert window.isVisible()


def test_the_bottom_line_tells_of_a_download_and_nothing_moves_for_it(
    tmp_path: Path, qapp: QApplication, qtbot: object,
) -> None:
    with publisher() as house:
        house.publish(version="7.0")
        house.server.served["/files/localai-app.deb"].drip_s = 0.02
        trust = trust_in(house.key, release_url=f"{house.server.url}/release.json")
        with open_window(tmp_path / "data", trust=trust, installation=DEB, is_started=False) as run:
            window, updates = run.window, run.services.updates
            assert "No network in use" in window.status_line.words
            updates.check_now()
            wait_for(qtbot, lambda: window.update_notice.words == "Local AI 7.0 is available.")
            wait_for(qtbot, lambda: "No network in use" in window.status_line.words)
            run.settle()
            height = window.update_notice.height()
            updates.start_download()
            wait_for(qtbot, lambda: window.update_notice.words.startswith("Downloading"))
            wait_for(qtbot, lambda: "Downloading a newer version" in window.status_line.words)
            run.settle()
            assert window.update_notice.height() == height
            updates.cancel()
            wait_for(qtbot, lambda: "No network in use" in window.status_line.words)


@pytest.mark.parametrize(("updates", "packs", "words"), [
    (UpdateStatus.AVAILABLE, PackState(), ""),
    (UpdateStatus.CHECKING, PackState(), "Looking for a newer version"),
    (UpdateStatus.CURRENT, PackState(is_looking=True), "Looking for runtime packs"),
    (UpdateStatus.CHECKING, PackState(phase=Phase.DOWNLOADING), "Downloading a runtime pack"),
    (UpdateStatus.OFF, PackState(phase=Phase.TESTING), ""),
    (UpdateStatus.DOWNLOADING, PackState(phase=Phase.DOWNLOADING), "Downloading a newer version"),
])
def test_whoever_is_asked_is_told(updates: UpdateStatus, packs: PackState, words: str) -> None:
    assert fetching_words(UpdateState(updates), packs) == words

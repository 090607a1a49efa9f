"""What the window says of newer versions, over the real service and a server of this computer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton

from localai_app.gui.bridge import Bridge
from localai_app.gui.theme import LIGHT, ThemeState
from localai_app.gui.updates.update_dialog import UpdateDialog
from localai_app.gui.updates.update_notice import UpdateNotice
from localai_app.gui.updates.update_row import UpdateRow
from localai_app.progress import Progress
from localai_app.services.installation import Installation, InstallationKind
from localai_app.services.update_install import InstallStarted
from localai_app.services.update_steps import UpdateStatus
from tests.helpers.update_services import Program, Publisher, program, publisher

NOTES = "- **faster**\n\n![tracker](http://127.0.0.1:9/pixel.png)\n\n<script>x</script>"


@pytest.fixture
def house() -> Iterator[Publisher]:
    with publisher() as running:
        running.publish(notes=NOTES)
        yield running


@pytest.fixture
def running(house: Publisher, tmp_path: Path) -> Iterator[Program]:
    with program(tmp_path, house) as run:
        yield run


@pytest.fixture
def bridge(running: Program, qtbot) -> Iterator[Bridge]:
    opened = Bridge(running.events)
    yield opened
    opened.close()
    opened.deleteLater()


def shown_dialog(running: Program, bridge: Bridge, qtbot) -> UpdateDialog:
    dialog = UpdateDialog(running.updates, ThemeState(LIGHT), bridge)
    qtbot.addWidget(dialog)
    dialog.show()
    return dialog


def test_the_line_comes_with_news_and_goes_when_it_is_sent_away(running: Program, bridge: Bridge, qtbot) -> None:
    notice = UpdateNotice(running.updates, ThemeState(LIGHT), bridge)
    qtbot.addWidget(notice)
    assert notice.words == ""
    running.updates.check_now()
    qtbot.waitUntil(lambda: notice.words == "Local AI 99.0 is available.")
    with qtbot.waitSignal(notice.opened):
        notice.open_button.click()
    notice.close_button.click()
    qtbot.waitUntil(lambda: notice.words == "")
    assert running.memory.read().skipped_version == ""


def test_nothing_is_downloaded_before_the_button(running: Program, house: Publisher, bridge: Bridge, qtbot) -> None:
    running.updates.check()
    dialog = shown_dialog(running, bridge, qtbot)
    assert dialog.go_button.text() == "Download"
    assert "124 kB" in dialog._facts.text() or "125 kB" in dialog._facts.text() or "135 kB" in dialog._facts.text()
    texts = " ".join(part.html for part in dialog.notes.segments)
    assert "faster" in texts
    assert "<script" not in texts
    assert "<img" not in texts
    assert [request.path for request in house.server.requests] == ["/release.json"]


def test_download_cancel_download_install(running: Program, house: Publisher, bridge: Bridge, qtbot, monkeypatch) -> None:
    running.updates.check()
    house.server.served["/files/localai-app.deb"].drip_s = 0.02
    dialog = shown_dialog(running, bridge, qtbot)
    dialog.go_button.click()
    qtbot.waitUntil(lambda: running.updates.state.progress.done > 3000)
    qtbot.waitUntil(lambda: dialog._bar.value() > 0)
    assert (dialog.go_button.isEnabled(), dialog.skip_button.isHidden()) == (False, True)
    cancel_place = dialog.cancel_button.geometry()
    dialog.cancel_button.click()
    qtbot.waitUntil(dialog.go_button.isEnabled)
    house.server.served["/files/localai-app.deb"].drip_s = 0.0
    qtbot.waitUntil(lambda: _pressed_until_busy(dialog, running))
    qtbot.waitUntil(lambda: dialog.go_button.text() == "Install" and dialog.go_button.isEnabled())
    qtbot.waitUntil(dialog.cancel_button.isHidden)
    assert not dialog.go_button.geometry().intersects(cancel_place), "a late click on Cancel installs nothing"
    assert "sudo apt install" in dialog._plan.text()
    installed: list[str] = []
    monkeypatch.setattr(running.updates, "install", lambda: installed.append("yes") or InstallStarted("Begun.", True))
    with qtbot.waitSignals([dialog.said, dialog.quit_requested]):
        dialog.go_button.click()
    assert installed == ["yes"]


def test_a_dialog_that_hands_the_file_on_stays_until_it_has_said_so(
    running: Program, bridge: Bridge, qtbot, monkeypatch,
) -> None:
    running.updates.check()
    running.updates.download(lambda _progress: None)
    dialog = shown_dialog(running, bridge, qtbot)
    may_end = threading.Event()
    monkeypatch.setattr(
        running.updates, "install", lambda: may_end.wait(10) and InstallStarted("Begun.", ends_program=True))
    dialog.go_button.click()
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    dialog.later_button.click()
    assert dialog.isVisible()
    with qtbot.waitSignals([dialog.said, dialog.quit_requested]):
        may_end.set()
    assert not dialog.isVisible()
    assert not running.updates.state.is_hidden


def _pressed_until_busy(dialog: UpdateDialog, running: Program) -> bool:
    """The thread of the cancelled download may still be ending."""
    if not running.updates.state.is_busy and running.updates.state.file is None:
        dialog.go_button.click()
    return running.updates.state.is_busy or running.updates.state.file is not None


def test_a_damaged_download_is_told_where_it_was_asked_for(running: Program, house: Publisher, bridge: Bridge, qtbot) -> None:
    running.updates.check()
    house.server.serve("/files/localai-app.deb", b"something else")
    dialog = shown_dialog(running, bridge, qtbot)
    dialog.go_button.click()
    qtbot.waitUntil(lambda: dialog.banner.error is not None)
    assert "not the file that its publishers signed" in dialog.banner.error.message
    offered = [part.text() for part in dialog.findChildren(QPushButton) if part.isVisible() and "Download" in part.text()]
    assert offered == ["Download"]


def test_no_click_is_lost_while_somebody_is_asked(running: Program, house: Publisher, bridge: Bridge, qtbot) -> None:
    running.updates.check()
    dialog = shown_dialog(running, bridge, qtbot)
    assert dialog.go_button.isEnabled()
    house.publish(2, "99.0", notes="x" * 40_000)
    house.server.served["/release.json"].drip_s = 0.02
    running.updates.check_now()
    qtbot.waitUntil(lambda: not dialog.go_button.isEnabled())
    assert running.updates.state.status is UpdateStatus.CHECKING
    qtbot.waitUntil(dialog.go_button.isEnabled)
    assert running.updates.state.status is UpdateStatus.AVAILABLE


def test_skipping_is_for_good(running: Program, bridge: Bridge, qtbot) -> None:
    running.updates.check()
    dialog = shown_dialog(running, bridge, qtbot)
    dialog.skip_button.click()
    assert not dialog.isVisible()
    assert running.memory.read().skipped_version == "99.0"


def test_a_copy_from_source_is_told_to_pull(house: Publisher, tmp_path: Path, qtbot) -> None:
    source = Installation(InstallationKind.SOURCE, "linux-x64")
    with program(tmp_path / "other", house, installation=source) as run:
        bridge = Bridge(run.events)
        run.updates.check()
        dialog = shown_dialog(run, bridge, qtbot)
        bridge.setParent(dialog)
        assert dialog.go_button.isHidden()
        assert "git pull" in dialog.banner.error.action
        bridge.close()


def test_the_row_says_what_is_known(running: Program, house: Publisher, bridge: Bridge, qtbot) -> None:
    card = UpdateRow(running.updates, bridge)
    qtbot.addWidget(card)
    card.show()
    assert "Nobody was asked" in card.words
    house.server.served["/release.json"].status = 500
    card.look_button.click()
    qtbot.waitUntil(lambda: "refused the request with status 500" in card.words)
    house.publish(version="0.1.0")
    card.look_button.click()
    qtbot.waitUntil(lambda: "Local AI 0.1.0 is the newest version." in card.words and "Last asked today at" in card.words)
    running.settings.set("check_for_updates", False)
    running.updates._steps.rest()
    qtbot.waitUntil(lambda: "turned off" in card.words)
    assert card.look_button.isHidden()
    assert Progress(1, 2).fraction == 0.5
    assert running.updates.state.status is UpdateStatus.OFF


def test_a_build_without_an_address_says_so(tmp_path: Path, qtbot) -> None:
    with program(tmp_path, None) as run:
        bridge = Bridge(run.events)
        card = UpdateRow(run.updates, bridge)
        qtbot.addWidget(card)
        bridge.setParent(card)
        card.show()
        assert "built without an address" in card.words
        assert card.look_button.isHidden()
        bridge.close()

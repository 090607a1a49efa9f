from __future__ import annotations

import sys
import threading
from pathlib import Path

from PySide6.QtGui import QGuiApplication

from localai_app.gui.crash import CrashHooks, crash_report
from localai_app.gui.dialogs.crash_dialog import CrashDialog
from localai_app.gui.theme import LIGHT, ThemeState


def fail(text: str) -> None:
    raise ValueError(text)


def report_failure(hooks: CrashHooks, text: str) -> None:
    try:
        fail(text)
    except ValueError:
        hooks.on_exception(*sys.exc_info())


def test_each_place_is_announced_once_and_always_logged(qtbot, expect_log) -> None:
    expect_log("unexpected error")
    hooks, reports = CrashHooks(), []
    hooks.crashed.connect(reports.append)
    report_failure(hooks, "first time")
    report_failure(hooks, "second time")
    qtbot.waitUntil(lambda: len(reports) == 1)
    qtbot.wait(30)
    assert len(reports) == 1
    assert "first time" in reports[0]
    assert "Python" in reports[0]


def test_threads_are_watched_too_and_the_hooks_can_be_taken_off(qtbot, expect_log) -> None:
    expect_log("unexpected error")
    before = (sys.excepthook, threading.excepthook)
    hooks, reports = CrashHooks(), []
    hooks.crashed.connect(lambda report: reports.append((report, threading.get_ident())))
    hooks.install()
    try:
        thread = threading.Thread(target=fail, args=("in a thread",))
        thread.start()
        thread.join()
        qtbot.waitUntil(lambda: len(reports) == 1)
    finally:
        hooks.uninstall()
    assert "in a thread" in reports[0][0]
    assert reports[0][1] == threading.get_ident()
    assert (sys.excepthook, threading.excepthook) == before


def test_the_report_is_copied_whole_and_the_log_offered_if_it_is_there(qtbot, tmp_path: Path) -> None:
    report = crash_report("Traceback (most recent call last):\nValueError: no")
    dialog = CrashDialog(report, tmp_path / "missing.log", ThemeState(LIGHT))
    qtbot.addWidget(dialog)
    assert not dialog.log_button.isEnabled()
    dialog.copy_button.click()
    assert QGuiApplication.clipboard().text() == report
    assert report.startswith("Local AI ")
    log_file = tmp_path / "there.log"
    log_file.touch()
    second = CrashDialog(report, log_file, ThemeState(LIGHT))
    qtbot.addWidget(second)
    assert second.log_button.isEnabled()


def test_a_report_that_is_copied_holds_neither_a_token_nor_the_users_name() -> None:
    token = "hf_" + "a1B2c3D4e5" * 3
    report = crash_report(f'File "{Path.home()}/app/x.py", line 1\nValueError: bad header Authorization: Bearer {token}')
    assert token not in report
    assert str(Path.home()) not in report
    assert "~/app/x.py" in report

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
from PySide6.QtWidgets import QMessageBox, QWidget

from localai_app.errors import STORE_UNAVAILABLE, AppError
from localai_app.gui import first_paint as first_paint_module
from localai_app.gui.app import show_start_error
from localai_app.gui.first_paint import FirstPaint, process_age_s

HEAVY = ("huggingface_hub", "numpy", "llama_cpp", "typer", "pygments", "markdown_it", "pynvml", "qtawesome", "httpx",
         "PySide6.QtQml", "PySide6.QtQuick")
IMPORTS_AT_FIRST_PAINT = """
import sys
from pathlib import Path
from localai_app.bootstrap import LaunchOptions, build_services
from localai_app.gui.app import build_window, make_application
from localai_app.gui.first_paint import FirstPaint
services = build_services(LaunchOptions(data_dir=Path(sys.argv[1]), worker=["false"]))
app = make_application()
window = build_window(services, app)
window.show_start_page()
FirstPaint(window).happened.connect(app.quit)
window.show()
app.exec()
print(*sys.modules)
window.close()
window.deleteLater()
app.processEvents()
services.close()
"""
FILES_AS_ON_MACOS = """
from PySide6.QtCore import QCoreApplication, QUrl
from PySide6.QtGui import QFileOpenEvent
from localai_app.gui.app import make_application
app = make_application()
QCoreApplication.sendEvent(app, QFileOpenEvent("/models/my model.gguf"))
app.set_opener(print)
QCoreApplication.sendEvent(app, QFileOpenEvent(QUrl("hf:owner/repo")))
app.processEvents()
"""


def test_the_first_painting_is_told_once(qtbot, caplog) -> None:
    caplog.set_level("INFO")
    window = QWidget()
    qtbot.addWidget(window)
    paint = FirstPaint(window)
    with qtbot.waitSignal(paint.happened):
        window.show()
    window.repaint()
    assert [record.getMessage().startswith("first paint after ") for record in caplog.records] == [True]


def test_the_age_of_the_process_counts_from_its_creation() -> None:
    # psutil knows the boot time in whole seconds only, so the two agree to about one second.
    assert abs(process_age_s() - (time.time() - psutil.Process().create_time())) < 2.0
    before = process_age_s()
    time.sleep(0.05)
    assert 0.03 <= process_age_s() - before < 1.0


def test_nothing_heavy_is_imported_before_the_first_painting(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTS_AT_FIRST_PAINT, str(tmp_path)], capture_output=True, text=True,
                          timeout=60, check=True)
    modules = set(done.stdout.split())
    assert "localai_app.gui.main_window" in modules
    assert sorted(name for name in HEAVY if name in modules) == []


def test_a_start_that_fails_is_explained_and_ends_with_one(qtbot, monkeypatch, expect_log) -> None:
    expect_log("cannot start")
    shown: list[tuple[str, str]] = []
    monkeypatch.setattr(QMessageBox, "exec", lambda box: shown.append((box.text(), box.informativeText())))
    assert show_start_error(AppError(STORE_UNAVAILABLE, folder="/data", reason="disk I/O error")) == 1
    assert shown[0][0].startswith("The file with your chats cannot be opened in /data")
    assert shown[0][1].startswith("Check the free space")


def test_a_window_that_is_never_painted_does_not_hold_up_the_services(qtbot, monkeypatch, caplog) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(first_paint_module, "GIVE_UP_MS", 20)
    window = QWidget()
    qtbot.addWidget(window)
    paint = FirstPaint(window)
    heard: list[int] = []
    paint.happened.connect(lambda: heard.append(1))
    qtbot.waitUntil(lambda: heard == [1])
    assert caplog.records == []
    with qtbot.waitExposed(window):
        window.show()
    qtbot.wait(20)
    assert heard == [1]


def test_what_the_system_wants_opened_is_heard_before_and_after_there_is_a_window() -> None:
    """macOS tells a program that runs what was clicked; the event itself can be sent on every system."""
    done = subprocess.run([sys.executable, "-c", FILES_AS_ON_MACOS], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == ["/models/my model.gguf", "hf:owner/repo"]

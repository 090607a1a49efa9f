"""Starts the window: one application, one theme, one instance, and an orderly end."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Callable
from types import FrameType

from PySide6.QtCore import QCoreApplication, Qt, QThreadPool
from PySide6.QtWidgets import QApplication, QMessageBox

from localai_app import __version__
from localai_app.errors import AppError
from localai_app.gui.app_icon import app_icon
from localai_app.gui.application import Application
from localai_app.gui.bridge import Bridge
from localai_app.gui.crash import CrashHooks
from localai_app.gui.first_paint import FirstPaint
from localai_app.gui.main_window import MainWindow
from localai_app.gui.messages import Messages
from localai_app.gui.opening import full_target
from localai_app.gui.opening import open_target as open_given
from localai_app.gui.single_instance import SingleInstance, hand_over
from localai_app.gui.theme import ThemeState, apply_theme
from localai_app.gui.theme_controller import ThemeController
from localai_app.paths import AppPaths
from localai_app.services.app_services import AppServices

log = logging.getLogger(__name__)

TASKS_END_MS = 2_000
"""How long an unfinished background task may hold up the end of the program."""


def make_application() -> QApplication:
    """The one application object, with its names."""
    running = QApplication.instance()
    if isinstance(running, QApplication):
        return running
    QCoreApplication.setApplicationName("localai-app")
    QCoreApplication.setApplicationVersion(__version__)
    app = Application(sys.argv[:1])
    app.setApplicationDisplayName("Local AI")
    app.setDesktopFileName("localai-app")
    app.setWindowIcon(app_icon())
    return app


def build_window(services: AppServices, app: QApplication) -> MainWindow:
    """The window with everything that belongs to it, not shown yet and with no page yet; it ends with the window."""
    messages = Messages()
    theme = ThemeState()
    bridge = Bridge(services.events)
    controller = ThemeController(app, services.settings, theme, bridge)
    window = MainWindow(services, theme, bridge, messages)
    for owned in (messages, theme, bridge, controller):
        owned.setParent(window)
    return window


def run_window(
    make_services: Callable[[], AppServices], paths: AppPaths, *, first_page: str | None = None,
    open_target: str | None = None,
) -> int:
    """Open the window and stay until it is closed; returns the exit code.

    If a window is already open for the same data folder, it is raised and given `open_target`, and this returns 0.
    Services are made before the window, started after its first painting, and closed at the end. An AppError while
    they are made is the caller's to show (`show_start_error`).
    """
    target = full_target(open_target or "")
    if hand_over(paths.data, target):
        return 0
    app = make_application()
    instance = SingleInstance(paths.data)
    if not instance.claim(target):
        return 0
    hooks = CrashHooks()
    hooks.install()
    try:
        services = make_services()
        try:
            return _run(app, services, instance, hooks, first_page, target)
        finally:
            QThreadPool.globalInstance().clear()
            QThreadPool.globalInstance().waitForDone(TASKS_END_MS)
            services.close()
    finally:
        hooks.uninstall()
        instance.release()


def show_start_error(error: AppError) -> int:
    """Say why the program cannot start; returns the exit code."""
    app = make_application()
    apply_theme(app, "system", 100)
    log.error("cannot start: %s", error)
    box = QMessageBox(QMessageBox.Icon.Critical, "Local AI", error.message, QMessageBox.StandardButton.Close)
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setInformativeText(error.action)
    if error.detail:
        box.setDetailedText(error.detail)
    box.exec()
    return 1


def _run(
    app: QApplication, services: AppServices, instance: SingleInstance, hooks: CrashHooks, first_page: str | None, target: str,
) -> int:
    window = build_window(services, app)
    messages = window.messages
    if first_page is None:
        window.show_start_page()
    else:
        window.show_page(first_page)

    def on_activated(wanted: str) -> None:
        window.raise_window()
        if wanted:
            open_given(wanted, window, services, messages)

    def on_first_paint() -> None:
        services.start()
        if target:
            open_given(target, window, services, messages)
        if isinstance(app, Application):
            app.set_opener(on_activated)

    instance.activated.connect(on_activated)
    hooks.crashed.connect(lambda report: _show_crash(report, services.paths, window))
    FirstPaint(window).happened.connect(on_first_paint)
    restore_signals = _quit_on_signals(app)
    window.show()
    try:
        return int(app.exec())
    finally:
        restore_signals()
        window.close()
        window.deleteLater()
        app.processEvents()


def _show_crash(report: str, paths: AppPaths, window: MainWindow) -> None:
    from localai_app.gui.dialogs.crash_dialog import CrashDialog

    dialog = CrashDialog(report, paths.log_file, window.theme, window)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.show()


def _quit_on_signals(app: QApplication) -> Callable[[], None]:
    """Close the window in order on Ctrl+C, on a polite request to end, and with its terminal; returns what undoes this.

    Python runs its handlers between two of its own steps: the gauges' measurement every second is the latest one.
    """
    def on_signal(_number: int, _frame: FrameType | None) -> None:
        app.quit()

    numbers = [signal.SIGINT, signal.SIGTERM]
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, on_signal) for number in numbers}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    return restore


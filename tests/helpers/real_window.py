"""The real window with real services in the test's own process, and eyes for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QEvent, QThreadPool
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLabel,
    QLineEdit,
    QListView,
    QPlainTextEdit,
    QSlider,
    QWidget,
)

from localai_app.bootstrap import LaunchOptions, build_services
from localai_app.gui.app import build_window, make_application
from localai_app.gui.main_window import MainWindow
from localai_app.release.trust import Trust
from localai_app.services.app_services import AppServices
from localai_app.services.installation import Installation

SIZE = (1280, 800)
CONTROLS = (QAbstractButton, QLineEdit, QComboBox, QAbstractSpinBox, QPlainTextEdit, QListView, QSlider)
PARTS_OF_OTHERS = ("QComboBox", "QLineEdit", "QComboBoxPrivateContainer")


@dataclass(frozen=True)
class RealWindow:
    """A window and what stands behind it."""

    app: QApplication
    services: AppServices
    window: MainWindow

    def texts(self) -> str:
        """All words that are visible, top-level popups included."""
        return "\n".join(text for text in map(text_of, self.visible(QWidget)) if text)

    def visible(self, kind: type[QWidget] | tuple[type[QWidget], ...]) -> list[QWidget]:
        """Every visible widget of a kind."""
        kinds = kind if isinstance(kind, tuple) else (kind,)
        return [widget for one in kinds for widget in self.window.findChildren(one) if widget.isVisible()]

    def controls(self) -> list[QWidget]:
        """Everything visible and enabled that a person can operate, without the parts that others are made of."""
        return [
            widget for widget in self.visible(CONTROLS)
            if widget.isEnabled() and not widget.objectName().startswith("qt_") and not _is_part_of_other(widget)]

    def button(self, words: str) -> QAbstractButton:
        """The first visible button that says these words or begins with them."""
        buttons = [widget for widget in self.visible(QAbstractButton) if isinstance(widget, QAbstractButton)]
        found = [one for one in buttons if one.text().startswith(words) or one.accessibleName().startswith(words)]
        assert found, f"no button {words!r} on screen: {[one.text() or one.accessibleName() for one in buttons]}"
        return found[0]

    def dialogs(self) -> list[QWidget]:
        """Visible windows other than the main one."""
        return [widget for widget in self.app.topLevelWidgets() if widget.isVisible() and widget is not self.window]

    def settle(self) -> None:
        """Let Qt do what is due now."""
        for _ in range(5):
            self.app.processEvents()


@contextmanager
def open_window(
    data_dir: Path, *, worker: Sequence[str] | None = None, catalog: Path | None = None, is_started: bool = True,
    trust: Trust | None = None, installation: Installation | None = None,
) -> Iterator[RealWindow]:
    """One run of the program on its start page; `is_started`: with probes, gauges and downloads, as after the first paint."""
    app = make_application()
    services = build_services(LaunchOptions(
        data_dir=data_dir, worker=worker, catalog=catalog, trust=trust, installation=installation))
    try:
        window = build_window(services, app)
        try:
            window.show_start_page()
            window.resize(*SIZE)
            window.show()
            app.processEvents()
            if is_started:
                services.start()
            yield RealWindow(app, services, window)
        finally:
            QThreadPool.globalInstance().waitForDone(10_000)
            window.close()
            window.deleteLater()
            QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    finally:
        services.close()
        app.setStyleSheet("")


def wait_for(qtbot: object, condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Wait until something holds, while the window goes on working."""
    qtbot.waitUntil(condition, timeout=round(timeout_s * 1000))  # type: ignore[attr-defined]


def text_of(widget: QWidget) -> str:
    """What a widget says on screen."""
    if isinstance(widget, QLabel | QAbstractButton | QLineEdit):
        return widget.text()
    for name in ("toPlainText", "text", "title"):
        read = getattr(widget, name, None)
        if callable(read):
            return str(read())
    return ""


def _is_part_of_other(widget: QWidget) -> bool:
    parent = widget.parentWidget()
    return parent is not None and (
        type(parent).__name__ in PARTS_OF_OTHERS or isinstance(parent, QAbstractSpinBox | QComboBox | QLineEdit))

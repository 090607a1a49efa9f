"""A person at the window: runs the real program in this process and follows a script of clicks and keys.

`python -m tests.e2e.driver SCENARIO [--data-dir DIR] [--catalog FILE] [--shots DIR] [--theme NAME]` prints one JSON document
with what it saw. Nothing of the program knows of it: it finds controls by their words, as a person or a screen reader does.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QPoint, Qt, QTimer
from PySide6.QtGui import QPainter
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QDialog,
    QLineEdit,
    QListView,
    QPlainTextEdit,
    QTextEdit,
    QWidget,
)

from localai_app.bootstrap import LaunchOptions, build_services
from localai_app.gui.app import make_application, run_window
from localai_app.gui.main_window import MainWindow
from localai_app.log import setup_logging
from localai_app.paths import app_paths
from localai_app.services.app_services import AppServices
from tests.e2e.scenarios import SCENARIOS

POLL_MS = 20
STEP_TIMEOUT_S = 90.0

Condition = Callable[[], bool]
Script = Generator[Condition, None, None]


class Person(QObject):
    """Hands and eyes: waits, clicks, types, reads and photographs."""

    def __init__(self, app: QApplication, options: argparse.Namespace) -> None:
        super().__init__()
        self.seen: dict[str, Any] = {}
        self.services: AppServices | None = None
        self._app = app
        self._shots: Path | None = options.shots
        self._script: Script = SCENARIOS[options.scenario](self)
        self._condition: Condition = lambda: self.find_window() is not None
        self._waiting_since_s = time.monotonic()
        self._timer = QTimer(self)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self._step)
        self._timer.start()

    @property
    def is_photographed(self) -> bool:
        """Whether pictures are kept."""
        return self._shots is not None

    def find_window(self) -> MainWindow | None:
        """The window once it is shown."""
        shown = (widget for widget in self._app.topLevelWidgets() if isinstance(widget, MainWindow) and widget.isVisible())
        return next(shown, None)

    @property
    def window(self) -> MainWindow:
        """The window; fails where there is none."""
        window = self.find_window()
        assert window is not None
        return window

    def buttons(self, words: str) -> list[QAbstractButton]:
        """Visible buttons whose text or accessible name begins with `words`, from top left to bottom right."""
        found = [
            button for button in self.window.findChildren(QAbstractButton)
            if button.isVisible() and (button.text().startswith(words) or button.accessibleName().startswith(words))]
        return sorted(found, key=lambda button: (self._place(button).y(), self._place(button).x()))

    def click(self, words: str, index: int = 0) -> None:
        """Press a button that carries these words."""
        button = self.buttons(words)[index]
        assert button.isEnabled(), f"{words} cannot be pressed"
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)

    def type_text(self, text: str) -> None:
        """Type into what has the cursor, which has to be a text field."""
        field = self._focused()
        assert isinstance(field, QPlainTextEdit | QTextEdit), f"the cursor is in {field}"
        QTest.keyClicks(field, text)

    def press(self, key: Qt.Key) -> None:
        """Press a key in what has the cursor."""
        field = self._focused()
        assert field is not None
        QTest.keyClick(field, key)

    def dialogs(self) -> list[QDialog]:
        """What is open over the window."""
        return [dialog for dialog in self.window.findChildren(QDialog) if dialog.isVisible()]

    def type_in_dialog(self, text: str, key: Qt.Key) -> None:
        """Type into the line of the open dialog, and press a key."""
        field = self.dialogs()[0].findChild(QLineEdit)
        assert field is not None
        QTest.keyClicks(field, text)
        QTest.keyClick(field, key)

    def focus(self, name: str) -> None:
        """Put the cursor into the visible field with this accessible name."""
        self._named(name).setFocus()

    def choose(self, name: str, words: str) -> None:
        """Choose an entry of the list with this accessible name, also where it is folded away."""
        box = next(box for box in self.window.findChildren(QComboBox) if box.accessibleName() == name)
        box.setCurrentIndex(box.findText(words))
        box.activated.emit(box.currentIndex())

    def _named(self, name: str) -> QWidget:
        return next(
            widget for widget in self.window.findChildren(QWidget) if widget.isVisible() and widget.accessibleName() == name)

    def click_row(self, row: int, view_name: str) -> None:
        """Click a row of the visible list with this accessible name."""
        view = next(
            view for view in self.window.findChildren(QListView) if view.isVisible() and view.accessibleName() == view_name)
        rect = view.visualRect(view.model().index(row, 0))
        QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=rect.center())

    def texts(self) -> str:
        """All text that is visible in the window."""
        parts = []
        for widget in self.window.findChildren(QWidget):
            if not widget.isVisible():
                continue
            for name in ("toPlainText", "text", "title"):
                read = getattr(widget, name, None)
                if callable(read):
                    parts.append(str(read()))
                    break
        return "\n".join(parts)

    def shoot(self, name: str) -> None:
        """Keep a picture of the window with the dialog over it, if pictures are wanted."""
        if self._shots is not None:
            self._app.processEvents()
            self._shots.mkdir(parents=True, exist_ok=True)
            picture = self.window.grab()
            for dialog in self.window.findChildren(QDialog):
                if dialog.isVisible():
                    place = self.window.rect().center() - dialog.rect().center()
                    painter = QPainter(picture)
                    painter.drawPixmap(place, dialog.grab())
                    painter.end()
            picture.save(str(self._shots / f"{name}.png"))

    def _focused(self) -> QWidget | None:
        """What has the cursor; where no window manager makes the window active, what would have it."""
        return self._app.focusWidget() or self.window.focusWidget()

    def _place(self, widget: QWidget) -> QPoint:
        return widget.mapTo(self.window, QPoint(0, 0))

    def _step(self) -> None:
        """Go on with the script where what it waits for is true."""
        try:
            if not self._condition():
                if time.monotonic() - self._waiting_since_s > STEP_TIMEOUT_S:
                    raise TimeoutError(f"waited too long; on screen: {self.texts()[:3000]}")
                return
            self._condition = next(self._script)
            self._waiting_since_s = time.monotonic()
        except StopIteration:
            self._end()
        except Exception as error:  # noqa: BLE001 - whatever goes wrong is the result of this run
            self.seen["failed"] = f"{type(error).__name__}: {error}"
            self.shoot("failed")
            self._end()

    def _end(self) -> None:
        self._timer.stop()
        window = self.find_window()
        if window is not None:
            window.close()
        self._app.quit()


def main() -> int:
    """Run one scenario; 0 if it came to its end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("scenario", choices=sorted(SCENARIOS))
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--catalog", type=Path)
    parser.add_argument("--shots", type=Path)
    parser.add_argument("--theme", default="")
    parser.add_argument("--size", default="1280x800")
    options = parser.parse_args()
    paths = app_paths(options.data_dir)
    setup_logging(paths, verbose=False)
    app = make_application()
    person = Person(app, options)

    def make_services() -> AppServices:
        person.services = build_services(LaunchOptions(data_dir=options.data_dir, catalog=options.catalog))
        if options.theme:
            person.services.settings.set("theme", options.theme)
        return person.services

    width, height = map(int, options.size.split("x"))
    QTimer.singleShot(0, lambda: person.find_window() and person.window.resize(width, height))
    code = run_window(make_services, paths)
    print(json.dumps(person.seen), flush=True)
    return 3 if "failed" in person.seen else code


if __name__ == "__main__":
    sys.exit(main())

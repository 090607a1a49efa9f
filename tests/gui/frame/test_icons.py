from __future__ import annotations

import subprocess
import sys

import pytest
from PySide6.QtCore import QSize
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QApplication

from localai_app.gui.icon_font import GLYPHS
from localai_app.gui.icons import icon, icon_pixmap
from localai_app.gui.theme import DARK, LIGHT, ThemeState

OTHER_NAMES = ("plus", "trash", "folder", "copy", "check", "x", "warning", "info", "cpu", "play", "pause", "caret-down",
               "caret-right", "link", "lightning", "star", "scales", "clipboard", "sparkle")


@pytest.mark.parametrize("name", [*GLYPHS, *OTHER_NAMES])
def test_every_named_icon_draws_something(qapp: QApplication, name: str) -> None:
    image = icon_pixmap(name, ThemeState(LIGHT), "text", 18, 2.0).toImage()
    assert image.width() == 36
    assert any(image.pixelColor(x, y).alpha() > 128 for x in range(36) for y in range(36))


def test_an_unknown_name_is_refused(qapp: QApplication) -> None:
    with pytest.raises(KeyError):
        icon("no-such-icon", ThemeState(LIGHT))


def darkest_ink(shown: QIcon, mode: QIcon.Mode = QIcon.Mode.Normal, state: QIcon.State = QIcon.State.Off) -> str:
    image = shown.pixmap(QSize(32, 32), 1.0, mode, state).toImage()
    colors = [image.pixelColor(x, y) for x in range(32) for y in range(32)]
    return max(colors, key=lambda color: color.alpha()).name()


def test_an_icon_follows_the_theme_and_its_state(qapp: QApplication) -> None:
    theme = ThemeState(LIGHT)
    shown = icon("stop", theme, "text", role_on="accent")
    assert darkest_ink(shown) == LIGHT.text
    theme.update(DARK, 100)
    assert darkest_ink(shown) == DARK.text
    assert darkest_ink(shown, state=QIcon.State.On) == DARK.accent
    assert darkest_ink(shown, QIcon.Mode.Disabled) == DARK.faint
    assert darkest_ink(QIcon(shown)) == DARK.text


def test_icons_never_import_the_package_that_loads_every_font() -> None:
    code = ("import sys; from PySide6.QtGui import QGuiApplication; app = QGuiApplication(['-platform', 'offscreen']);"
            "from localai_app.gui.theme import ThemeState; from localai_app.gui.icons import icon; icon('chat', ThemeState());"
            "print('qtawesome' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", code, "-platform", "offscreen"], capture_output=True, text=True, timeout=60,
                          check=True)
    assert done.stdout.strip() == "False"

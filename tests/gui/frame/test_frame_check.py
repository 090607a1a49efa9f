from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtGui import QColor, QImage

from localai_app.gui.frame_check import is_drawn, undrawn_pages
from localai_app.gui.theme import DARK, LIGHT, Palette
from tests.helpers.services_fixture import open_services


def test_every_page_of_the_real_window_is_drawn_with_text(tmp_path: Path, qapp) -> None:
    with open_services(tmp_path) as services:
        assert undrawn_pages(services) == []


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=lambda palette: palette.name)
def test_a_frame_with_nothing_on_it_is_not_taken_for_drawn(palette: Palette) -> None:
    blank = QImage(400, 300, QImage.Format.Format_RGB32)
    for color in (palette.background, "#000000", "#ffffff"):
        blank.fill(QColor(color))
        assert not is_drawn(blank, palette)

"""Proves that the window can be drawn here, without showing it."""

from __future__ import annotations

from PySide6.QtCore import QEvent
from PySide6.QtGui import QColor, QImage

from localai_app.gui.app import build_window, make_application
from localai_app.gui.pages.factory import RAIL_ENTRIES
from localai_app.gui.theme import Palette
from localai_app.services.app_services import AppServices

FEWEST_COLORS = 12
"""A frame of the window has hundreds of colours through smoothed text and icons; one without any text has a handful."""
SAMPLE_STEP_PX = 2


def undrawn_pages(services: AppServices) -> list[str]:
    """Draw the main window on each of its pages into an image; the pages that lack text or the theme's colours."""
    app = make_application()
    window = build_window(services, app)
    try:
        empty = []
        for entry in RAIL_ENTRIES:
            window.show_page(entry.page)
            if not is_drawn(window.grab().toImage(), window.theme.palette):
                empty.append(entry.text)
        return empty
    finally:
        window.close()
        window.deleteLater()
        app.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def is_drawn(image: QImage, palette: Palette) -> bool:
    """Whether the background of the palette and enough other colours are on an image."""
    colors = {
        image.pixel(x, y) & 0xFFFFFF
        for y in range(0, image.height(), SAMPLE_STEP_PX) for x in range(0, image.width(), SAMPLE_STEP_PX)
    }
    return QColor(palette.background).rgb() & 0xFFFFFF in colors and len(colors) >= FEWEST_COLORS

"""Proves that the window can be drawn here, without showing it."""

from __future__ import annotations

from PySide6.QtCore import QEvent
from PySide6.QtGui import QColor, QImage

from localai_app.gui.app import build_window, make_application
from localai_app.gui.theme import Palette
from localai_app.services.app_services import AppServices

FEWEST_COLORS = 12
"""A frame of the window has hundreds of colours through smoothed text and icons; one without any text has a handful."""
SAMPLE_STEP_PX = 2


def render_one_frame(services: AppServices) -> bool:
    """Draw the main window on its first page into an image; whether text and the theme's colours are on it."""
    app = make_application()
    window = build_window(services, app)
    try:
        window.show_start_page()
        image = window.grab().toImage()
        return is_drawn(image, window.theme.palette)
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

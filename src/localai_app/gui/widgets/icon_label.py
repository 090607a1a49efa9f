"""An icon as a label: it follows the theme's colours and text size."""

from __future__ import annotations

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QLabel, QWidget

from localai_app.gui.icons import icon_pixmap
from localai_app.gui.metrics import ICON, TypeSizes
from localai_app.gui.theme import ThemeState


class IconLabel(QLabel):
    """`token` is the field of Palette that it is drawn in. It says nothing to screen readers: words stand beside it."""

    def __init__(
        self, name: str, theme: ThemeState, token: str = "muted", size: int = ICON, parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._name, self._theme, self._token, self._size = name, theme, token, size
        theme.changed.connect(self._draw)
        self._draw()

    def show_icon(self, name: str, token: str) -> None:
        """Show another icon."""
        self._name, self._token = name, token
        self._draw()

    @Slot()
    def _draw(self) -> None:
        size = round(self._size * max(1.0, self._theme.sizes.body / TypeSizes().body))
        self.setPixmap(icon_pixmap(self._name, self._theme, self._token, size, self.devicePixelRatioF()))
        self.setFixedSize(size, size)

"""Keeps the application dressed as the settings and the system say."""

from __future__ import annotations

from PySide6.QtCore import QObject, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication

from localai_app.gui.bridge import Bridge
from localai_app.gui.theme import ThemeState, apply_theme
from localai_app.services.events import SettingChanged
from localai_app.services.settings_service import SettingsService

THEME_KEY, SCALE_KEY = "theme", "text_scale_percent"


class ThemeController(QObject):
    """Applies the theme at once and again whenever its settings or the system's colour scheme change."""

    def __init__(
        self, app: QApplication, settings: SettingsService, theme: ThemeState, bridge: Bridge, parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._app = app
        self._settings = settings
        self._theme = theme
        bridge.event_published.connect(self._on_event)
        QGuiApplication.styleHints().colorSchemeChanged.connect(self.apply)
        self.apply()

    @Slot()
    def apply(self) -> None:
        """Dress the application now."""
        scale_percent = int(self._settings.get(SCALE_KEY))
        palette = apply_theme(self._app, str(self._settings.get(THEME_KEY)), scale_percent)
        self._theme.update(palette, scale_percent)

    @Slot(object)
    def _on_event(self, event: object) -> None:
        if isinstance(event, SettingChanged) and event.key in (THEME_KEY, SCALE_KEY):
            self.apply()

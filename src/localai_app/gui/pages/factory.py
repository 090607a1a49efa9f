"""Makes pages by name. Each page's module is imported when the page is first shown, so that the window opens at once."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from localai_app.gui.bridge import Bridge
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.rail import RailEntry
from localai_app.services.app_services import AppServices

CHAT, MODELS, FIRST_START, COMPARE = "chat", "models", "first_start", "compare"
PERFORMANCE, SETTINGS = "performance", "settings"

RAIL_ENTRIES = (
    RailEntry(CHAT, "chat", "Chat"),
    RailEntry(MODELS, "models", "Models"),
    RailEntry(COMPARE, "compare", "Compare"),
    RailEntry(PERFORMANCE, "performance", "Performance"),
    RailEntry(SETTINGS, "settings", "Settings"),
)


def make_page(name: str, services: AppServices, theme: ThemeState, bridge: Bridge) -> QWidget:
    """The page called `name`; raises KeyError for a name that there is not."""
    if name == CHAT:
        from localai_app.gui.pages.chat_page import ChatPage

        return ChatPage(services, theme, bridge)
    if name == MODELS:
        from localai_app.gui.pages.models_page import ModelsPage

        return ModelsPage(services, theme, bridge)
    if name == FIRST_START:
        from localai_app.gui.pages.first_start_page import FirstStartPage

        return FirstStartPage(services, theme, bridge)
    if name == COMPARE:
        from localai_app.gui.pages.compare_page import ComparePage

        return ComparePage(services, theme, bridge)
    if name == PERFORMANCE:
        from localai_app.gui.pages.performance_page import PerformancePage

        return PerformancePage(services, theme, bridge)
    if name == SETTINGS:
        from localai_app.gui.pages.settings_page import SettingsPage

        return SettingsPage(services, theme, bridge)
    raise KeyError(name)

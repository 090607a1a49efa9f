"""The one icon font: Phosphor, as QtAwesome ships it.

QtAwesome itself is never imported, because it loads every font it has (40 MB); only this font's file and its
table of characters are read from where the distribution is installed.
"""

from __future__ import annotations

import importlib.util
import json
import logging
from pathlib import Path

from PySide6.QtGui import QFont, QFontDatabase

log = logging.getLogger(__name__)

GLYPHS: dict[str, str] = {
    "chat": "chat-circle-text", "models": "cube", "compare": "columns", "performance": "gauge", "settings": "gear-six",
    "search": "magnifying-glass", "download": "download-simple", "stop": "stop-fill", "send": "arrow-up",
    "pencil": "pencil-simple", "memory": "hard-drives", "gpu": "lightning", "refresh": "arrow-clockwise",
    "dots": "dots-three", "undo": "arrow-counter-clockwise", "retry": "arrow-clockwise", "external": "arrow-square-out",
    "attach": "paperclip", "pin": "push-pin", "filter": "funnel", "sort": "sort-ascending", "brand": "sparkle-fill",
    "log": "file-text", "vision": "eye", "thinking": "brain", "language": "translate", "error": "warning-circle",
    "disk": "hard-drive", "offline": "wifi-slash", "network": "globe", "assistant": "sparkle", "machine": "desktop",
    "stop-outline": "stop",
}
"""Our names where they differ from the font's; any name of the font works as well."""


class IconFont:
    """Names to characters of the icon font; reads its two files when first asked."""

    def __init__(self) -> None:
        self._family: str | None = None
        self._characters: dict[str, int] = {}

    def character(self, name: str) -> str:
        """The character drawn for an icon; raises KeyError for a name that neither we nor the font know."""
        self._load()
        if not self._family:
            return ""
        return chr(self._characters[GLYPHS.get(name, name)])

    def font(self, pixel_size: int) -> QFont:
        """The icon font at a size in pixels."""
        self._load()
        font = QFont(self._family or "")
        font.setPixelSize(max(1, pixel_size))
        font.setStyleStrategy(QFont.StyleStrategy.NoFontMerging)
        return font

    def _load(self) -> None:
        if self._family is not None:
            return
        self._family = ""
        files = _font_files()
        if files is None:
            log.warning("the icon font is not installed; buttons show no icons")
            return
        font_file, characters_file = files
        font_id = QFontDatabase.addApplicationFont(str(font_file))
        families = QFontDatabase.applicationFontFamilies(font_id) if font_id >= 0 else []
        if not families:
            log.warning("the icon font %s cannot be loaded; buttons show no icons", font_file.name)
            return
        self._family = families[0]
        table: dict[str, str] = json.loads(characters_file.read_text(encoding="utf-8"))
        self._characters = {name: int(code, 16) for name, code in table.items()}


def _font_files() -> tuple[Path, Path] | None:
    """The font and its table of characters, found without importing the package that ships them."""
    spec = importlib.util.find_spec("qtawesome")
    for place in (spec.submodule_search_locations or []) if spec is not None else []:
        fonts = Path(place) / "fonts"
        font_file = next(iter(sorted(fonts.glob("phosphor-*.ttf"))), None)
        characters_file = next(iter(sorted(fonts.glob("phosphor-charmap-*.json"))), None)
        if font_file is not None and characters_file is not None:
            return font_file, characters_file
    return None

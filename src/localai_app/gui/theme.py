"""Colours, fonts and the style sheet of the window: one palette object, one template, live re-theming.

Widgets are styled by a property, set with `styling.set_role(widget, role)`:

=================== ======================================================================================
Role                Meaning
=================== ======================================================================================
Text (QLabel)
``title``           first line of a page without a toolbar (26 px)
``heading``         name of the thing a page is about (20 px)
``name``            name in a card (17 px)
``lead``            title in a toolbar or dialog (16 px)
``body``            running text
``strong``          running text that matters more
``muted``           running text that matters less
``caption``         small text (12 px, muted); ``caption-strong``: full contrast; ``caption-warn``, ``caption-bad``: amber, red
``overline``        small label above a title, accent colour
``stat``            a large figure
``code``            fixed-width text
``text-good`` ``text-warn`` ``text-bad``  text that carries meaning by colour (and by its words)
``badge-good`` ``badge-warn`` ``badge-bad`` ``badge-neutral`` ``badge-accent``  a word in a pill
Areas (QFrame, QWidget)
``card``            raised area with border and radius; ``card-accent``: the recommended one among several
``panel``           flat area in the panel colour; ``page``: in the background colour
``toolbar``         the 56 px line on top of a page
``sidebar`` ``rail`` ``statusbar``  frame areas with their dividing lines
``well``            sunken area for code and figures
``bubble``          what the user said
``composer``        frame around a text input of its own
``divider``         a line, 1 px high or wide
``banner-info`` ``banner-good`` ``banner-warn`` ``banner-bad``  a message across a page
``toast`` ``popup`` floating areas; ``sheet``: a dialog with much in it
Buttons (QPushButton, QToolButton)
(none)              an ordinary button
``primary``         the one thing to do here
``danger``          removes something
``ghost``           no frame until the pointer is over it; ``icon``: the same, square, icon only
``link``            looks like a link
``chip``            a filter that can be checked, in a pill
``tab``             one of several views of a page, checkable
``nav``             entry of the rail; ``row``: a whole row that can be pressed, text at the left
Views (QAbstractItemView)
``list``            rows on the panel without a frame; ``table``: the same with a header
=================== ======================================================================================

``set_compact(button)`` gives any button less height. Painted widgets read `ThemeState.palette` when they
paint and are repainted by `ThemeState.changed`; nothing keeps a colour.
"""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from string import Template

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontDatabase, QFontInfo, QFontMetrics, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication

from localai_app.gui import metrics
from localai_app.gui.icon_font import IconFont
from localai_app.gui.metrics import TypeSizes, type_sizes
from localai_app.paths import resources_dir

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Palette:
    """Every colour of the window by its meaning, as `#rrggbb`."""

    name: str
    is_dark: bool
    background: str
    panel: str
    raised: str
    line: str
    control_line: str
    """Border of things that can be operated."""
    text: str
    muted: str
    faint: str
    """Not for text that has to be read: placeholders, disabled parts, other programs' share of a bar."""
    accent: str
    accent_hover: str
    accent_pressed: str
    accent_soft: str
    on_accent: str
    hover: str
    pressed: str
    focus: str
    good: str
    good_soft: str
    warn: str
    warn_soft: str
    bad: str
    bad_soft: str
    code: str
    gpu: str
    gpu_light: str
    """Second segment of a GPU bar (context beside weights)."""
    ram: str
    user: str
    tooltip: str
    on_tooltip: str

    def color(self, token: str) -> QColor:
        """One colour by its field name, for painting."""
        return QColor(getattr(self, token))


LIGHT = Palette(
    name="light", is_dark=False, background="#f6f7f9", panel="#ffffff", raised="#ffffff", line="#e3e6eb",
    control_line="#d9dde4", text="#171a20", muted="#5d6573", faint="#939baa", accent="#3a5fd8", accent_hover="#3154c8",
    accent_pressed="#2a49b2",
    accent_soft="#e8eefc", on_accent="#ffffff", hover="#eef0f4", pressed="#e4e7ed", focus="#3a5fd8",
    good="#19764a", good_soft="#e2f4ea", warn="#8a5800", warn_soft="#fdf1da", bad="#b3342b", bad_soft="#fbe7e5",
    code="#f1f3f6", gpu="#3d63dd", gpu_light="#8fa8f5", ram="#2f9e8f", user="#eef2fb", tooltip="#22262e", on_tooltip="#f3f5f8")
DARK = Palette(
    name="dark", is_dark=True, background="#101216", panel="#16191f", raised="#1c2027", line="#2a2f39", control_line="#323843",
    text="#e8ebf0", muted="#9aa3b2", faint="#6d7686", accent="#7c9bff", accent_hover="#93adff", accent_pressed="#6a89ec",
    accent_soft="#222c4a", on_accent="#0d1220", hover="#20252e", pressed="#282e39", focus="#7c9bff",
    good="#5fce95", good_soft="#16301f", warn="#e5b45a", warn_soft="#33270f", bad="#f08a82", bad_soft="#3a1b19",
    code="#0d0f13", gpu="#7c9bff", gpu_light="#4d62a6", ram="#58c7b6", user="#1d2536", tooltip="#2c323d", on_tooltip="#f1f3f7")
CONTRAST = Palette(
    name="contrast", is_dark=True, background="#000000", panel="#000000", raised="#000000", line="#ffffff",
    control_line="#ffffff", text="#ffffff", muted="#e6e6e6", faint="#b4b4b4", accent="#ffdd33", accent_hover="#ffe970",
    accent_pressed="#e6c400",
    accent_soft="#3a3200", on_accent="#000000", hover="#2b2b2b", pressed="#404040", focus="#ffdd33",
    good="#7dffad", good_soft="#00290f", warn="#ffc869", warn_soft="#332200", bad="#ffa199", bad_soft="#3d0500",
    code="#0d0d0d", gpu="#ffdd33", gpu_light="#b39600", ram="#66f0ff", user="#1a1a1a", tooltip="#ffffff", on_tooltip="#000000")

PREFERRED_FONTS = ("Inter", "Noto Sans", "Cantarell", "Ubuntu", "Open Sans")
FALLBACK_FAMILIES = frozenset(
    {"dejavu sans", "sans serif", "sans", "bitstream vera sans", "helvetica", "nimbus sans", "verdana"})
"""What Linux falls back to where no desktop names a font; a system that names one of its own is never overruled."""
MONO_FONTS = ("JetBrains Mono", "Cascadia Mono", "SF Mono", "Menlo", "Consolas", "Noto Sans Mono", "DejaVu Sans Mono")


def palette_named(name: str, system_is_dark: bool) -> Palette:
    """The palette of the setting `theme`: light, dark, contrast or system (also for anything unknown)."""
    named = {"light": LIGHT, "dark": DARK, "contrast": CONTRAST}
    return named.get(name, DARK if system_is_dark else LIGHT)


class ThemeState(QObject):
    """The palette and type sizes in force. Pages and painted widgets get it by constructor."""

    changed = Signal()

    def __init__(self, palette: Palette = LIGHT, scale_percent: int = 100, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._palette = palette
        self._sizes = type_sizes(scale_percent)
        self._icon_font = IconFont()

    @property
    def palette(self) -> Palette:
        """Colours now."""
        return self._palette

    @property
    def sizes(self) -> TypeSizes:
        """Type sizes now, in pixels."""
        return self._sizes

    @property
    def icon_font(self) -> IconFont:
        """The font that icons are drawn from; loaded with the first icon."""
        return self._icon_font

    def update(self, palette: Palette, scale_percent: int) -> None:
        """Put another palette or text scale in force and tell everyone if anything differs."""
        sizes = type_sizes(scale_percent)
        if (palette, sizes) == (self._palette, self._sizes):
            return
        self._palette, self._sizes = palette, sizes
        self.changed.emit()

    def text_font(self, pixel_size: int, weight: QFont.Weight = QFont.Weight.Normal) -> QFont:
        """The window's font for painting, tabular figures included."""
        font = QFont(QApplication.font())
        font.setPixelSize(pixel_size)
        font.setWeight(weight)
        return font

    def code_font(self) -> QFont:
        """The fixed-width font for code and reports."""
        font = QFont(mono_family())
        font.setPixelSize(self._sizes.code)
        return font


def apply_theme(app: QApplication, name: str, scale_percent: int) -> Palette:
    """Dress the whole application in the theme called `name`: Fusion, palette, font and style sheet."""
    follows_contrast = name not in ("light", "dark") and system_prefers_contrast()
    palette = CONTRAST if follows_contrast else palette_named(name, system_prefers_dark())
    sizes = type_sizes(scale_percent)
    # Below a style sheet a style does not tell its name. Set again, it would take their own fonts from widgets that nobody
    # tells of a change.
    if not app.styleSheet() and (app.style() is None or app.style().objectName() != "fusion"):
        app.setStyle("fusion")
    app.setPalette(qt_palette(palette))
    app.setFont(ui_font(sizes.body))
    sheet = style_sheet(palette, sizes)
    if app.styleSheet() != sheet:
        app.setStyleSheet(sheet)
    return palette


def system_prefers_dark() -> bool:
    """Whether the desktop asks for dark windows; false where it does not say."""
    hints = QGuiApplication.styleHints()
    return bool(hints.colorScheme() == Qt.ColorScheme.Dark)


def system_prefers_contrast() -> bool:
    """Whether the desktop asks for high contrast; false where it does not say, and before Qt 6.10."""
    hints = QGuiApplication.styleHints()
    if not hasattr(hints, "accessibility"):
        return False
    return bool(hints.accessibility().contrastPreference() == Qt.ContrastPreference.HighContrast)


def style_sheet(palette: Palette, sizes: TypeSizes) -> str:
    """The style sheet for one palette and text scale, from the template in resources."""
    folder = resources_dir() / "style"
    template = Template((folder / "app.qss").read_text(encoding="utf-8"))
    values: dict[str, object] = dataclasses.asdict(palette)
    values.update({f"size_{field}": size for field, size in dataclasses.asdict(sizes).items()})
    values.update(radius_small=metrics.RADIUS_SMALL, radius_control=metrics.RADIUS_CONTROL, radius_card=metrics.RADIUS_CARD,
                  radius_bubble=metrics.RADIUS_BUBBLE,
                  radius_badge=_pill_radius(sizes.caption, metrics.BADGE_PADDING),
                  radius_chip=_pill_radius(sizes.caption, metrics.CHIP_PADDING + 1),
                  badge_padding=metrics.BADGE_PADDING, chip_padding=metrics.CHIP_PADDING,
                  toolbar_height=max(metrics.TOOLBAR_HEIGHT, sizes.body + 42) - 1, mono=mono_family(), images=folder.as_posix())
    return template.substitute(values)


def _pill_radius(text_size: int, padding: int) -> int:
    """Half the height of one line of semibold text with its padding: Qt draws square corners for any larger radius."""
    font = ui_font(text_size)
    font.setWeight(QFont.Weight.DemiBold)
    return (QFontMetrics(font).height() + 2 * padding) // 2


def ui_font(pixel_size: int) -> QFont:
    """The system's own font with tabular figures, or a good installed one where the system names none."""
    font = QFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.GeneralFont))
    if QFontInfo(font).family().lower() in FALLBACK_FAMILIES or font.family().lower() in FALLBACK_FAMILIES:
        better = next((family for family in PREFERRED_FONTS if QFontDatabase.hasFamily(family)), None)
        if better is not None:
            font = QFont(better)
    font.setPixelSize(pixel_size)
    font.setHintingPreference(QFont.HintingPreference.PreferVerticalHinting)
    with_tabular_figures(font)
    return font


def with_tabular_figures(font: QFont) -> None:
    """Give all digits of `font` the same width, where the font can (Qt 6.7 or later)."""
    if hasattr(font, "setFeature"):
        font.setFeature(QFont.Tag("tnum"), 1)


def mono_family() -> str:
    """An installed fixed-width family, the system's choice where it names a real one."""
    system = QFontInfo(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
    if system.fixedPitch() and system.family().lower() not in {"courier", "courier new", "monospace"}:
        return system.family()
    return next((family for family in MONO_FONTS if QFontDatabase.hasFamily(family)), "monospace")


def qt_palette(palette: Palette) -> QPalette:
    """The same colours in Qt's terms, for what the style sheet does not reach."""
    roles = QPalette.ColorRole
    colors = {
        roles.Window: palette.background, roles.WindowText: palette.text, roles.Base: palette.raised, roles.Text: palette.text,
        roles.AlternateBase: palette.background, roles.Button: palette.raised, roles.ButtonText: palette.text,
        roles.BrightText: palette.on_accent, roles.Highlight: palette.accent, roles.HighlightedText: palette.on_accent,
        roles.Link: palette.accent, roles.LinkVisited: palette.accent, roles.PlaceholderText: palette.faint,
        roles.ToolTipBase: palette.tooltip, roles.ToolTipText: palette.on_tooltip, roles.Light: palette.raised,
        roles.Midlight: palette.hover, roles.Mid: palette.line, roles.Dark: palette.control_line, roles.Shadow: palette.line,
        roles.Accent: palette.accent,
    }
    result = QPalette()
    for role, color in colors.items():
        result.setColor(role, QColor(color))
    for role in (roles.WindowText, roles.Text, roles.ButtonText):
        result.setColor(QPalette.ColorGroup.Disabled, role, QColor(palette.faint))
    return result

from __future__ import annotations

import dataclasses
from string import Template

import pytest
from PySide6.QtCore import QPoint
from PySide6.QtGui import QColor, QFontMetrics, QImage, QRegion
from PySide6.QtWidgets import QApplication, QPlainTextEdit, QWidget

from localai_app.gui import theme as theme_module
from localai_app.gui.chat.title_edit import TitleEdit
from localai_app.gui.metrics import type_sizes
from localai_app.gui.styling import button, label, set_role
from localai_app.gui.theme import CONTRAST, DARK, LIGHT, Palette, ThemeState, apply_theme, palette_named, style_sheet, ui_font
from localai_app.gui.widgets.badge import Badge
from localai_app.paths import resources_dir

PALETTES = (LIGHT, DARK, CONTRAST)
PLAIN_SURFACES = ("background", "panel", "raised", "hover", "code", "user", "accent_soft")
READ_TOGETHER = [
    *[(ink, surface) for ink in ("text", "muted") for surface in PLAIN_SURFACES],
    *[(ink, surface) for ink in ("accent", "good", "warn", "bad") for surface in ("background", "panel", "raised")],
    *[(ink, f"{ink}_soft") for ink in ("accent", "good", "warn", "bad")],
    *[("text", f"{tone}_soft") for tone in ("good", "warn", "bad")],
    *[("on_accent", surface) for surface in ("accent", "accent_hover", "accent_pressed")],
    ("on_tooltip", "tooltip"),
]


def luminance(color: QColor) -> float:
    """WCAG 2.2 relative luminance."""
    def linear(channel: float) -> float:
        return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4

    return 0.2126 * linear(color.redF()) + 0.7152 * linear(color.greenF()) + 0.0722 * linear(color.blueF())


def contrast(a: QColor, b: QColor) -> float:
    lighter, darker = sorted((luminance(a), luminance(b)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("palette", PALETTES, ids=lambda palette: palette.name)
@pytest.mark.parametrize(("ink", "surface"), READ_TOGETHER)
def test_text_is_readable_on_every_surface_it_lies_on(palette: Palette, ink: str, surface: str) -> None:
    assert contrast(palette.color(ink), palette.color(surface)) >= 4.5


@pytest.mark.parametrize("palette", PALETTES, ids=lambda palette: palette.name)
def test_bars_and_focus_stand_out_from_their_surroundings(palette: Palette) -> None:
    for token in ("gpu", "ram", "focus"):
        assert contrast(palette.color(token), palette.color("background")) >= 3.0


def test_names_of_the_setting_choose_the_palette() -> None:
    assert palette_named("light", True) is LIGHT
    assert palette_named("dark", False) is DARK
    assert palette_named("contrast", False) is CONTRAST
    assert palette_named("system", True) is DARK
    assert palette_named("system", False) is LIGHT


def test_template_uses_only_tokens_that_exist_and_numbers_follow_the_scale() -> None:
    normal, large = (style_sheet(LIGHT, type_sizes(percent)) for percent in (100, 200))
    assert "$" not in normal
    assert "font-size: 26px" in normal
    assert "font-size: 52px" in large
    template = Template((resources_dir() / "style" / "app.qss").read_text(encoding="utf-8"))
    unused = {field.name for field in dataclasses.fields(Palette)} - set(template.get_identifiers())
    assert unused <= {"is_dark", "gpu", "gpu_light", "ram"}, "a colour that neither the template nor a painted widget uses"


def test_applying_a_theme_changes_palette_and_text_size_at_once(qapp: QApplication, qtbot) -> None:
    title = label("Title", "title")
    qtbot.addWidget(title)
    apply_theme(qapp, "light", 100)
    title.ensurePolished()
    assert qapp.palette().window().color().name() == LIGHT.background
    assert QFontMetrics(title.font()).height() > 0
    normal_px = title.font().pixelSize()
    apply_theme(qapp, "dark", 150)
    assert qapp.palette().window().color().name() == DARK.background
    assert title.font().pixelSize() == round(normal_px * 1.5)
    qapp.setStyleSheet("")


def test_a_theme_that_is_in_force_already_leaves_widgets_their_own_fonts(qapp: QApplication, qtbot) -> None:
    state = ThemeState()
    apply_theme(qapp, "light", 100)
    window = set_role(QWidget(), "panel")
    qtbot.addWidget(window)
    title = TitleEdit(state, window)
    window.show()
    for name, scale_percent in (("light", 150), ("dark", 120)):
        state.update(apply_theme(qapp, name, scale_percent), scale_percent)
        apply_theme(qapp, name, scale_percent)
        QApplication.processEvents()
        assert title.font().pixelSize() == state.sizes.lead
    qapp.setStyleSheet("")


def test_roles_set_after_showing_take_effect(qapp: QApplication, qtbot) -> None:
    apply_theme(qapp, "light", 100)
    text = label("word", "body")
    qtbot.addWidget(text)
    text.show()
    assert text.palette().windowText().color().name() == LIGHT.text
    set_role(text, "muted")
    assert text.palette().windowText().color().name() == LIGHT.muted
    qapp.setStyleSheet("")


def test_theme_state_tells_only_of_real_changes(qtbot) -> None:
    state = ThemeState(LIGHT, 100)
    heard: list[str] = []
    state.changed.connect(lambda: heard.append(state.palette.name))
    state.update(LIGHT, 100)
    assert heard == []
    state.update(DARK, 100)
    state.update(DARK, 125)
    assert heard == ["dark", "dark"]
    assert state.sizes.body == 18


def test_figures_of_the_window_font_all_have_the_same_width(qapp: QApplication) -> None:
    metrics = QFontMetrics(ui_font(14))
    assert len({metrics.horizontalAdvance(digit * 8) for digit in "0123456789"}) == 1


def test_the_systems_wish_for_contrast_is_followed_unless_a_theme_was_chosen(
    qapp: QApplication, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(theme_module, "system_prefers_contrast", lambda: True)
    assert apply_theme(qapp, "system", 100) is CONTRAST
    assert apply_theme(qapp, "light", 100) is LIGHT
    monkeypatch.undo()
    assert apply_theme(qapp, "system", 100) in (LIGHT, DARK)
    qapp.setStyleSheet("")


@pytest.mark.parametrize("scale_percent", [75, 100, 125, 150, 175, 200])
def test_pills_stay_round_at_every_text_size(qapp: QApplication, qtbot, scale_percent: int) -> None:
    apply_theme(qapp, "light", scale_percent)
    badge, chip = Badge("Runs on the CPU", "good"), button("Fits me", "chip")
    for pill in (badge, chip):
        qtbot.addWidget(pill)
        pill.ensurePolished()
        pill.resize(pill.sizeHint())
        image = QImage(pill.size(), QImage.Format.Format_ARGB32)
        image.fill(0)
        pill.render(image, QPoint(), QRegion(), QWidget.RenderFlag(0))
        corners = [image.pixelColor(x, y).alpha() for x in (1, pill.width() - 2) for y in (1, pill.height() - 2)]
        assert corners == [0, 0, 0, 0]
        assert image.pixelColor(pill.width() // 2, 1).alpha() == 255


@pytest.mark.parametrize("palette", PALETTES, ids=lambda palette: palette.name)
def test_a_field_of_several_lines_has_a_frame(qapp: QApplication, qtbot, palette: Palette) -> None:
    apply_theme(qapp, palette.name, 100)
    field = QPlainTextEdit()
    qtbot.addWidget(field)
    field.resize(200, 80)
    field.ensurePolished()
    image = field.grab().toImage()
    assert image.pixelColor(100, 0) == palette.color("control_line")
    assert image.pixelColor(100, 40) == palette.color("raised")

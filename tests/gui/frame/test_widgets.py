from __future__ import annotations

import math

import msgspec
import pytest
from PySide6.QtCore import QEvent, QPoint, Qt
from PySide6.QtGui import QGuiApplication, QHelpEvent, QImage
from PySide6.QtWidgets import QApplication, QLineEdit, QStyle, QStyleOptionComboBox, QToolButton, QToolTip, QWidget

from localai_app.errors import HUB_UNREACHABLE, NO_MODEL_LOADED, VARIANT_UNKNOWN, AppError, Remedy
from localai_app.fit.result import Verdict
from localai_app.gui.messages import MessageKind, UserMessage
from localai_app.gui.pages.factory import RAIL_ENTRIES
from localai_app.gui.styling import add_clear_button, button, combo_box, icon_button, set_icon
from localai_app.gui.theme import DARK, LIGHT, ThemeState, apply_theme
from localai_app.gui.widgets.badge import Badge, verdict_short, verdict_words
from localai_app.gui.widgets.elided_label import ElidedLabel
from localai_app.gui.widgets.empty_state import EmptyState
from localai_app.gui.widgets.error_banner import ErrorBanner
from localai_app.gui.widgets.gauge import GaugesPanel, short_gpu_name
from localai_app.gui.widgets.icon_label import IconLabel
from localai_app.gui.widgets.meter import Meter, Segment, segment_widths
from localai_app.gui.widgets.rail import Rail
from localai_app.gui.widgets.status_line import StatusLine
from localai_app.gui.widgets.switch import Switch
from localai_app.gui.widgets.toast import INFO_MS, MOST_AT_ONCE, ToastArea
from localai_app.hardware.report import Gpu, Memory, Vendor
from localai_app.services.events import MemoryMeasured
from localai_app.services.views import DownloadStatus, DownloadView, EngineState, EngineStatus
from tests.helpers.frame_fakes import LOADED, REPORT

GIB = 1024**3


@pytest.fixture
def theme() -> ThemeState:
    return ThemeState(LIGHT)


# --- badge ---------------------------------------------------------------------------------------
def test_every_verdict_has_its_own_words_and_a_short_form(qtbot) -> None:
    badge = Badge()
    qtbot.addWidget(badge)
    seen = set()
    for verdict in Verdict:
        badge.show_verdict(verdict)
        assert badge.text() == verdict_words(verdict)
        badge.show_verdict(verdict, short=True)
        assert (badge.text(), badge.accessibleName()) == (verdict_short(verdict), verdict_words(verdict))
        seen.add(badge.text())
    assert len(seen) == len(Verdict)


def test_a_verdict_changes_the_badges_colours(qtbot) -> None:
    badge = Badge()
    qtbot.addWidget(badge)
    badge.show_verdict(Verdict.GPU)
    assert badge.property("role") == "badge-good"
    badge.show_verdict(Verdict.NO)
    assert badge.property("role") == "badge-bad"


# --- meter ---------------------------------------------------------------------------------------
def test_segments_never_overflow_and_small_ones_stay_visible() -> None:
    assert segment_widths([50, 25], 100, 200) == [100, 50]
    widths = segment_widths([0.001, 99.999, 50], 100, 200)
    assert widths[0] == 2.0
    assert math.isclose(sum(widths), 200)
    assert segment_widths([1, 2], 0, 200) == [0, 0]


def colors_of(widget: QWidget) -> set[str]:
    image: QImage = widget.grab().toImage()
    return {image.pixelColor(x, image.height() // 2).name() for x in range(image.width())}


def test_a_meter_paints_its_segments_in_the_colours_of_the_theme(qtbot, theme: ThemeState) -> None:
    meter = Meter(theme, 8)
    qtbot.addWidget(meter)
    meter.resize(200, 8)
    meter.set_segments([Segment(50, "gpu", "models"), Segment(25, "faint", "others")], 100)
    assert {LIGHT.gpu, LIGHT.faint, LIGHT.line} <= colors_of(meter)
    assert meter.accessibleDescription() == "models 50%, others 25%"
    theme.update(DARK, 100)
    assert {DARK.gpu, DARK.faint, DARK.line} <= colors_of(meter)


# --- gauges --------------------------------------------------------------------------------------
def test_gauges_show_each_gpu_and_memory_and_follow_their_number(qtbot, theme: ThemeState) -> None:
    panel = GaugesPanel(theme)
    qtbot.addWidget(panel)
    panel.on_memory_measured(MemoryMeasured(REPORT.memory, REPORT.gpus, GIB))
    names = [child.accessibleName() for child in panel.findChildren(QWidget) if ": " in child.accessibleName()]
    assert names == [
        "RTX 4070: 12.0 GiB. Models here: 5.0 GiB. Other programs: 2.0 GiB. Free: 5.0 GiB.",
        "Memory: 32.0 GiB. Models here: 1.0 GiB. Other programs: 11.0 GiB. Free: 20.0 GiB.",
    ]
    panel.on_memory_measured(MemoryMeasured(REPORT.memory, (), 0))
    visible = [child.accessibleName() for child in panel.findChildren(QWidget)
               if ": " in child.accessibleName() and not child.isHidden()]
    assert visible == ["Memory: 32.0 GiB. Models here: 0 MiB. Other programs: 12.0 GiB. Free: 20.0 GiB."]


def test_gauges_never_claim_more_than_there_is(qtbot, theme: ThemeState) -> None:
    panel = GaugesPanel(theme)
    qtbot.addWidget(panel)
    silent = Gpu(index=0, name="Old", vendor=Vendor.AMD, total_bytes=None, free_bytes=None)
    odd = Gpu(index=1, name="Odd", vendor=Vendor.AMD, total_bytes=4 * GIB, free_bytes=3 * GIB, used_by_others_bytes=9 * GIB)
    panel.on_memory_measured(MemoryMeasured(Memory(total_bytes=8 * GIB, available_bytes=6 * GIB), (silent, odd), 50 * GIB))
    names = [child.accessibleName() for child in panel.findChildren(QWidget) if ": " in child.accessibleName()]
    assert names == [
        "Odd: 4.0 GiB. Models here: 0 MiB. Other programs: 1.0 GiB. Free: 3.0 GiB.",
        "Memory: 8.0 GiB. Models here: 2.0 GiB. Other programs: 0 MiB. Free: 6.0 GiB.",
    ]


def test_makers_names_are_left_out_where_there_is_little_room() -> None:
    assert short_gpu_name("NVIDIA GeForce RTX 4070") == "RTX 4070"
    assert short_gpu_name("NVIDIA ") == "NVIDIA "
    assert short_gpu_name("Apple M4") == "Apple M4"


# --- status line ---------------------------------------------------------------------------------
def view(number: int, status: DownloadStatus, speed: float | None) -> DownloadView:
    return DownloadView(number, "a/b", "Q4_K_M", status, 1, 2, speed, None, None)


def test_the_bottom_line_tells_model_place_context_speed_and_network(qtbot, theme: ThemeState) -> None:
    line = StatusLine(theme)
    qtbot.addWidget(line)
    line.resize(1200, 32)
    assert line.words == "No model loaded | No network in use"
    line.show_engine(EngineState(EngineStatus.LOADING, "k", "Qwen3 8B", fraction=0.42))
    assert line.words == "Loading Qwen3 8B · 42% | No network in use"
    line.show_engine(EngineState(EngineStatus.READY, "k", "Qwen3 8B", LOADED, context_used=1204, tps=61.3))
    assert line.words == "Qwen3 8B | GPU 33/33 layers | context 1,204 / 16,384 | 61 tok/s | No network in use"
    line.show_network([view(1, DownloadStatus.DOWNLOADING, 12e6), view(2, DownloadStatus.PAUSED, None)])
    assert line.words.endswith("| Downloading 1 model, 12 MB/s")
    line.show_network([view(2, DownloadStatus.PAUSED, None)], "Computing on other computers")
    assert line.words.endswith("| Computing on other computers")
    line.show_network([view(1, DownloadStatus.DOWNLOADING, None), view(2, DownloadStatus.DOWNLOADING, None)])
    assert line.words.endswith("| Downloading 2 models")
    line.show_engine(EngineState(EngineStatus.FAILED, "k", "Qwen3 8B"))
    assert line.words.startswith("Qwen3 8B stopped |")


def test_a_model_without_gpu_layers_runs_on_the_cpu(qtbot, theme: ThemeState) -> None:
    line = StatusLine(theme)
    qtbot.addWidget(line)
    on_cpu = msgspec.structs.replace(LOADED, gpu_layers=0)
    line.show_engine(EngineState(EngineStatus.READY, "k", "Phi", on_cpu))
    assert " | CPU | " in line.words


def test_a_narrow_bottom_line_leaves_parts_out_instead_of_cutting_them(qtbot, theme: ThemeState) -> None:
    line = StatusLine(theme)
    qtbot.addWidget(line)
    line.show_engine(EngineState(EngineStatus.READY, "k", "Qwen3 8B", LOADED, context_used=1204, tps=61.3))
    line.resize(1200, 32)
    line.show()
    assert line._place.isVisible()
    line.resize(420, 32)
    assert not line._place.isVisible()
    for part in (line._context, line._speed, line._network):
        assert not part.isVisible() or part.width() >= part.sizeHint().width()


# --- rail ----------------------------------------------------------------------------------------
def test_the_rail_announces_what_was_chosen_and_marks_what_is_shown(qtbot, theme: ThemeState) -> None:
    rail = Rail(theme, RAIL_ENTRIES)
    qtbot.addWidget(rail)
    chosen: list[str] = []
    rail.page_chosen.connect(chosen.append)
    rail.button("models").click()
    rail.select("settings")
    assert chosen == ["models"]
    assert [entry.page for entry in RAIL_ENTRIES if rail.button(entry.page).isChecked()] == ["settings"]
    rail.select("first_start")
    assert rail.button("settings").isChecked()


def test_every_rail_entry_fits_at_double_text_size(qtbot, qapp) -> None:
    theme = ThemeState(LIGHT, 200)
    apply_theme(qapp, "light", 200)
    rail = Rail(theme, RAIL_ENTRIES)
    qtbot.addWidget(rail)
    rail.show()
    for entry in RAIL_ENTRIES:
        button = rail.button(entry.page)
        assert button.width() >= button.sizeHint().width()
    qapp.setStyleSheet("")


# --- errors and empty pages ----------------------------------------------------------------------
def test_a_banner_tells_error_and_advice_and_hands_on_its_remedy(qtbot, theme: ThemeState) -> None:
    banner = ErrorBanner(theme)
    qtbot.addWidget(banner)
    assert banner.isHidden()
    asked: list[Remedy] = []
    banner.remedy_requested.connect(asked.append)
    banner.show_error(AppError(HUB_UNREACHABLE, host="hub.test", detail="timeout after 5 s"))
    assert not banner.isHidden()
    assert banner.accessibleName().startswith("Error: The Hub at hub.test cannot be reached. Check")
    banner.remedy_button.click()
    assert asked == [Remedy.RETRY]
    banner.copy_button.click()
    assert "timeout after 5 s" in QGuiApplication.clipboard().text()
    banner.close_button.click()
    assert banner.isHidden()
    assert banner.error is None


def test_a_banner_has_no_button_where_there_is_no_remedy(qtbot, theme: ThemeState) -> None:
    banner = ErrorBanner(theme)
    qtbot.addWidget(banner)
    banner.show_error(AppError(VARIANT_UNKNOWN, repo="a/b", variant="Q9", choices="Q4_K_M"))
    assert banner.remedy_button.isHidden()
    banner.show_error(AppError(NO_MODEL_LOADED))
    assert not banner.remedy_button.isHidden()


def test_the_buttons_of_a_banner_go_below_its_words_where_there_is_no_room(qtbot, theme: ThemeState) -> None:
    banner = ErrorBanner(theme)
    qtbot.addWidget(banner)
    banner.show_error(AppError(HUB_UNREACHABLE, host="hub.test"), other="Load anyway…")
    for width, is_below in ((900, False), (380, True), (900, False)):
        banner.resize(width, banner.heightForWidth(width))
        banner.show()
        qtbot.waitUntil(
            lambda is_below=is_below: (banner._actions.geometry().top() > banner._advice.geometry().bottom()) is is_below)
        assert banner.other_button.width() >= banner.other_button.sizeHint().width()
        assert banner._actions.geometry().right() < width
    with qtbot.waitSignal(banner.other_requested):
        banner.other_button.click()


def test_an_empty_page_shows_its_words_whole_and_its_button_works(qtbot, theme: ThemeState) -> None:
    empty = EmptyState(theme, "models", "No model yet", "A sentence that is long enough to need three lines. " * 3, "Get one")
    qtbot.addWidget(empty)
    empty.resize(700, 500)
    empty.show()
    assert empty._text.height() >= empty._text.heightForWidth(empty._text.width())
    with qtbot.waitSignal(empty.button_pressed):
        empty.button.click()
    empty.set_words("Other", "words")
    assert empty.button.isHidden()


# --- small ones ----------------------------------------------------------------------------------
def test_a_switch_turns_with_the_mouse_and_says_so(qtbot, theme: ThemeState) -> None:
    switch = Switch(theme)
    qtbot.addWidget(switch)
    switch.show()
    heard: list[bool] = []
    switch.toggled.connect(heard.append)
    switch.click()
    qtbot.waitUntil(lambda: switch.knob == 1.0)
    switch.click()
    qtbot.waitUntil(lambda: switch.knob == 0.0)
    assert heard == [True, False]


def test_a_long_text_is_shortened_and_told_whole_on_hover(qtbot) -> None:
    text = ElidedLabel("A very long name of a model that does not fit")
    qtbot.addWidget(text)
    text.resize(80, 20)
    text.show()
    text.grab()
    assert text.toolTip() == text.text()
    text.resize(900, 20)
    text.grab()
    assert text.toolTip() == ""


def test_a_list_shows_its_words_whole_or_shortened_and_told_on_hover(qapp: QApplication, qtbot) -> None:
    apply_theme(qapp, "light", 100)
    box = combo_box()
    qtbot.addWidget(box)
    box.addItem("A very long name of a model")
    box.setToolTip("Which one")
    box.resize(box.sizeHint())
    box.show()
    hovered = QHelpEvent(QEvent.Type.ToolTip, QPoint(5, 5), box.mapToGlobal(QPoint(5, 5)))
    qapp.sendEvent(box, hovered)
    assert QToolTip.text() == "Which one", "all of it is seen"
    box.resize(130, box.height())
    qapp.sendEvent(box, hovered)
    assert QToolTip.text() == "A very long name of a model\nWhich one"
    short = box.grab().toImage()
    option = QStyleOptionComboBox()
    box.initStyleOption(option)
    room = box.style().subControlRect(
        QStyle.ComplexControl.CC_ComboBox, option, QStyle.SubControl.SC_ComboBoxEditField, box).width()
    shown = box.fontMetrics().elidedText(box.itemText(0), Qt.TextElideMode.ElideRight, room)
    box.setItemText(0, shown)
    assert shown.endswith("…")
    assert box.grab().toImage() == short, "no letter is cut off"
    QToolTip.hideText()


def test_icons_beside_words_follow_colour_and_text_size(qtbot, theme: ThemeState) -> None:
    icon_label = IconLabel("stop", theme, "warn", 18)
    qtbot.addWidget(icon_label)
    assert LIGHT.warn in inks_of(icon_label)
    theme.update(DARK, 200)
    assert DARK.warn in inks_of(icon_label)
    assert icon_label.width() == 36


def inks_of(icon_label: IconLabel) -> set[str]:
    image = icon_label.pixmap().toImage()
    points = [(x, y) for x in range(image.width()) for y in range(image.height())]
    return {image.pixelColor(x, y).name() for x, y in points if image.pixelColor(x, y).alpha() == 255}


def test_icons_on_buttons_grow_with_the_text_and_can_be_replaced(qtbot, theme: ThemeState) -> None:
    shown = icon_button("play", "Play", theme, size=16)
    qtbot.addWidget(shown)
    set_icon(shown, "pause", theme, size=18)
    assert shown.iconSize().width() == 18
    theme.update(LIGHT, 150)
    assert shown.iconSize().width() == 27


# --- toasts --------------------------------------------------------------------------------------
def test_toasts_stack_inside_the_window_and_run_their_action(qtbot, theme: ThemeState) -> None:
    host = QWidget()
    qtbot.addWidget(host)
    host.resize(900, 600)
    host.show()
    area, done = ToastArea(host, theme), []
    area.show_message(UserMessage(MessageKind.INFO, "Chat deleted.", button="Undo", on_button=lambda: done.append("undone")))
    area.show_message(UserMessage(MessageKind.ERROR, "It failed.", "Try again.", details="the details"))
    first, second = area.toasts
    assert not first.geometry().intersects(second.geometry())
    assert host.rect().contains(first.geometry())
    host.resize(1000, 700)
    assert first.geometry().right() > 950
    second.copy_button.click()
    assert QGuiApplication.clipboard().text() == "the details"
    first.action_button.click()
    assert done == ["undone"]
    assert area.toasts == (second,)
    second.close_button.click()
    assert area.toasts == ()


def test_toasts_stay_above_what_is_written_in_or_pressed_below(qtbot, theme: ThemeState) -> None:
    host = QWidget()
    qtbot.addWidget(host)
    host.resize(900, 600)
    field = QWidget(host)
    field.setGeometry(300, 480, 560, 80)
    host.show()
    area = ToastArea(host, theme)
    area.keep_clear_of(field)
    area.show_message(UserMessage(MessageKind.ERROR, "It failed."))
    (toast,) = area.toasts
    assert toast.geometry().bottom() < 480
    field.setGeometry(300, 400, 560, 160)
    assert toast.geometry().bottom() < 400, "it grew"
    field.hide()
    assert toast.geometry().bottom() > 500
    field.show()
    assert toast.geometry().bottom() < 400


def test_information_goes_by_itself_and_errors_stay(qtbot, theme: ThemeState) -> None:
    host = QWidget()
    qtbot.addWidget(host)
    host.resize(900, 600)
    area = ToastArea(host, theme)
    area.show_message(UserMessage(MessageKind.ERROR, "Stays"))
    area.show_message(UserMessage(MessageKind.INFO, "Goes"))
    error, info = area.toasts
    assert not error._timer.isActive()
    assert (info._timer.isActive(), info._timer.interval()) == (True, INFO_MS)
    info._timer.setInterval(1)
    qtbot.waitUntil(lambda: area.toasts == (error,))


def test_the_same_message_is_shown_once_and_old_ones_make_room(qtbot, theme: ThemeState) -> None:
    host = QWidget()
    qtbot.addWidget(host)
    area = ToastArea(host, theme)
    for _ in range(3):
        area.show_message(UserMessage(MessageKind.ERROR, "Again"))
    assert len(area.toasts) == 1
    for number in range(MOST_AT_ONCE + 2):
        area.show_message(UserMessage(MessageKind.ERROR, f"Number {number}"))
    assert [toast.message.text for toast in area.toasts] == [f"Number {number}" for number in range(2, MOST_AT_ONCE + 2)]


def test_the_cross_of_a_search_field_is_one_of_our_icons_and_has_a_name(qtbot) -> None:
    field = QLineEdit()
    qtbot.addWidget(field)
    add_clear_button(field, "Clear the search", ThemeState())
    cross = field.findChild(QToolButton)
    assert cross is not None
    assert cross.accessibleName() == "Clear the search"
    field.setText("words")
    cross.click()
    assert field.text() == ""


def test_a_pointer_on_a_filter_or_tab_leaves_the_keyboard_where_it_is(qtbot) -> None:
    for role in ("chip", "tab"):
        quiet = button("Fits me", role)
        qtbot.addWidget(quiet)
        assert quiet.focusPolicy() == Qt.FocusPolicy.TabFocus

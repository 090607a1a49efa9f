"""Themes, large text, the keyboard and names for screen readers, on every page of the real window with something on it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QAccessible, QColor, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractScrollArea,
    QApplication,
    QLabel,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QWidget,
)

from localai_app.compare.comparison import Verdict, Vote
from localai_app.engine.launch import worker_command
from localai_app.services.views import EngineStatus
from localai_app.store.records import MessageState
from tests.helpers.kept_comparisons import two_models
from tests.helpers.real_window import RealWindow, open_window, text_of, wait_for
from tests.helpers.services_fixture import TINY_KEY, install_tiny_model, open_services

MODEL_TABS = ("Suggested", "Discover", "Installed", "Downloads")
COMPARE_TABS = ("Answers", "Results", "Leaderboard", "Smaller files", "History")
PLACES = ("chat", "new chat", *MODEL_TABS, *COMPARE_TABS, "performance", "settings")
SETTLED_S = 0.15
READABLE = 4.5
"""WCAG 2.2, 1.4.3: contrast of text; large text would need 3."""


@pytest.fixture
def lived_in(tmp_path: Path, offline: None) -> Path:
    """A profile with a model, a chat with an answer of every kind of Markdown, and a comparison."""
    data_dir = tmp_path / "data"
    install_tiny_model(data_dir)
    with open_services(data_dir, echo=()) as services:
        chat = services.chat.create()
        services.chat.send(chat.id, "Tell me about coffee.", TINY_KEY)
        while services.chat.messages(chat.id)[-1].state is not MessageState.DONE or len(services.chat.messages(chat.id)) < 2:
            time.sleep(0.01)
        services.compare.comparisons.restore(two_models(votes=(Vote(prompt=0, repeat=0, verdict=Verdict.BEST, winner=1),)))
    return data_dir


@contextmanager
def open_lived_in(data_dir: Path, qtbot: object, **settings: object) -> Iterator[RealWindow]:
    """The window with that profile, its model loaded and its suggestions computed."""
    with open_services(data_dir) as services:
        for key, value in settings.items():
            services.settings.set(key, value)  # type: ignore[arg-type]
    with open_window(data_dir, worker=worker_command("echo")) as run:
        run.services.engine.load(TINY_KEY)
        wait_for(qtbot, lambda: run.services.engine.state.status is EngineStatus.READY)
        wait_for(qtbot, lambda: run.services.discovery.suggestions is not None)
        yield run


def go_to(run: RealWindow, place: str) -> None:
    """Show one of `PLACES`."""
    if place in MODEL_TABS:
        run.window.page("models")
        run.window.show_page("models").show_tab(place)  # type: ignore[attr-defined]
    elif place in COMPARE_TABS:
        page = run.window.show_page("compare")
        page.open_comparison(run.services.compare.comparisons.rows()[0].id)  # type: ignore[attr-defined]
        page.show_tab(place)  # type: ignore[attr-defined]
    elif place == "new chat":
        run.window.new_chat()
    else:
        page = run.window.show_page(place)
        if place == "chat":
            page.open_conversation(run.services.chat.conversations()[0].id)  # type: ignore[attr-defined]
    deadline_s = time.monotonic() + SETTLED_S
    while time.monotonic() < deadline_s:
        run.settle()
        time.sleep(0.005)


def describe(widget: QWidget) -> str:
    """A widget for a list of complaints."""
    words = text_of(widget)[:40] or widget.accessibleName()
    return f"{type(widget).__name__} {words!r} in {type(widget.parentWidget()).__name__}"


def on_every_page(run: RealWindow, complaints_of: Callable[[RealWindow], list[str]]) -> dict[str, list[str]]:
    """What there is to complain of, by page."""
    found: dict[str, list[str]] = {}
    for place in PLACES:
        go_to(run, place)
        complaints = complaints_of(run)
        if complaints:
            found[place] = sorted(set(complaints))
    return found


# --- contrast ----------------------------------------------------------------------------------
@pytest.mark.parametrize("theme", ["light", "dark", "contrast"])
def test_all_text_is_readable_in_every_theme(lived_in: Path, theme: str, qapp, qtbot) -> None:
    with open_lived_in(lived_in, qtbot, theme=theme) as run:
        assert on_every_page(run, faint_texts) == {}


def faint_texts(run: RealWindow) -> list[str]:
    """Visible, enabled texts whose colour is too near to what was painted behind them."""
    image = run.window.grab().toImage()
    faint = []
    for widget in run.visible((QLabel, QAbstractButton)):
        rect = part_on_screen(run, widget)
        if not widget.isEnabled() or not text_of(widget).strip() or rect.isEmpty() or not is_on_top(run, widget, rect.center()):
            continue
        ink, paper = widget.palette().color(widget.foregroundRole()), commonest_color(image, rect)
        if contrast(ink, paper) < READABLE:
            faint.append(f"{describe(widget)}: {ink.name()} on {paper.name()}, {contrast(ink, paper):.1f}")
    return faint


def part_on_screen(run: RealWindow, widget: QWidget) -> QRect:
    """The part of a widget that is not cut off by its parents, in the window's coordinates."""
    region = widget.visibleRegion().boundingRect()
    return QRect(widget.mapTo(run.window, region.topLeft()), region.size())


def is_on_top(run: RealWindow, widget: QWidget, place: QPoint) -> bool:
    """Whether nothing else lies over the middle of a widget."""
    top = run.window.childAt(place)
    return top is widget or (top is not None and widget.isAncestorOf(top))


def commonest_color(image: QImage, rect: QRect) -> QColor:
    """What lies behind a text covers more of its rectangle than the text."""
    ratio = image.devicePixelRatio()
    area = image.copy(QRect(round(rect.x() * ratio), round(rect.y() * ratio), max(1, round(rect.width() * ratio)),
                            max(1, round(rect.height() * ratio))))
    counts = Counter(area.pixel(x, y) for y in range(0, area.height(), 2) for x in range(0, area.width(), 2))
    return QColor(counts.most_common(1)[0][0])


def contrast(a: QColor, b: QColor) -> float:
    """WCAG 2.2 contrast ratio."""
    lighter, darker = sorted((luminance(a), luminance(b)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(color: QColor) -> float:
    """WCAG 2.2 relative luminance."""
    def linear(channel: float) -> float:
        return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4

    return 0.2126 * linear(color.redF()) + 0.7152 * linear(color.greenF()) + 0.0722 * linear(color.blueF())


# --- large text --------------------------------------------------------------------------------
def test_with_text_of_twice_the_size_every_control_can_be_reached(lived_in: Path, qapp, qtbot) -> None:
    with open_lived_in(lived_in, qtbot, text_scale_percent=200) as run:
        assert run.window.size().toTuple() == (1280, 800), "the window had to grow"
        assert on_every_page(run, cut_off) == {}


def cut_off(run: RealWindow) -> list[str]:
    """Controls that reach over the window, or over the width of an area that does not scroll sideways."""
    complaints = []
    for control in run.controls():
        area = scroll_area_of(control)
        frame: QWidget = run.window if area is None else area.viewport()
        rect = QRect(control.mapTo(frame, QPoint(0, 0)), control.size())
        can_scroll = area is not None and area.horizontalScrollBar().maximum() > 0
        if not can_scroll and not (rect.left() >= 0 and rect.right() < frame.width()):
            complaints.append(f"{describe(control)} is cut at the side: {rect.left()} to {rect.right()} of {frame.width()}")
        if area is None and not (rect.top() >= 0 and rect.bottom() < frame.height()):
            complaints.append(f"{describe(control)} is cut above or below: {rect.top()} to {rect.bottom()} of {frame.height()}")
        if isinstance(control, QPushButton) and control.width() < (needed := width_of_words(control)):
            complaints.append(f"{describe(control)} is too narrow for its words: {control.width()} of {needed}")
    return complaints


def width_of_words(button: QPushButton) -> int:
    """Pixels that a button's words and icon take, without anything around them."""
    icon = 0 if button.icon().isNull() else button.iconSize().width()
    return button.fontMetrics().horizontalAdvance(button.text()) + icon if button.text() else icon


def scroll_area_of(widget: QWidget) -> QAbstractScrollArea | None:
    """The innermost area whose content the widget is part of."""
    parent = widget.parentWidget()
    while parent is not None:
        if isinstance(parent, QScrollArea) and parent.widget() is not None and parent.widget().isAncestorOf(widget):
            return parent
        parent = parent.parentWidget()
    return None


# --- keyboard ----------------------------------------------------------------------------------
def test_tab_reaches_every_control(lived_in: Path, qapp, qtbot) -> None:
    with open_lived_in(lived_in, qtbot) as run:
        assert on_every_page(run, out_of_reach) == {}


def out_of_reach(run: RealWindow) -> list[str]:
    """Controls on which the cursor never stands, however often Tab is pressed."""
    wanted = run.controls()
    reached: list[QWidget] = []
    start = run.window.focusWidget() or run.window
    start.setFocus()
    for _ in range(len(wanted) * 3 + 50):
        focused = QApplication.focusWidget() or run.window.focusWidget()
        if focused is None or (reached and focused is reached[0]):
            break
        reached.append(focused)
        QTest.keyClick(focused, Qt.Key.Key_Tab)
    return [describe(control) for control in wanted if can_be_operated(control) and not is_reached(control, reached)]


def can_be_operated(control: QWidget) -> bool:
    """Everything but a title that is only shown: there is no chat yet that it could rename."""
    return not (isinstance(control, QLineEdit) and control.isReadOnly() and not control.toolTip())


def is_reached(control: QWidget, reached: list[QWidget]) -> bool:
    """Whether Tab came to a control, to a part of it, or to the checked one of a group, in which arrows lead on."""
    if any(widget is control or control.isAncestorOf(widget) or widget.focusProxy() is control for widget in reached):
        return True
    group = control.group() if isinstance(control, QAbstractButton) else None
    if group is not None and group.exclusive():
        return any(button in reached for button in group.buttons())
    return isinstance(control, QAbstractButton) and control.autoExclusive() and any(
        isinstance(other, QAbstractButton) and other.parent() is control.parent() for other in reached)


# --- names -------------------------------------------------------------------------------------
def test_every_control_has_a_name(lived_in: Path, qapp, qtbot) -> None:
    with open_lived_in(lived_in, qtbot) as run:
        assert on_every_page(run, nameless) == {}


def nameless(run: RealWindow) -> list[str]:
    """Controls for which a screen reader has no words."""
    return [describe(control) for control in run.controls() if not spoken_name(control)]


def spoken_name(widget: QWidget) -> str:
    """What assistive technology is told."""
    interface = QAccessible.queryAccessibleInterface(widget)
    return interface.text(QAccessible.Text.Name).strip() if interface is not None else ""

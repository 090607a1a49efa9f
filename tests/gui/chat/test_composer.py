"""Writing a message: Enter, Shift+Enter, input methods, long text."""

from __future__ import annotations

import time

from PySide6.QtCore import QMimeData, Qt
from PySide6.QtGui import QGuiApplication, QInputMethodEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from localai_app.gui.chat.composer import Composer
from localai_app.gui.theme import ThemeState


def composer(qtbot: QtBot, theme: ThemeState) -> Composer:
    widget = Composer(theme)
    qtbot.addWidget(widget)
    widget.resize(600, 120)
    widget.show()
    widget.edit.setFocus()
    return widget


def compose(widget: Composer, preedit: str, commit: str = "") -> None:
    event = QInputMethodEvent(preedit, [])
    event.setCommitString(commit)
    QApplication.sendEvent(widget.edit, event)


def test_enter_sends_and_shift_enter_begins_a_line(qtbot: QtBot, theme: ThemeState) -> None:
    widget = composer(qtbot, theme)
    sent: list[str] = []
    widget.send_requested.connect(sent.append)
    qtbot.keyClicks(widget.edit, "one")
    qtbot.keyClick(widget.edit, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    qtbot.keyClicks(widget.edit, "two")
    assert sent == []
    assert widget.text == "one\ntwo"
    qtbot.keyClick(widget.edit, Qt.Key.Key_Return)
    assert sent == ["one\ntwo"]
    assert widget.text == "one\ntwo"
    qtbot.keyClick(widget.edit, Qt.Key.Key_Enter, Qt.KeyboardModifier.KeypadModifier)
    assert len(sent) == 2


def test_the_keyboard_returns_to_the_text_when_stop_goes_away(qtbot: QtBot, theme: ThemeState) -> None:
    widget = composer(qtbot, theme)
    with qtbot.waitActive(widget):
        widget.activateWindow()
    widget.set_answering(True)
    qtbot.keyClick(widget.edit, Qt.Key.Key_Tab)
    assert not widget.edit.hasFocus()
    widget.set_answering(False)
    assert widget.edit.hasFocus()


def test_enter_while_composing_does_not_send(qtbot: QtBot, theme: ThemeState) -> None:
    widget = composer(qtbot, theme)
    sent: list[str] = []
    widget.send_requested.connect(sent.append)
    compose(widget, "にほん")
    qtbot.keyClick(widget.edit, Qt.Key.Key_Return)
    assert sent == []
    compose(widget, "", "日本")
    assert widget.text == "日本"
    assert sent == []
    qtbot.keyClick(widget.edit, Qt.Key.Key_Return)
    assert sent == ["日本"]


def test_nothing_is_not_sent(qtbot: QtBot, theme: ThemeState) -> None:
    widget = composer(qtbot, theme)
    sent: list[str] = []
    widget.send_requested.connect(sent.append)
    qtbot.keyClicks(widget.edit, "   ")
    qtbot.keyClick(widget.edit, Qt.Key.Key_Return)
    assert sent == []


def test_it_grows_to_eight_lines(qtbot: QtBot, theme: ThemeState) -> None:
    widget = composer(qtbot, theme)
    heights = []
    for n_lines in (1, 2, 8, 9, 50):
        widget.set_text("\n".join("x" * n_lines))
        heights.append(widget.edit.height())
    line = widget.edit.fontMetrics().lineSpacing()
    assert heights[1] - heights[0] == line
    assert heights[2] - heights[0] == 7 * line
    assert heights[2] == heights[3] == heights[4]


def test_pasting_200_kb_is_quick(qtbot: QtBot, theme: ThemeState) -> None:
    widget = composer(qtbot, theme)
    data = QMimeData()
    data.setText("a line of text with some words in it\n" * 5_400)
    QGuiApplication.clipboard().setMimeData(data)
    started_s = time.thread_time()
    widget.edit.paste()
    QApplication.processEvents()
    assert time.thread_time() - started_s < 0.5
    assert len(widget.text) > 190_000
    assert widget.edit.height() < 250
    qtbot.keyClicks(widget.edit, "x")
    assert widget.text.endswith("x")


def test_only_text_is_pasted(qtbot: QtBot, theme: ThemeState) -> None:
    widget = composer(qtbot, theme)
    data = QMimeData()
    data.setHtml("<b>bold</b><img src='file:///etc/passwd'>")
    data.setText("bold")
    widget.edit.insertFromMimeData(data)
    assert widget.text == "bold"


def test_what_is_said_below_the_text_is_shortened_where_there_is_no_room(qtbot: QtBot, theme: ThemeState) -> None:
    widget = composer(qtbot, theme)
    widget.show_context(214, 8192)
    widget.resize(320, widget.height())
    widget.grab()
    assert widget._note.toolTip() == widget.note
    widget.resize(680, widget.height())
    widget.grab()
    assert widget._note.toolTip() == ""


def test_the_context_meter_speaks(qtbot: QtBot, theme: ThemeState) -> None:
    widget = composer(qtbot, theme)
    widget.show_context(1204, 16_384)
    assert widget.context_words == "1,204 / 16,384"


def test_a_cleared_text_comes_back_with_undo(qtbot: QtBot, theme: ThemeState) -> None:
    widget = composer(qtbot, theme)
    qtbot.keyClicks(widget.edit, "precious")
    widget.clear()
    assert widget.text == ""
    widget.edit.undo()
    assert widget.text == "precious"

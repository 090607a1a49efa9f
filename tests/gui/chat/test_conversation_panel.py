"""The list of chats: opening, renaming, deleting only on purpose."""

from __future__ import annotations

import time

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from localai_app.gui.chat.conversation_panel import ConversationPanel
from localai_app.gui.itemmodels.conversation_list_model import ConversationListModel
from localai_app.gui.theme import ThemeState
from localai_app.store.records import Conversation


def chats(*titles: str) -> tuple[Conversation, ...]:
    now = time.time()
    return tuple(
        Conversation(id=number, title=title, model_key="", created_s=now, updated_s=now - 86_400 * number)
        for number, title in enumerate(titles, start=1))


def panel(qtbot: QtBot, theme: ThemeState) -> ConversationPanel:
    widget = ConversationPanel(theme)
    qtbot.addWidget(widget)
    widget.resize(248, 600)
    widget.show_conversations(chats("First", "Second", "Third"), 2)
    widget.show()
    widget.activateWindow()
    widget.list.setFocus()
    qtbot.waitUntil(lambda: bool(widget.list.hasFocus()))
    return widget


def test_the_model_is_a_good_item_model(qtmodeltester: ModelTester) -> None:
    model = ConversationListModel()
    model.show_conversations(chats("a", "b"))
    qtmodeltester.check(model)
    model.show_conversations(chats("c"))
    assert model.rowCount() == 1


def test_f2_renames_in_place(qtbot: QtBot, theme: ThemeState) -> None:
    widget = panel(qtbot, theme)
    asked: list[tuple[int, str]] = []
    widget.rename_requested.connect(lambda chat_id, title: asked.append((chat_id, title)))
    qtbot.keyClick(widget.list, Qt.Key.Key_F2)
    editor = widget.list.findChild(QLineEdit)
    assert editor is not None
    assert editor.text() == "Second"
    editor.setText("Better")
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: asked == [(2, "Better")])


def test_only_ctrl_delete_deletes(qtbot: QtBot, theme: ThemeState) -> None:
    widget = panel(qtbot, theme)
    deleted: list[int] = []
    widget.delete_requested.connect(deleted.append)
    qtbot.keyClick(widget.list, Qt.Key.Key_Delete)
    qtbot.keyClick(widget.list, Qt.Key.Key_Backspace)
    assert deleted == []
    qtbot.keyClick(widget.list, Qt.Key.Key_Delete, Qt.KeyboardModifier.ControlModifier)
    assert deleted == [2]


def test_a_click_opens(qtbot: QtBot, theme: ThemeState) -> None:
    widget = panel(qtbot, theme)
    rect = widget.list.visualRect(widget.model.index(2))
    with qtbot.waitSignal(widget.opened) as opened:
        qtbot.mouseClick(widget.list.viewport(), Qt.MouseButton.LeftButton, pos=rect.center())
    assert opened.args == [3]


def test_search_waits_for_a_pause(qtbot: QtBot, theme: ThemeState) -> None:
    widget = panel(qtbot, theme)
    asked: list[str] = []
    widget.query_changed.connect(asked.append)
    qtbot.keyClicks(widget.search, "sec")
    qtbot.waitUntil(lambda: bool(asked))
    assert asked == ["sec"]


def test_undo_is_offered_and_taken(qtbot: QtBot, theme: ThemeState) -> None:
    widget = panel(qtbot, theme)
    widget.undo_bar.offer("Deleted “Second”")
    assert widget.undo_bar.isVisible()
    with qtbot.waitSignal(widget.undo_requested):
        qtbot.mouseClick(widget.undo_bar.button, Qt.MouseButton.LeftButton)
    assert not widget.undo_bar.isVisible()

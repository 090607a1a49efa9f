"""The left column of the chat page: new chat, search, the list of chats, undo."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QItemSelectionModel, QModelIndex, QPoint, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QAbstractItemView, QLineEdit, QListView, QMenu, QVBoxLayout, QWidget

from localai_app.gui import metrics
from localai_app.gui.chat.undo_bar import UndoBar
from localai_app.gui.delegates.conversation_delegate import ConversationDelegate
from localai_app.gui.icons import icon
from localai_app.gui.itemmodels.conversation_list_model import CONVERSATION_ROLE, ConversationListModel
from localai_app.gui.styling import add_clear_button, button, label, set_icon, set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.store.records import Conversation

SEARCH_DELAY_MS = 150


class ConversationPanel(QWidget):
    """Knows nothing of services: it shows what it is given and says what the user wants."""

    new_chat_requested = Signal()
    opened = Signal(int)
    query_changed = Signal(str)
    rename_requested = Signal(int, str)
    delete_requested = Signal(int)
    undo_requested = Signal()

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        set_role(self, "sidebar")
        self.setFixedWidth(metrics.SIDEBAR_WIDTH)
        self.new_button = button("New chat")
        set_icon(self.new_button, "plus", theme, "text", metrics.ICON_SMALL)
        self.new_button.setIconSize(QSize(metrics.SPACE_5, metrics.ICON_SMALL))
        self.new_button.clicked.connect(self.new_chat_requested)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search chats")
        self.search.setAccessibleName("Search chats")
        add_clear_button(self.search, "Clear the search", theme)
        self._search_timer = QTimer(self, singleShot=True, interval=SEARCH_DELAY_MS)
        self._search_timer.timeout.connect(lambda: self.query_changed.emit(self.query))
        self.search.textChanged.connect(lambda _text: self._search_timer.start())
        self.model = ConversationListModel(self)
        self.model.rename_requested.connect(self.rename_requested)
        self.list = self._build_list(theme)
        self._nothing = label("", "caption", wrap=True)
        self._nothing.setContentsMargins(metrics.SPACE_3, metrics.SPACE_2, metrics.SPACE_3, 0)
        self.undo_bar = UndoBar()
        self.undo_bar.undo_requested.connect(self.undo_requested)
        column = QVBoxLayout(self)
        set_spacing(column, metrics.SPACE_2, (metrics.SPACE_3, metrics.SPACE_3, metrics.SPACE_3, metrics.SPACE_3))
        for widget in (self.new_button, self.search, self._nothing):
            column.addWidget(widget)
        column.addWidget(self.list, 1)
        column.addWidget(self.undo_bar)
        self._add_actions(theme)
        theme.changed.connect(self.list.viewport().update)

    @property
    def query(self) -> str:
        """What is searched for."""
        return str(self.search.text().strip())

    def show_conversations(self, conversations: Sequence[Conversation], current_id: int | None) -> None:
        """Show a list and mark the chat that is open."""
        self.model.show_conversations(conversations)
        self.mark(current_id)
        self._nothing.setVisible(not conversations)
        self._nothing.setText("No chat contains this." if self.query else "Your chats will be listed here.")

    def mark(self, conversation_id: int | None) -> None:
        """Mark a chat as the open one."""
        index = self.model.index_of(conversation_id)
        selection = self.list.selectionModel()
        if index.isValid():
            selection.setCurrentIndex(index, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        else:
            selection.clearSelection()
            selection.clearCurrentIndex()

    def _build_list(self, theme: ThemeState) -> QListView:
        view = set_role(QListView(), "list")
        view.setModel(self.model)
        view.setItemDelegate(ConversationDelegate(theme, view))
        view.setAccessibleName("Chats")
        view.setMouseTracking(True)
        view.setUniformItemSizes(True)
        view.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        view.customContextMenuRequested.connect(self._on_menu_requested)
        view.clicked.connect(self._on_index_chosen)
        view.activated.connect(self._on_index_chosen)
        return view

    def _add_actions(self, theme: ThemeState) -> None:
        self._rename_action = QAction(icon("pencil", theme), "Rename", self)
        self._rename_action.setShortcut(QKeySequence(Qt.Key.Key_F2))
        self._rename_action.triggered.connect(self._on_rename_triggered)
        self._delete_action = QAction(icon("trash", theme), "Delete", self)
        self._delete_action.setShortcut(QKeySequence("Ctrl+Delete"))
        self._delete_action.triggered.connect(self._on_delete_triggered)
        for action in (self._rename_action, self._delete_action):
            action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
            self.list.addAction(action)

    def _current(self) -> Conversation | None:
        conversation: Conversation | None = self.list.currentIndex().data(CONVERSATION_ROLE)
        return conversation

    def _on_menu_requested(self, position: QPoint) -> None:
        index = self.list.indexAt(position)
        if not index.isValid():
            return
        self.list.setCurrentIndex(index)
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(self._rename_action)
        menu.addAction(self._delete_action)
        menu.popup(self.list.viewport().mapToGlobal(position))

    def _on_index_chosen(self, index: QModelIndex) -> None:
        conversation = index.data(CONVERSATION_ROLE)
        if conversation is not None:
            self.opened.emit(conversation.id)

    def _on_rename_triggered(self) -> None:
        index = self.list.currentIndex()
        if index.isValid():
            self.list.edit(index)

    def _on_delete_triggered(self) -> None:
        conversation = self._current()
        if conversation is not None:
            self.delete_requested.emit(conversation.id)

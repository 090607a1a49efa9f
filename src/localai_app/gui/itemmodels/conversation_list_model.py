"""The chats of the left column as an item model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal

from localai_app.store.records import Conversation

Index = QModelIndex | QPersistentModelIndex
CONVERSATION_ROLE = Qt.ItemDataRole.UserRole
ANSWERING_ROLE = Qt.ItemDataRole.UserRole + 1
"""Whether the chat is being answered now."""
NO_PARENT = QModelIndex()


class ConversationListModel(QAbstractListModel):
    """Shows titles; editing one asks for a rename, it changes nothing by itself."""

    rename_requested = Signal(int, str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._conversations: tuple[Conversation, ...] = ()
        self._answering_id: int | None = None

    @property
    def conversations(self) -> tuple[Conversation, ...]:
        """What is shown, in order."""
        return self._conversations

    def show_conversations(self, conversations: Sequence[Conversation]) -> None:
        """Show another list; rows that only changed their text keep editors and selection."""
        shown = tuple(conversations)
        if [known.id for known in shown] == [known.id for known in self._conversations]:
            self._conversations = shown
            if shown:
                self.dataChanged.emit(self.index(0), self.index(len(shown) - 1))
            return
        self.beginResetModel()
        self._conversations = shown
        self.endResetModel()

    def show_answering(self, conversation_id: int | None) -> None:
        """Mark the chat that is being answered now, if any."""
        if conversation_id == self._answering_id:
            return
        changed = [self.index_of(one) for one in (self._answering_id, conversation_id)]
        self._answering_id = conversation_id
        for index in changed:
            if index.isValid():
                self.dataChanged.emit(index, index, [ANSWERING_ROLE])

    def index_of(self, conversation_id: int | None) -> QModelIndex:
        """The row of a chat; invalid if it is not shown."""
        for row, conversation in enumerate(self._conversations):
            if conversation.id == conversation_id:
                return self.index(row)
        return QModelIndex()

    def rowCount(self, parent: Index = NO_PARENT) -> int:
        """One row per chat."""
        return 0 if parent.isValid() else len(self._conversations)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Title, and the whole record for the delegate."""
        if not index.isValid() or index.row() >= len(self._conversations):
            return None
        conversation = self._conversations[index.row()]
        if role == CONVERSATION_ROLE:
            return conversation
        if role == ANSWERING_ROLE:
            return conversation.id == self._answering_id
        titles = (
            Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole, Qt.ItemDataRole.ToolTipRole,
            Qt.ItemDataRole.AccessibleTextRole)
        return conversation.title if role in titles else None

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Ask for another title."""
        if role != Qt.ItemDataRole.EditRole or not index.isValid() or not str(value).strip():
            return False
        conversation = self._conversations[index.row()]
        if str(value).strip() != conversation.title:
            self.rename_requested.emit(conversation.id, str(value).strip())
        return True

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Rows can be chosen and renamed."""
        return super().flags(index) | Qt.ItemFlag.ItemIsEditable if index.isValid() else Qt.ItemFlag.NoItemFlags

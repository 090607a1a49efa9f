"""Keeps the chat wide enough to read beside its settings: in a narrow window the list of chats gives way to them."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject
from PySide6.QtWidgets import QWidget

LEAST_CHAT_WIDTH = 400


class ChatRoom(QObject):
    """Watches a page with the list of chats at the left and the side panel at the right."""

    def __init__(self, page: QWidget, chats: QWidget, side: QWidget) -> None:
        super().__init__(page)
        self._page, self._chats, self._side = page, chats, side
        # Else the page could not become narrow enough for the list to go.
        page.setMinimumWidth(1)
        page.installEventFilter(self)
        side.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the width of the page, and the panel as it opens and closes."""
        if event.type() in (QEvent.Type.Resize, QEvent.Type.ShowToParent, QEvent.Type.HideToParent):
            needed = self._chats.maximumWidth() + self._side.maximumWidth() + LEAST_CHAT_WIDTH
            self._chats.setVisible(self._side.isHidden() or self._page.width() >= needed)
        return super().eventFilter(watched, event)

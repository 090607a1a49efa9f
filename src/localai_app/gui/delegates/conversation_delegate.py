"""Draws a chat in the list: its title, and below it when it was last used or that it is being answered."""

from __future__ import annotations

import time

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, QRect, QSize
from PySide6.QtGui import QFont, QPainter
from PySide6.QtWidgets import QLineEdit, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from localai_app.gui import metrics
from localai_app.gui.chat.dates import relative_date
from localai_app.gui.delegates.list_row import draw_line, draw_row
from localai_app.gui.itemmodels.conversation_list_model import ANSWERING_ROLE, CONVERSATION_ROLE
from localai_app.gui.theme import ThemeState

Index = QModelIndex | QPersistentModelIndex
GAP = 3
"""Half of the distance between rows."""


class ConversationDelegate(QStyledItemDelegate):
    """Two lines in a rounded row; the chosen one in the accent's soft colour."""

    def __init__(self, theme: ThemeState, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._theme = theme

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """Two lines with room around."""
        sizes = self._theme.sizes
        return QSize(100, sizes.body + sizes.caption + 32)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Background by state, title, date."""
        conversation = index.data(CONVERSATION_ROLE)
        is_selected = bool(option.state & QStyle.StateFlag.State_Selected)
        row = option.rect.adjusted(0, GAP, 0, -GAP)
        painter.save()
        draw_row(painter, row, option, self._theme)
        title_rect, date_rect = self._lines(row)
        weight = QFont.Weight.DemiBold if is_selected else QFont.Weight.Normal
        self._draw(painter, title_rect, conversation.title, self._theme.text_font(self._theme.sizes.body, weight), "text")
        is_answering = bool(index.data(ANSWERING_ROLE))
        when = "Answering…" if is_answering else relative_date(conversation.updated_s, time.time())
        caption = self._theme.text_font(self._theme.sizes.caption)
        self._draw(painter, date_rect, when, caption, "accent" if is_answering else "muted")
        painter.restore()

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: Index) -> QWidget:
        """A field for another title."""
        editor = QLineEdit(parent)
        editor.setAccessibleName("Chat title")
        editor.setMaxLength(200)
        return editor

    def updateEditorGeometry(self, editor: QWidget, option: QStyleOptionViewItem, index: Index) -> None:
        """The field covers the row."""
        editor.setGeometry(option.rect.adjusted(0, GAP + 2, 0, -GAP - 2))

    def _lines(self, row: QRect) -> tuple[QRect, QRect]:
        sizes = self._theme.sizes
        title_height, date_height = sizes.body + 6, sizes.caption + 4
        top = row.top() + (row.height() - title_height - date_height) // 2
        inside = row.adjusted(metrics.SPACE_3, 0, -metrics.SPACE_3, 0)
        title = QRect(inside.left(), top, inside.width(), title_height)
        return title, QRect(inside.left(), title.bottom() + 1, inside.width(), date_height)

    def _draw(self, painter: QPainter, rect: QRect, text: str, font: QFont, token: str) -> None:
        draw_line(painter, rect, text, font, self._theme, token)

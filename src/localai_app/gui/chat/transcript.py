"""The messages of one chat, newest at the bottom; older ones are built when the user scrolls up to them."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QWidget

from localai_app.gui import metrics
from localai_app.gui.chat.message_column import MessageColumn
from localai_app.gui.chat.scroll_anchor import ScrollAnchor
from localai_app.gui.styling import icon_button, set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.store.records import Message, Role

FIRST_MESSAGES = 40
MORE_MESSAGES = 30
NEAR_TOP_PX = 300
NEAR_END_PX = 12


class Transcript(QScrollArea):
    """Scrolls the column of messages. It follows the end as long as the user has not scrolled away from it."""

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._older: list[Message] = []
        self._is_following = True
        self._anchor = ScrollAnchor(self)
        self.column = MessageColumn(theme)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Conversation")
        self.setWidget(self._build_content())
        self._jump = icon_button("arrow-down", "Jump to the latest message", theme, role="")
        self._jump.setParent(self)
        self._jump.setFixedSize(metrics.SPACE_11, metrics.SPACE_8)
        self._jump.clicked.connect(self.jump_to_end)
        self._jump.hide()
        bar = self.verticalScrollBar()
        bar.valueChanged.connect(self._on_scrolled)
        bar.rangeChanged.connect(self._on_range_changed)

    @property
    def is_following(self) -> bool:
        """Whether new text keeps the end in view."""
        return self._is_following

    @property
    def is_jump_offered(self) -> bool:
        """Whether the button that leads to the end is there."""
        return self._jump.isVisibleTo(self)

    def show_messages(self, messages: Sequence[Message]) -> None:
        """Show another chat, from its end."""
        self._anchor.release()
        self.column.clear()
        shown = [message for message in messages if message.role is not Role.SYSTEM]
        self._older = shown[:-FIRST_MESSAGES]
        for index, message in enumerate(shown[-FIRST_MESSAGES:]):
            self.column.insert(index, message)
        self.column.mark_last()
        self.jump_to_end()

    def add_message(self, message: Message) -> None:
        """Add a message at the end, or show a known one anew. One's own message always brings the end into view."""
        if message.role is Role.SYSTEM:
            return
        self.column.add(message)
        if message.role is Role.USER:
            self.jump_to_end()

    def jump_to_end(self) -> None:
        """Go to the newest message and stay there."""
        self._is_following = True
        self._anchor.release()
        bar = self.verticalScrollBar()
        bar.setValue(bar.maximum())
        self._jump.hide()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the button in its place."""
        super().resizeEvent(event)
        self._jump.move(
            (self.width() - self._jump.width()) // 2, self.height() - self._jump.height() - metrics.SPACE_2)

    def _build_content(self) -> QWidget:
        content = set_role(QWidget(), "panel")
        row = QHBoxLayout(content)
        set_spacing(row, 0, (metrics.SPACE_6, metrics.SPACE_6, metrics.SPACE_6, metrics.SPACE_6))
        row.addStretch(1)
        row.addWidget(self.column, 1000)
        row.addStretch(1)
        return content

    def _show_older(self) -> None:
        batch = self._older[-MORE_MESSAGES:]
        self._older = self._older[: -len(batch)]
        first = self.column.first_view
        if first is not None:
            self._anchor.hold(first)
        for index, message in enumerate(batch):
            self.column.insert(index, message)
        self._anchor.expect_moves()

    def _on_scrolled(self, value: int) -> None:
        bar = self.verticalScrollBar()
        self._is_following = value >= bar.maximum() - NEAR_END_PX
        self._jump.setVisible(not self._is_following)
        if value < NEAR_TOP_PX and self._older and not self._anchor.is_holding and not self._is_following:
            self._show_older()

    def _on_range_changed(self, _minimum: int, maximum: int) -> None:
        bar = self.verticalScrollBar()
        self._balance(bar.sizeHint().width() if maximum > 0 else 0)
        if self._is_following and not self._anchor.is_holding:
            bar.setValue(maximum)

    def _balance(self, bar_width: int) -> None:
        """As much room at the left as the scroll bar takes at the right, so that the column stays in the middle."""
        if self.viewportMargins().left() != bar_width:
            self.setViewportMargins(bar_width, 0, 0, 0)

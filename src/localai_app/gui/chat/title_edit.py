"""A title that becomes a text field when it is clicked."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFocusEvent, QFont, QFontMetrics, QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QLineEdit, QSizePolicy, QWidget

from localai_app.gui.styling import set_role
from localai_app.gui.theme import ThemeState

ROOM = 24


class TitleEdit(QLineEdit):
    """Enter or leaving it keeps the new title, Escape the old one."""

    title_changed = Signal(str)

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._title = ""
        set_role(self, "plain")
        self.setAccessibleName("Chat title")
        self.setToolTip("Click to rename this chat")
        self.setMaxLength(200)
        self.setReadOnly(True)
        self.setCursor(Qt.CursorShape.ArrowCursor)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.returnPressed.connect(self._commit)
        theme.changed.connect(self._on_theme_changed)
        self._on_theme_changed()

    def show_title(self, title: str, *, can_rename: bool) -> None:
        """Show a title; while the user edits it is left alone."""
        self._title = title
        self.setEnabled(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus if can_rename else Qt.FocusPolicy.NoFocus)
        self.setToolTip("Click to rename this chat" if can_rename else "")
        if self.isReadOnly():
            self._show_shortened()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin to edit."""
        self._begin()
        super().mousePressEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter and F2 begin to edit, Escape gives up."""
        if self.isReadOnly() and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_F2):
            self._begin()
            self.selectAll()
            return
        if event.key() == Qt.Key.Key_Escape and not self.isReadOnly():
            self._end()
            return
        super().keyPressEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Leaving keeps what was written."""
        super().focusOutEvent(event)
        if event.reason() != Qt.FocusReason.PopupFocusReason:
            self._commit()

    def resizeEvent(self, event: object) -> None:
        """Shorten to the new width."""
        super().resizeEvent(event)  # type: ignore[arg-type]
        if self.isReadOnly():
            self._show_shortened()

    def _begin(self) -> None:
        if self.isReadOnly() and self.focusPolicy() != Qt.FocusPolicy.NoFocus:
            self.setReadOnly(False)
            self.setCursor(Qt.CursorShape.IBeamCursor)
            set_role(self, "")
            self.setText(self._title)

    def _commit(self) -> None:
        if self.isReadOnly():
            return
        title = self.text().strip()
        self._end()
        if title and title != self._title:
            self.title_changed.emit(title)

    def _end(self) -> None:
        self.setReadOnly(True)
        self.setCursor(Qt.CursorShape.ArrowCursor)
        set_role(self, "plain")
        self.deselect()
        self._show_shortened()

    def _show_shortened(self) -> None:
        room = max(40, self.width() - ROOM)
        self.setText(QFontMetrics(self.font()).elidedText(self._title, Qt.TextElideMode.ElideRight, room))
        self.setCursorPosition(0)

    def _on_theme_changed(self) -> None:
        self.setFont(self._theme.text_font(self._theme.sizes.lead, QFont.Weight.DemiBold))

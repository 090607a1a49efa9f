"""The text field of the composer: grows with its text, Enter sends, Shift+Enter begins a new line."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QMimeData, Qt, Signal
from PySide6.QtGui import QFocusEvent, QInputMethodEvent, QKeyEvent, QResizeEvent, QTextOption
from PySide6.QtWidgets import QFrame, QPlainTextEdit, QSizePolicy, QWidget

from localai_app.gui.styling import set_role

MAX_LINES = 8
COUNTED_CHARACTERS = 3_000
"""Longer text has the full height without counting its lines, which would lay out all of it."""


class PromptEdit(QPlainTextEdit):
    """Plain text only. Enter while an input method composes belongs to the input method."""

    send_requested = Signal()
    focus_changed = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._is_composing = False
        set_role(self, "plain")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setPlaceholderText("Ask anything…")
        self.setAccessibleName("Message")
        self.setAccessibleDescription("Enter sends, Shift and Enter begins a new line")
        self.setTabChangesFocus(True)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.document().setDocumentMargin(2)
        self.textChanged.connect(self._fit_height)
        self._fit_height()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter sends unless Shift is held or an input method is at work."""
        is_enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if is_enter and not self._is_composing and not event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            event.accept()
            self.send_requested.emit()
            return
        if is_enter and self._is_composing:
            event.accept()
            return
        super().keyPressEvent(event)

    def inputMethodEvent(self, event: QInputMethodEvent) -> None:
        """Notice whether a composition is under way."""
        self._is_composing = bool(event.preeditString())
        super().inputMethodEvent(event)

    def insertFromMimeData(self, source: QMimeData) -> None:
        """Paste text and nothing else."""
        if source.hasText():
            self.insertPlainText(source.text())

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Tell the frame."""
        super().focusInEvent(event)
        self.focus_changed.emit(True)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Tell the frame; a composition ends with the focus."""
        super().focusOutEvent(event)
        self._is_composing = False
        self.focus_changed.emit(False)

    def changeEvent(self, event: QEvent) -> None:
        """Another font needs another height."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self._fit_height()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Another width wraps differently."""
        super().resizeEvent(event)
        self._fit_height()

    def _fit_height(self) -> None:
        document = self.document()
        is_long = document.characterCount() > COUNTED_CHARACTERS or document.blockCount() > MAX_LINES
        n_lines = MAX_LINES if is_long else min(MAX_LINES, max(1, round(document.size().height())))
        height = n_lines * self.fontMetrics().lineSpacing() + 2 * round(document.documentMargin()) + 2
        if height != self.height() or self.minimumHeight() != height:
            self.setFixedHeight(height)
        is_scrolling = is_long or document.size().height() > MAX_LINES
        self.setVerticalScrollBarPolicy(
            Qt.ScrollBarPolicy.ScrollBarAsNeeded if is_scrolling else Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

"""Where messages are written: text field, what happens to them, context meter, send and stop."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from localai_app.gui import metrics
from localai_app.gui.chat.prompt_edit import PromptEdit
from localai_app.gui.styling import button, label, set_icon, set_role, set_spacing, set_style_property
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.elided_label import ElidedLabel
from localai_app.gui.widgets.meter import Meter, Segment
from localai_app.units import format_count

HINT = "Enter sends, Shift+Enter begins a new line"
NEARLY_FULL = 0.85


class Composer(QWidget):
    """Emits what is to be sent; clears itself only when told that it was sent."""

    send_requested = Signal(str)
    stop_requested = Signal()

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        set_role(self, "composer")
        self._is_answering = False
        self.edit = PromptEdit(self)
        self._note = ElidedLabel(HINT, "caption")
        self._warning = label("", "caption-warn", wrap=True)
        self._warning.hide()
        self._meter = Meter(theme, 4)
        self._meter.setFixedWidth(56)
        self._meter.setAccessibleName("Context used")
        self._context = label("", "caption")
        self._send = button("Send", "primary", compact=True)
        self._send.setToolTip("Send (Enter)")
        self._stop = button("Stop", compact=True)
        set_icon(self._stop, "stop", theme, "text", metrics.ICON_SMALL - 2)
        self._stop.setToolTip("Stop the answer (Esc)")
        self._stop.setAccessibleName("Stop the answer")
        self._stop.hide()
        column = QVBoxLayout(self)
        set_spacing(column, metrics.SPACE_2, (14, metrics.SPACE_3, metrics.SPACE_3, 10))
        column.addWidget(self.edit)
        column.addWidget(self._warning)
        row = QHBoxLayout()
        set_spacing(row, metrics.SPACE_2)
        row.addWidget(self._note)
        row.addStretch()
        for widget in (self._meter, self._context):
            row.addWidget(widget, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addSpacing(metrics.SPACE_1)
        row.addWidget(self._stop)
        row.addWidget(self._send)
        column.addLayout(row)
        self.edit.textChanged.connect(self._update_buttons)
        self.edit.send_requested.connect(self.send)
        self.edit.focus_changed.connect(lambda has_focus: set_style_property(self, "focused", has_focus))
        self._send.clicked.connect(self.send)
        self._stop.clicked.connect(self.stop_requested)
        self.show_context(0, 0)
        self._update_buttons()

    @property
    def text(self) -> str:
        """What is written."""
        return str(self.edit.toPlainText())

    @property
    def note(self) -> str:
        """The words at the left below the text."""
        return self._note.text()

    @property
    def context_words(self) -> str:
        """The context meter in words."""
        return self._context.text()

    @property
    def is_answering(self) -> bool:
        """Whether the stop button is there."""
        return self._is_answering

    def set_text(self, text: str) -> None:
        """Replace what is written, cursor at the end."""
        self.edit.setPlainText(text)
        cursor = self.edit.textCursor()
        cursor.movePosition(cursor.MoveOperation.End)
        self.edit.setTextCursor(cursor)

    def clear(self) -> None:
        """The text was sent. It can be brought back with undo."""
        cursor = self.edit.textCursor()
        cursor.select(cursor.SelectionType.Document)
        cursor.removeSelectedText()

    def send(self) -> None:
        """Ask for the text to be sent, if there is any."""
        if self.text.strip():
            self.send_requested.emit(self.text.strip())

    def set_answering(self, is_answering: bool) -> None:
        """Show Stop while an answer streams. The keyboard goes to the text where it was on Stop."""
        self._is_answering = is_answering
        if not is_answering and self._stop.hasFocus():
            self.edit.setFocus(Qt.FocusReason.OtherFocusReason)
        self._stop.setVisible(is_answering)
        self._update_buttons()

    def show_note(self, text: str = "") -> None:
        """Say what will happen to a message that is sent now."""
        self._note.setText(text or HINT)

    @property
    def warning(self) -> str:
        """What would be left out of the chat, or refused, if the text was sent now."""
        return self._warning.text()

    def show_warning(self, words: str = "") -> None:
        """Say what will be left out of the chat, or that it will not be answered, if the text is sent now."""
        self._warning.setText(words)
        self._warning.setVisible(bool(words))

    def show_context(self, used: int, total: int) -> None:
        """Tokens of the context that are taken; nothing while no model is loaded."""
        for widget in (self._meter, self._context):
            widget.setVisible(total > 0)
        self._context.setText(f"{format_count(used)} / {format_count(total)}")
        self._context.setToolTip(f"{format_count(used)} of {format_count(total)} tokens of the context are used")
        is_nearly_full = total > 0 and used / total >= NEARLY_FULL
        self._meter.set_segments([Segment(used, "warn" if is_nearly_full else "accent", "used")], total)
        set_role(self._context, "caption-warn" if is_nearly_full else "caption")

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """The whole frame leads to the text field."""
        self.edit.setFocus()
        super().mousePressEvent(event)

    def _update_buttons(self) -> None:
        document = self.edit.document()
        self._send.setEnabled(not (document.isEmpty() or not self.edit.document().characterCount() > 1))

"""Messages that float over the window for a while."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QEnterEvent, QGuiApplication
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from localai_app.gui.messages import MessageKind, UserMessage
from localai_app.gui.metrics import SPACE_1, SPACE_2, SPACE_3, SPACE_4, SPACE_6, STATUS_HEIGHT
from localai_app.gui.styling import button, icon_button, label, set_role
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.icon_label import IconLabel

INFO_MS = 6_000
TOAST_WIDTH = 380
MOST_AT_ONCE = 4
_OF_PLACE = (QEvent.Type.Resize, QEvent.Type.Move, QEvent.Type.Show, QEvent.Type.Hide)


class Toast(QFrame):
    """One message. Errors stay until they are dismissed, information goes by itself unless the pointer rests on it."""

    closed = Signal()

    def __init__(self, message: UserMessage, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.message = message
        set_role(self, "toast")
        self.setFixedWidth(TOAST_WIDTH)
        self.setAccessibleName(f"{message.text} {message.advice}".strip())
        is_error = message.kind is MessageKind.ERROR
        picture = IconLabel("error" if is_error else "info", theme, "bad" if is_error else "accent")
        words = QVBoxLayout()
        words.setSpacing(SPACE_1)
        words.addWidget(label(message.text, "strong" if message.advice else "body", wrap=True, selectable=True))
        if message.advice:
            words.addWidget(label(message.advice, "muted", wrap=True, selectable=True))
        self.action_button = button(message.button, compact=True)
        self.copy_button = button("Copy details", "ghost" if message.button else "", compact=True)
        words.addLayout(self._buttons(message))
        self.close_button = icon_button("x", "Dismiss", theme, size=14)
        self.close_button.clicked.connect(self.close_toast)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(SPACE_4, SPACE_3, SPACE_2, SPACE_3)
        layout.setSpacing(SPACE_3)
        layout.addWidget(picture, alignment=Qt.AlignmentFlag.AlignTop)
        layout.addLayout(words, 1)
        layout.addWidget(self.close_button, alignment=Qt.AlignmentFlag.AlignTop)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(INFO_MS)
        self._timer.timeout.connect(self.close_toast)
        if not is_error:
            self._timer.start()

    def close_toast(self) -> None:
        """Go away."""
        self._timer.stop()
        self.closed.emit()

    def enterEvent(self, event: QEnterEvent) -> None:
        """Stay while the pointer rests here."""
        self._timer.stop()
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        """Go on counting."""
        if self.message.kind is MessageKind.INFO:
            self._timer.start()
        super().leaveEvent(event)

    def _buttons(self, message: UserMessage) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(SPACE_2)
        for control, is_wanted, slot in (
            (self.action_button, bool(message.button), self._on_action_clicked),
            (self.copy_button, bool(message.details), self._on_copy_clicked),
        ):
            control.clicked.connect(slot)
            row.addWidget(control)
            control.setVisible(is_wanted)
        row.addStretch(1)
        return row

    def _on_action_clicked(self) -> None:
        if self.message.on_button is not None:
            self.message.on_button()
        self.close_toast()

    def _on_copy_clicked(self) -> None:
        QGuiApplication.clipboard().setText(self.message.details)


class ToastArea(QObject):
    """Stacks toasts in the bottom right corner of a window and moves them along with it."""

    def __init__(self, host: QWidget, theme: ThemeState) -> None:
        super().__init__(host)
        self._host = host
        self._theme = theme
        self._toasts: list[Toast] = []
        self._kept_clear: list[QWidget] = []
        host.installEventFilter(self)

    @property
    def toasts(self) -> tuple[Toast, ...]:
        """What is shown, oldest first."""
        return tuple(self._toasts)

    def keep_clear_of(self, control: QWidget) -> None:
        """Stay above a control at the bottom of the window while it is on screen. It lives as long as the window."""
        self._kept_clear.append(control)
        control.installEventFilter(self)

    def show_message(self, message: UserMessage) -> None:
        """Show a message; the same one twice is shown once, and the oldest makes room."""
        for toast in self.toasts:
            if (toast.message.text, toast.message.advice) == (message.text, message.advice):
                self._remove(toast)
        while len(self._toasts) >= MOST_AT_ONCE:
            self._remove(self._toasts[0])
        toast = Toast(message, self._theme, self._host)
        toast.closed.connect(lambda: self._remove(toast))
        self._toasts.append(toast)
        toast.show()
        self._place()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the window's size, and what is to stay clear."""
        if event.type() in _OF_PLACE and self._toasts:
            self._place()
        return super().eventFilter(watched, event)

    def _remove(self, toast: Toast) -> None:
        if toast in self._toasts:
            self._toasts.remove(toast)
            toast.hide()
            toast.deleteLater()
            self._place()

    def _place(self) -> None:
        tops = [control.mapTo(self._host, QPoint(0, 0)).y() for control in self._kept_clear if control.isVisible()]
        bottom = min((self._host.height() - STATUS_HEIGHT - SPACE_4, *(top - SPACE_2 for top in tops)))
        for toast in reversed(self._toasts):
            toast.ensurePolished()
            height = toast.heightForWidth(TOAST_WIDTH)
            toast.resize(TOAST_WIDTH, height if height > 0 else toast.sizeHint().height())
            toast.move(self._host.width() - TOAST_WIDTH - SPACE_6, bottom - toast.height())
            toast.raise_()
            bottom -= toast.height() + SPACE_2

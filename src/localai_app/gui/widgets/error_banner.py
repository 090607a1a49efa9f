"""An error inside a page: what happened, what to do, the button that does it, and details to copy."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from localai_app.errors import AppError, Remedy
from localai_app.gui.messages import error_details
from localai_app.gui.metrics import SPACE_1, SPACE_2, SPACE_4, TypeSizes
from localai_app.gui.remedies import remedy_label
from localai_app.gui.styling import button, icon_button, label, set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.icon_label import IconLabel

WORDS_WIDTH = 240
"""What the words should have at the least, at the normal text size."""
QUESTIONS = frozenset({Remedy.MAKE_ROOM})
"""Remedies that wait for a decision where nothing went wrong."""


class ErrorBanner(QFrame):
    """Hidden until `show_error`. `remedy_requested` carries the Remedy of the error shown.

    `other_requested`: the second button, where one was offered.
    """

    remedy_requested = Signal(object)
    other_requested = Signal()
    dismissed = Signal()

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._error: AppError | None = None
        set_role(self, "banner-bad")
        self._picture = IconLabel("error", theme, "bad")
        self._message = label("", "strong", wrap=True, selectable=True)
        self._advice = label("", "body", wrap=True, selectable=True)
        self.remedy_button = button("", compact=True)
        self.remedy_button.clicked.connect(self._on_remedy_clicked)
        self.other_button = button("", compact=True)
        self.other_button.clicked.connect(self.other_requested)
        self.copy_button = icon_button("copy", "Copy details", theme)
        self.copy_button.clicked.connect(self._on_copy_clicked)
        self.close_button = icon_button("x", "Dismiss", theme)
        self.close_button.clicked.connect(self._on_close_clicked)
        words = QVBoxLayout()
        words.setSpacing(SPACE_1 // 2)
        words.addWidget(self._message)
        words.addWidget(self._advice)
        self._actions = QWidget()
        actions = QHBoxLayout(self._actions)
        set_spacing(actions, SPACE_2)
        for control in (self.other_button, self.remedy_button):
            control.hide()
            actions.addWidget(control)
            control.hide()
        layout = self._grid = QGridLayout(self)
        layout.setContentsMargins(SPACE_4, SPACE_2, SPACE_2, SPACE_2)
        layout.setSpacing(SPACE_2)
        layout.addWidget(self._picture, 0, 0, Qt.AlignmentFlag.AlignTop)
        layout.addLayout(words, 0, 1)
        layout.addWidget(self.copy_button, 0, 3, Qt.AlignmentFlag.AlignVCenter)
        layout.addWidget(self.close_button, 0, 4, Qt.AlignmentFlag.AlignVCenter)
        layout.setColumnStretch(1, 1)
        self._is_narrow: bool | None = None
        self._arrange()
        self.hide()

    @property
    def error(self) -> AppError | None:
        """The error shown, or None."""
        return self._error

    def show_error(self, error: AppError, *, offer_remedy: bool = True, other: str = "") -> None:
        """Show an error; `offer_remedy` false where the page cannot do what it advises. `other`: words of a second button."""
        self._error = error
        is_question = error.remedy in QUESTIONS
        set_role(self, "banner-info" if is_question else "banner-bad")
        self._picture.show_icon("info" if is_question else "error", "accent" if is_question else "bad")
        self._message.setText(error.message)
        self._advice.setText(error.action)
        self._advice.setVisible(bool(error.action))
        self.remedy_button.setText(remedy_label(error.remedy))
        self.remedy_button.setVisible(offer_remedy and error.remedy is not Remedy.NONE)
        self.other_button.setText(other)
        self.other_button.setVisible(bool(other))
        self._actions.setVisible(bool(other) or not self.remedy_button.isHidden())
        self.setAccessibleName(f"{'Question' if is_question else 'Error'}: {error.message} {error.action}")
        self.show()

    def event(self, event: QEvent) -> bool:
        """Another width, or texts of another length."""
        if event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.Resize):
            self._arrange()
        return bool(super().event(event))

    def _arrange(self) -> None:
        """The buttons lie beside the words, or below them where that would leave the words too little."""
        room = self.width() - self._actions.sizeHint().width() - self.copy_button.sizeHint().width() * 3
        is_narrow = room < WORDS_WIDTH * self.fontInfo().pixelSize() / TypeSizes().body
        if is_narrow != self._is_narrow:
            self._is_narrow = is_narrow
            self._grid.removeWidget(self._actions)
            self._grid.addWidget(
                self._actions, int(is_narrow), 1 if is_narrow else 2,
                Qt.AlignmentFlag.AlignLeft if is_narrow else Qt.AlignmentFlag.AlignVCenter)

    def clear(self) -> None:
        """Show nothing."""
        self._error = None
        self.hide()

    def _on_remedy_clicked(self) -> None:
        if self._error is not None:
            self.remedy_requested.emit(self._error.remedy)

    def _on_copy_clicked(self) -> None:
        if self._error is not None:
            QGuiApplication.clipboard().setText(error_details(self._error))

    def _on_close_clicked(self) -> None:
        self.clear()
        self.dismissed.emit()

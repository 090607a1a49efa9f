"""What cut an answer off, and the button that goes on."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QWidget

from localai_app.gui import metrics
from localai_app.gui.icons import icon_pixmap
from localai_app.gui.styling import button, label, set_role, set_spacing
from localai_app.gui.theme import ThemeState

UNKNOWN_CAUSE = "The answer was cut off before it was complete. The text so far is kept."


class Interruption(QWidget):
    """A banner inside the transcript."""

    retry_requested = Signal()

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        set_role(self, "banner-warn")
        self._sign = QLabel()
        self._text = label("", "body", wrap=True, selectable=True)
        self._button = button("Go on", compact=True)
        self._button.clicked.connect(self.retry_requested)
        row = QHBoxLayout(self)
        set_spacing(row, metrics.SPACE_3, (metrics.SPACE_3, metrics.SPACE_2, metrics.SPACE_2, metrics.SPACE_2))
        row.addWidget(self._sign)
        row.addWidget(self._text, 1)
        row.addWidget(self._button)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        theme.changed.connect(self._draw_sign)
        self._draw_sign()

    @property
    def text(self) -> str:
        """The words shown."""
        return self._text.text()

    @property
    def button_words(self) -> str:
        """The words on the button."""
        return self._button.text()

    def show_error(self, error: str, *, has_text: bool) -> None:
        """Say why; an answer with text goes on, one without is tried again."""
        self._text.setText(error or UNKNOWN_CAUSE)
        self._button.setText("Go on" if has_text else "Try again")

    def set_retry_visible(self, is_visible: bool) -> None:
        """Whether the button makes sense."""
        self._button.setVisible(is_visible)

    def changeEvent(self, event: QEvent) -> None:
        """Another screen may need another picture."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.DevicePixelRatioChange:
            self._draw_sign()

    def _draw_sign(self) -> None:
        self._sign.setPixmap(icon_pixmap("warning", self._theme, "warn", metrics.ICON, self.devicePixelRatioF()))

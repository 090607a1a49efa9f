"""A bar that says what was deleted and offers to bring it back for a few seconds."""

from __future__ import annotations

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QWidget

from localai_app.gui import metrics
from localai_app.gui.styling import button, set_role, set_spacing
from localai_app.gui.widgets.elided_label import ElidedLabel

UNDO_MS = 8_000


class UndoBar(QWidget):
    """Hidden until `offer`."""

    undo_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        set_role(self, "toast")
        self._text = ElidedLabel()
        self._undo = button("Undo", "link", compact=True)
        self._undo.clicked.connect(self._on_undo_clicked)
        self._timer = QTimer(self, singleShot=True, interval=UNDO_MS)
        self._timer.timeout.connect(self.hide)
        row = QHBoxLayout(self)
        set_spacing(row, metrics.SPACE_2, (metrics.SPACE_3, metrics.SPACE_1, metrics.SPACE_1, metrics.SPACE_1))
        row.addWidget(self._text, 1)
        row.addWidget(self._undo)
        self.hide()

    @property
    def button(self) -> QWidget:
        """The Undo button."""
        return self._undo

    def offer(self, text: str) -> None:
        """Show the bar for eight seconds."""
        self._text.setText(text)
        self.setAccessibleName(text)
        self.show()
        self._timer.start()

    def dismiss(self) -> None:
        """Hide it now."""
        self._timer.stop()
        self.hide()

    def _on_undo_clicked(self) -> None:
        self.dismiss()
        self.undo_requested.emit()

"""A bar with words and a button that stops what it tells of."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QWidget

from localai_app.gui.metrics import SPACE_3
from localai_app.gui.styling import button, label, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.meter import Meter, Segment


class ProgressRow(QWidget):
    """Hidden while nothing runs."""

    stop_requested = Signal()

    def __init__(self, theme: ThemeState, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.meter = Meter(theme)
        self.meter.setAccessibleName(name)
        self.words = label("", "caption")
        self.stop_button = button("Stop", compact=True)
        self.stop_button.clicked.connect(self._on_stop_clicked)
        row = QHBoxLayout(self)
        set_spacing(row, SPACE_3)
        row.addWidget(self.meter, 1)
        row.addWidget(self.words)
        row.addWidget(self.stop_button)
        self.hide()

    def show_progress(self, fraction: float | None, words: str = "") -> None:
        """How far it is; None: nothing runs."""
        is_new = fraction is not None and self.isHidden()
        self.setVisible(fraction is not None)
        if is_new:
            self.stop_button.setEnabled(True)
        if fraction is not None:
            self.words.setText(words)
            self.meter.set_segments([Segment(fraction, "accent", "done")], 1.0)

    def _on_stop_clicked(self) -> None:
        self.stop_button.setEnabled(False)
        self.stop_requested.emit()

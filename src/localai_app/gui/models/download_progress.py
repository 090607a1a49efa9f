"""The progress of one download with its buttons, for cards, tables and the list of downloads."""

from __future__ import annotations

from PySide6.QtCore import Signal, SignalInstance
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from localai_app.gui.metrics import SPACE_1, SPACE_2
from localai_app.gui.models.wording import progress_words
from localai_app.gui.styling import icon_button, label, set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.services.views import DownloadStatus, DownloadView

STEPS = 1000


class DownloadProgress(QWidget):
    """A bar, a line of words, pause or resume, and cancel. The owner feeds it with views and acts on its signals."""

    pause_requested = Signal(int)
    resume_requested = Signal(int)
    cancel_requested = Signal(int)

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._view: DownloadView | None = None
        self._bar = QProgressBar()
        self._bar.setRange(0, STEPS)
        self._bar.setTextVisible(False)
        self._bar.setAccessibleName("Download progress")
        self._words = label("", "caption", wrap=True)
        self.pause_button = icon_button("pause", "Pause download", theme)
        self.resume_button = icon_button("play", "Resume download", theme)
        self.cancel_button = icon_button("x", "Cancel download", theme)
        self.pause_button.clicked.connect(lambda: self._emit(self.pause_requested))
        self.resume_button.clicked.connect(lambda: self._emit(self.resume_requested))
        self.cancel_button.clicked.connect(lambda: self._emit(self.cancel_requested))
        line = QHBoxLayout()
        set_spacing(line, SPACE_1)
        line.addWidget(self._words, 1)
        for control in (self.pause_button, self.resume_button, self.cancel_button):
            line.addWidget(control)
        layout = QVBoxLayout(self)
        set_spacing(layout, SPACE_2)
        layout.addWidget(self._bar)
        layout.addLayout(line)

    def show_view(self, view: DownloadView) -> None:
        """Show where the download stands now."""
        self._view = view
        fraction = view.done_bytes / view.total_bytes if view.total_bytes else 0.0
        self._bar.setValue(round(fraction * STEPS))
        self._bar.setAccessibleDescription(f"{fraction:.0%}")
        self._words.setText(progress_words(view))
        self._words.setToolTip(view.error.action if view.error is not None else "")
        set_role(self._words, "text-bad" if view.status is DownloadStatus.FAILED else "caption")
        can_resume = view.status in (DownloadStatus.PAUSED, DownloadStatus.FAILED)
        self.pause_button.setVisible(not can_resume)
        self.resume_button.setVisible(can_resume)

    def _emit(self, signal: SignalInstance) -> None:
        if self._view is not None:
            signal.emit(self._view.id)

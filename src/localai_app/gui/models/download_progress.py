"""The progress of one download with its buttons, for the suggestions and the list of downloads."""

from __future__ import annotations

from PySide6.QtCore import Signal, SignalInstance
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from localai_app import errors
from localai_app.errors import AppError, Remedy
from localai_app.gui.metrics import SPACE_2
from localai_app.gui.models.wording import progress_words, unbroken_parts
from localai_app.gui.remedies import remedy_label
from localai_app.gui.styling import button, icon_button, label, set_compact, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.services.views import DownloadStatus, DownloadView

STEPS = 1000
OFFERED_REMEDIES = (Remedy.OPEN_SETTINGS, Remedy.CHOOSE_FOLDER, Remedy.OPEN_MODEL_PAGE, Remedy.CHOOSE_MODEL)
"""Beside trying again, which is offered after every failure."""


class DownloadProgress(QWidget):
    """A bar and a line of words with pause or resume, and cancel; after a failure what happened and what helps.

    The owner feeds it with views and acts on its signals; `remedy_requested` carries the Remedy of the error shown.
    """

    pause_requested = Signal(int)
    resume_requested = Signal(int)
    cancel_requested = Signal(int)
    remedy_requested = Signal(object)

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._view: DownloadView | None = None
        self._bar = QProgressBar()
        self._bar.setRange(0, STEPS)
        self._bar.setTextVisible(False)
        self._bar.setAccessibleName("Download progress")
        self._message = label("", "text-bad", wrap=True, selectable=True)
        self._advice = label("", "caption", wrap=True, selectable=True)
        self._words = label("", "caption", wrap=True)
        self.retry_button = button("Try again", compact=True)
        self.remedy_button = button("", compact=True)
        self.pause_button = set_compact(icon_button("pause", "Pause download", theme))
        self.resume_button = set_compact(icon_button("play", "Resume download", theme))
        self.cancel_button = set_compact(icon_button("x", "Cancel download", theme))
        for part in (self._message, self._advice, self.retry_button, self.remedy_button, self.resume_button):
            part.hide()
        self._connect()
        self._lay_out()

    def _connect(self) -> None:
        self.retry_button.clicked.connect(lambda: self._emit(self.resume_requested))
        self.remedy_button.clicked.connect(self._on_remedy_clicked)
        self.pause_button.clicked.connect(lambda: self._emit(self.pause_requested))
        self.resume_button.clicked.connect(lambda: self._emit(self.resume_requested))
        self.cancel_button.clicked.connect(lambda: self._emit(self.cancel_requested))

    def _lay_out(self) -> None:
        line = QHBoxLayout()
        set_spacing(line, SPACE_2)
        line.addWidget(self.retry_button)
        line.addWidget(self.remedy_button)
        line.addWidget(self._words, 1)
        for control in (self.pause_button, self.resume_button, self.cancel_button):
            line.addWidget(control)
        layout = QVBoxLayout(self)
        set_spacing(layout, SPACE_2)
        layout.addWidget(self._bar)
        layout.addWidget(self._message)
        layout.addWidget(self._advice)
        layout.addLayout(line)

    @property
    def words(self) -> str:
        """What is said about the download now."""
        return self._message.text() or self._words.text()

    def show_view(self, view: DownloadView) -> None:
        """Show where the download stands now."""
        self._view = view
        fraction = min(1.0, view.done_bytes / view.total_bytes) if view.total_bytes else 0.0
        self._bar.setValue(round(fraction * STEPS))
        self._bar.setAccessibleDescription(f"{fraction:.0%}")
        has_failed = view.status is DownloadStatus.FAILED
        words = progress_words(view)
        self._message.setText(words if has_failed else "")
        self._words.setText("" if has_failed else unbroken_parts(words))
        self._show_error(view.error if has_failed else None)
        self._message.setVisible(has_failed)
        self.retry_button.setVisible(has_failed and remedy_of(view.error) is not Remedy.CHOOSE_MODEL)
        if has_failed and self.pause_button.hasFocus():
            # Qt would give the keyboard to the button that cancels.
            (self.retry_button if not self.retry_button.isHidden() else self.remedy_button).setFocus()
        self.pause_button.setVisible(view.status in (
            DownloadStatus.WAITING, DownloadStatus.DOWNLOADING, DownloadStatus.VERIFYING))
        self.resume_button.setVisible(view.status is DownloadStatus.PAUSED)
        for control, verb in (
            (self.pause_button, "Pause"), (self.resume_button, "Resume"), (self.cancel_button, "Cancel"),
            (self.retry_button, "Try again"),
        ):
            control.setAccessibleName(f"{verb}: download of {view.repo_id.rpartition('/')[2]} {view.label}".rstrip())

    def _show_error(self, error: AppError | None) -> None:
        self._advice.setText(error.action if error is not None else "")
        self._advice.setVisible(error is not None)
        remedy = remedy_of(error)
        self.remedy_button.setVisible(remedy in OFFERED_REMEDIES)
        self.remedy_button.setText("Show its variants" if remedy is Remedy.CHOOSE_MODEL else remedy_label(remedy))

    def _emit(self, signal: SignalInstance) -> None:
        if self._view is not None:
            signal.emit(self._view.id)

    def _on_remedy_clicked(self) -> None:
        if self._view is not None:
            self.remedy_requested.emit(remedy_of(self._view.error))


def remedy_of(error: AppError | None) -> Remedy:
    """What helps beside trying again: another variant where the wanted one does not exist, else what the error advises."""
    if error is None:
        return Remedy.NONE
    return Remedy.CHOOSE_MODEL if error.spec in (errors.VARIANT_UNKNOWN, errors.VARIANT_AMBIGUOUS) else error.remedy

"""Fits of a load that is being put together: at once for every change, and from llama.cpp when there is a pause."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QObject, QTimer, Signal

from localai_app.errors import AppError
from localai_app.fit.result import FitResult
from localai_app.gui.tasks import BackgroundTask, run_in_background
from localai_app.services.load_previews import LoadPreview
from localai_app.services.load_settings import LoadSettings

PAUSE_MS = 250
"""Nobody waits for llama.cpp's figures while a slider moves."""


@dataclass(frozen=True, slots=True, eq=False)
class _Wish:
    preview: LoadPreview
    settings: LoadSettings


class FitQuestion(QObject):
    """Only the newest wish is worked on; a question to llama.cpp that is under way does not hold up quick answers.

    `answered` carries the FitResult and whether it is the last word on the newest wish.
    """

    answered = Signal(object, bool)
    failed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._wish: _Wish | None = None
        self._quick: BackgroundTask | None = None
        self._slow: BackgroundTask | None = None
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(PAUSE_MS)
        self._pause.timeout.connect(self._ask_engine)

    def ask(self, preview: LoadPreview, settings: LoadSettings) -> None:
        """Work out the fit of these settings, and forget earlier ones."""
        self._wish = _Wish(preview, settings)
        self._pause.stop()
        if self._quick is None:
            self._ask_quickly()

    def _ask_quickly(self) -> None:
        wish = self._wish
        if wish is not None:
            self._quick = run_in_background(
                self, lambda: wish.preview.fit(wish.settings), lambda fit: self._on_quick_answer(wish, fit), self._on_failure)

    def _on_quick_answer(self, wish: _Wish, fit: FitResult) -> None:
        self._quick = None
        self.answered.emit(fit, False)
        if wish is self._wish:
            self._pause.start()
        else:
            self._ask_quickly()

    def _ask_engine(self) -> None:
        wish = self._wish
        if wish is not None and self._slow is None:
            self._slow = run_in_background(
                self, lambda: wish.preview.fit_as_planned(wish.settings), lambda fit: self._on_slow_answer(wish, fit),
                self._on_failure)

    def _on_slow_answer(self, wish: _Wish, fit: FitResult) -> None:
        self._slow = None
        if wish is self._wish:
            self.answered.emit(fit, True)
        elif self._quick is None:
            self._pause.start()

    def _on_failure(self, error: AppError) -> None:
        self._quick = self._slow = None
        self.failed.emit(error)

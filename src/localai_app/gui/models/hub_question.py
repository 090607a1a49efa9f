"""Asks the Hub for a repository in the background, one at a time, and remembers what it answered."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Signal

from localai_app.errors import AppError
from localai_app.gui.tasks import BackgroundTask, run_in_background
from localai_app.hub.model import Repo
from localai_app.services.variant_estimates import VariantEstimates

DELAY_MS = 400
"""A choice that stands this long is asked for, so that walking through a list asks nothing."""


class HubQuestion(QObject):
    """The answer holds the sizes of all variants; what they need follows from VariantEstimates."""

    answered = Signal(object)
    """The Repo."""
    failed = Signal(object)
    """The AppError."""

    def __init__(self, variants: VariantEstimates, parent: QObject) -> None:
        super().__init__(parent)
        self._variants = variants
        self._repo_id = ""
        self._repos: dict[str, Repo] = {}
        self._task: BackgroundTask | None = None
        self._delay = QTimer(self)
        self._delay.setSingleShot(True)
        self._delay.setInterval(DELAY_MS)
        self._delay.timeout.connect(lambda: self.ask(self._repo_id))

    def answer(self, repo_id: str) -> Repo | None:
        """What the Hub said about a repository since the start."""
        return self._repos.get(repo_id)

    def ask_soon(self, repo_id: str) -> None:
        """Ask unless something else is asked first."""
        self.drop()
        self._repo_id = repo_id
        self._delay.start()

    def ask(self, repo_id: str) -> None:
        """Ask now; one of the two signals follows."""
        self.drop()
        self._repo_id = repo_id
        self._task = run_in_background(self, lambda: self._variants.find(repo_id), self._on_answered, self._on_failed)

    def drop(self) -> None:
        """Wait for no answer any more."""
        self._delay.stop()
        if self._task is not None:
            self._task.drop()
            self._task = None

    def _on_answered(self, repo: Repo) -> None:
        self._task = None
        self._repos[self._repo_id] = repo
        self.answered.emit(repo)

    def _on_failed(self, error: AppError) -> None:
        self._task = None
        self.failed.emit(error)

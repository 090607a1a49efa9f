"""Starts, stops and repeats runs of the comparison on screen."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal

from localai_app.compare.comparison import Comparison, ComparisonState
from localai_app.compare.prompts import Prompt, PromptSet
from localai_app.gui.compare.compare_session import CompareSession
from localai_app.gui.tasks import run_in_background
from localai_app.services.compare.comparison_service import ComparisonService


class Runs(QObject):
    """Nothing waits in the window's thread: a start reads and writes the store."""

    failed = Signal(object)

    def __init__(self, comparisons: ComparisonService, session: CompareSession) -> None:
        super().__init__(session)
        self._comparisons, self._session = comparisons, session

    def start(self, prompt_set: PromptSet | None) -> None:
        """Compare the contestants on the typed prompt, or on those of a set."""
        draft = self._session.draft
        prompts = prompt_set.prompts if prompt_set is not None else (Prompt(text=draft.prompt.strip()),)
        spec = draft.spec(prompts, prompt_set.name if prompt_set is not None else "")
        self._ask(lambda: self._comparisons.start(spec), self._session.open)

    def stop(self) -> None:
        """End the run; what is finished is kept."""
        if self._session.is_running:
            self._comparisons.cancel()

    def resume(self) -> None:
        """Ask for what is missing."""
        shown = self._session.shown_id
        if shown is not None:
            self._ask(lambda: self._comparisons.resume(shown), lambda _nothing: self._session.follow())

    def rerun(self, place: int) -> None:
        """Ask one contestant again."""
        shown = self._session.shown_id
        if shown is not None and not self._session.state.is_running:
            self._ask(lambda: self._comparisons.rerun(shown, (place,)), lambda _nothing: self._session.follow(place))

    def can_resume(self, comparison: Comparison | None) -> bool:
        """Whether answers are missing that can be asked for now."""
        return (
            comparison is not None and not self._session.state.is_running and comparison.state is not ComparisonState.DONE
            and len(comparison.answers) < comparison.n_cells)

    def _ask(self, work: Callable[[], object], on_success: Callable[..., None]) -> None:
        run_in_background(self, work, on_success, self.failed.emit)

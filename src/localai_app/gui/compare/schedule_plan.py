"""Says before a run how it will run."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Signal

from localai_app.compare.comparison import Schedule
from localai_app.compare.prompts import Prompt
from localai_app.gui.compare.compare_session import CompareSession
from localai_app.gui.tasks import run_in_background
from localai_app.services.compare.comparison_service import ComparisonService

PLAN_DELAY_MS = 400
"""It is planned when contestants were not changed for this long."""


class SchedulePlan(QObject):
    """`planned` is the newest schedule for the draft; None where there is none."""

    changed = Signal()

    def __init__(self, comparisons: ComparisonService, session: CompareSession) -> None:
        super().__init__(session)
        self._comparisons, self._session = comparisons, session
        self.planned: Schedule | None = None
        self._timer = QTimer(self, singleShot=True, interval=PLAN_DELAY_MS)
        self._timer.timeout.connect(self._plan)

    def plan_soon(self) -> None:
        """Contestants or options were changed."""
        self.planned = None
        self._timer.start()

    def _plan(self) -> None:
        session, draft = self._session, self._session.draft
        if len(draft.chosen) < len(session.lineup.entries) or draft.waits_for or session.state.is_running:
            return
        spec = draft.spec((Prompt(text=draft.prompt.strip() or "?"),))

        def show(schedule: Schedule) -> None:
            if draft.contestants == session.draft.contestants:
                self.planned = schedule
                self.changed.emit()

        run_in_background(self, lambda: self._comparisons.plan(spec), show, lambda _error: None)

"""The strip above the results of a comparison: how far it is, what runs now, stop and go on."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from localai_app.compare.comparison import Comparison
from localai_app.gui.compare.matrix_words import doing_words, failure_words, progress_words, state_badge
from localai_app.gui.metrics import SPACE_2, SPACE_3, SPACE_4
from localai_app.gui.styling import button, label, set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.badge import Badge
from localai_app.gui.widgets.elided_label import ElidedLabel
from localai_app.gui.widgets.meter import Meter, Segment
from localai_app.services.compare.running_state import RunningState


class MatrixProgress(QFrame):
    """Shows what it is given and says what the user wants."""

    stop_requested = Signal()
    resume_requested = Signal()

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        set_role(self, "card")
        self._title = ElidedLabel("", "name")
        self._badge = Badge()
        self._words = label("", "caption")
        self._doing = ElidedLabel("", "caption")
        self._failures = label("", "text-bad", wrap=True, selectable=True)
        self._meter = Meter(theme)
        self._meter.setAccessibleName("Answers that are finished")
        self.stop_button = button("Stop")
        self.stop_button.setToolTip("What is finished is kept; it can go on later")
        self.stop_button.clicked.connect(self.stop_requested)
        self.resume_button = button("Go on", "primary")
        self.resume_button.setToolTip("Ask what is not answered yet")
        self.resume_button.clicked.connect(self.resume_requested)
        self._lay_out()

    @property
    def words(self) -> str:
        """All that is said."""
        return " | ".join(part.text() for part in (self._title, self._badge, self._words, self._doing, self._failures))

    def _lay_out(self) -> None:
        head, foot = QHBoxLayout(), QHBoxLayout()
        for row in (head, foot):
            set_spacing(row, SPACE_3)
        head.addWidget(self._title, 1)
        head.addWidget(self._badge)
        head.addWidget(self.stop_button)
        head.addWidget(self.resume_button)
        foot.addWidget(self._words)
        foot.addWidget(self._doing, 1)
        layout = QVBoxLayout(self)
        set_spacing(layout, SPACE_2, (SPACE_4, SPACE_3, SPACE_4, SPACE_3))
        layout.addLayout(head)
        layout.addWidget(self._meter)
        layout.addLayout(foot)
        layout.addWidget(self._failures)

    def show_state(self, comparison: Comparison, state: RunningState) -> None:
        """Show how far a comparison is. `state`: what runs now, this comparison or something else."""
        is_running = state.comparison_id == comparison.id
        n_done = state.n_done if is_running else len(comparison.answers)
        self._title.setText(" ".join(comparison.title.split()))
        self._badge.show_text(*state_badge(comparison, is_running=is_running))
        self._words.setText(progress_words(comparison, state))
        self._doing.setText(doing_words(comparison, state))
        self._meter.set_segments([Segment(n_done, "accent" if is_running else "good", "done")], max(1, comparison.n_cells))
        failures = failure_words(comparison)
        self._failures.setText(failures)
        self._failures.setVisible(bool(failures))
        self.stop_button.setVisible(is_running)
        self.resume_button.setVisible(not is_running and n_done < comparison.n_cells)
        self.resume_button.setEnabled(not state.is_running)

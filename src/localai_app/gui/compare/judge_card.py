"""The card that lets an installed model judge the answers of a comparison."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout

from localai_app import errors
from localai_app.errors import AppError
from localai_app.gui.bridge import Bridge
from localai_app.gui.compare.progress_row import ProgressRow
from localai_app.gui.metrics import SPACE_3
from localai_app.gui.models.installed_models import InstalledModels
from localai_app.gui.performance.cards import Card
from localai_app.gui.styling import button, combo_box, label, set_spacing
from localai_app.gui.tasks import BackgroundTask, run_in_background
from localai_app.gui.theme import ThemeState
from localai_app.services.app_services import AppServices
from localai_app.services.events import ComparisonChanged, Event, JudgingChanged
from localai_app.store.comparisons import ComparisonRow

TITLE_CHARS = 56
EXPLANATION = (
    "It sees two answers at a time, in both orders and without names; only what it says both times counts, all else is a tie. "
    "Its votes are kept apart from yours. Small models judge badly: see how often the order changed their mind.")
JUDGE, ANYWAY = "Judge", "Judge anyway"


class JudgeCard(Card):
    """Choices, progress, and what came of it."""

    choices_changed = Signal()

    def __init__(self, services: AppServices, theme: ThemeState, bridge: Bridge) -> None:
        super().__init__("Judge model", "Let a model vote too")
        self._services = services
        self._judging = services.compare.judging
        self._task: BackgroundTask | None = None
        self._is_read = False
        self.installed = InstalledModels(services, bridge, self)
        self.installed.changed.connect(self._show_models)
        self.comparisons_box = _box("Comparison to judge", "Nothing compared yet")
        self.models_box = _box("Model that judges", "No model installed")
        self.judge_button = button(JUDGE)
        self.judge_button.clicked.connect(self._on_judge_clicked)
        self.progress = ProgressRow(theme, "Progress of the judge")
        self.progress.stop_requested.connect(self._judging.stop)
        self.warning = label("", "text-warn", wrap=True)
        self.outcome = label("", "body", wrap=True, selectable=True)
        for box in (self.comparisons_box, self.models_box):
            box.currentIndexChanged.connect(self._on_choice_changed)
        self._lay_out()
        bridge.event_published.connect(self._on_event)
        self._show_state()

    def _lay_out(self) -> None:
        line = QHBoxLayout()
        set_spacing(line, SPACE_3)
        line.addWidget(self.comparisons_box, 3)
        line.addWidget(self.models_box, 2)
        line.addWidget(self.judge_button)
        self.body.addWidget(label(EXPLANATION, "muted", wrap=True))
        self.body.addLayout(line)
        for widget in (self.progress, self.warning, self.outcome):
            self.body.addWidget(widget)

    @property
    def is_read(self) -> bool:
        """Whether the comparisons were read at all."""
        return self._is_read

    @property
    def has_comparisons(self) -> bool:
        """Whether there is anything to judge."""
        return self.comparisons_box.count() > 0

    def refresh(self) -> None:
        """Read the comparisons anew."""
        if self._task is None:
            self._task = run_in_background(
                self, self._services.compare.comparisons.rows, self._show_comparisons, self._on_failed)

    def choose(self, comparison_id: int) -> None:
        """Choose a comparison that is listed."""
        self.comparisons_box.setCurrentIndex(self.comparisons_box.findData(comparison_id))

    def _show_comparisons(self, rows: Sequence[ComparisonRow]) -> None:
        self._task, self._is_read = None, True
        _offer(self.comparisons_box, [
            (f"{_shortened(row.title)} · {row.n_answers} answers · number {row.id}", row.id)
            for row in rows if row.n_answers > 1])
        self._show_state()
        self.choices_changed.emit()

    def _show_models(self) -> None:
        _offer(self.models_box, [
            (f"{model.name} {model.label}".strip(), model.key) for model in self.installed.models if model.is_complete])
        self._show_state()

    def _on_judge_clicked(self) -> None:
        comparison_id, model_key = self.comparisons_box.currentData(), self.models_box.currentData()
        insists = self.judge_button.text() == ANYWAY
        self._warn("")
        self.judge_button.setEnabled(False)
        run_in_background(
            self, lambda: self._judging.start(comparison_id, model_key, insists=insists), self._on_started, self._on_refused)

    def _on_started(self, _nothing: None) -> None:
        self._show_state()

    def _on_refused(self, error: AppError) -> None:
        self._show_state()
        self._warn(f"{error.message} {error.action}", may_insist=error.spec is errors.JUDGE_IS_CONTESTANT)

    def _on_choice_changed(self, _index: int) -> None:
        self._warn("")

    def _warn(self, words: str, *, may_insist: bool = False) -> None:
        self.warning.setText(words)
        self.warning.setVisible(bool(words))
        self.judge_button.setText(ANYWAY if may_insist else JUDGE)

    def _show_state(self) -> None:
        state = self._judging.state
        self.progress.show_progress(state.fraction if state.is_running else None, state.words)
        can_start = not state.is_running and self.has_comparisons and self.models_box.count() > 0
        self.judge_button.setEnabled(can_start)
        for box in (self.comparisons_box, self.models_box):
            box.setEnabled(not state.is_running)
        if state.error is not None:
            self.outcome.setText(f"{state.error.message} {state.error.action}")
        else:
            self.outcome.setText("" if state.is_running else state.words)
        self.outcome.setVisible(bool(self.outcome.text()))
        self.warning.setVisible(bool(self.warning.text()))

    def _on_event(self, event: Event) -> None:
        if isinstance(event, JudgingChanged):
            self._show_state()
        elif isinstance(event, ComparisonChanged) and not self._services.compare.comparisons.state.is_running:
            self.refresh()

    def _on_failed(self, error: AppError) -> None:
        self._task = None
        self._warn(f"{error.message} {error.action}")


def _box(name: str, nothing: str) -> QComboBox:
    box = combo_box()
    box.setPlaceholderText(nothing)
    box.setAccessibleName(name)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(12)
    return box


def _offer(box: QComboBox, choices: Sequence[tuple[str, object]]) -> None:
    """Fill a list; what was chosen stays chosen where it is still there."""
    chosen = box.currentData()
    box.blockSignals(True)
    box.clear()
    for words, value in choices:
        box.addItem(words, value)
    box.setCurrentIndex(max(0, box.findData(chosen)) if choices else -1)
    box.blockSignals(False)


def _shortened(title: str) -> str:
    return title if len(title) <= TITLE_CHARS else f"{title[:TITLE_CHARS].rstrip()}…"

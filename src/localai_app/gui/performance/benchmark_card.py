"""The card that measures an installed model and shows what came of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QSizePolicy, QWidget

from localai_app import errors
from localai_app.errors import AppError
from localai_app.gui.bridge import Bridge
from localai_app.gui.itemmodels.benchmark_table_model import BenchmarkTableModel, Column
from localai_app.gui.metrics import SPACE_3, SPACE_4
from localai_app.gui.performance.benchmark_charts import BenchmarkCharts
from localai_app.gui.performance.cards import Card
from localai_app.gui.styling import button, combo_box, label, set_icon
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.error_banner import ErrorBanner
from localai_app.gui.widgets.flat_table import FlatTable
from localai_app.gui.widgets.meter import Meter, Segment
from localai_app.gui.widgets.wheel_guard import ignore_wheel_unless_focused
from localai_app.services.app_services import AppServices
from localai_app.services.benchmark_words import (
    benchmark_lines,
    date_words,
    difference_words,
    earlier_of,
    headline,
    setup_words,
)
from localai_app.services.benchmarks import BenchmarkState, BenchmarkStatus
from localai_app.services.events import BenchmarkChanged, Event, LibraryChanged
from localai_app.store.records import BenchmarkRecord
from localai_app.units import format_wait

NO_MODEL = "No model is installed yet."
NOT_MEASURED = "How fast is it here? Nothing was measured of this model yet."
EXPLANATION = (
    "Prompts of 128, 512 and 2,048 tokens, and answers with 0, 2,048 and 8,192 tokens before them, three times each. "
    "A loaded model is unloaded first, so that the figures can be compared.")
STOPPED = "Stopped before there was a figure."
NARROW = 560
FILE_FILTER = "Results (*.json)"


class BenchmarkCard(Card):
    """Choose a model, run or stop, and read the newest result beside earlier ones."""

    page_requested = Signal(str)

    def __init__(self, services: AppServices, theme: ThemeState, bridge: Bridge) -> None:
        super().__init__("Benchmark", "")
        self._services = services
        self._table_model = BenchmarkTableModel()
        self.models = combo_box()
        self.models.setAccessibleName("Model to measure")
        self.models.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.models.setMinimumContentsLength(12)
        self.models.setSizeAdjustPolicy(self.models.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        ignore_wheel_unless_focused(self.models)
        self.models.currentIndexChanged.connect(self._show)
        self.run_button = button("Run", "primary")
        self.run_button.clicked.connect(self._on_run_clicked)
        self.stop_button = button("Stop")
        self.stop_button.clicked.connect(self._on_stop_clicked)
        self.banner = ErrorBanner(theme)
        self.banner.remedy_requested.connect(lambda _remedy: self.page_requested.emit("models"))
        self._progress = QWidget()
        self._progress_words = label("", "caption")
        self._meter = Meter(theme)
        self._meter.setAccessibleName("Progress of the benchmark")
        self.setup = label("", "muted", wrap=True, selectable=True)
        self.table = FlatTable(
            self._table_model, theme, "Measured speeds", stretched=(Column.WHAT,),
            least_widths={Column.SPREAD: NARROW, Column.EARLIER: NARROW - 140})
        self.charts = BenchmarkCharts(theme)
        self._note = label(EXPLANATION, "muted", wrap=True)
        self.export_button = button("Save…", compact=True)
        set_icon(self.export_button, "download", theme)
        self.export_button.setToolTip("Save all results of this model as JSON")
        self.export_button.clicked.connect(self._on_export_clicked)
        self.forget_button = button("Forget the results", compact=True)
        set_icon(self.forget_button, "trash", theme)
        self.forget_button.clicked.connect(self._on_forget_clicked)
        self._lay_out()
        bridge.event_published.connect(self._on_event)
        self._list_models()

    @property
    def model_key(self) -> str:
        """The model that is chosen; empty where none is installed."""
        return str(self.models.currentData() or "")

    def choose(self, model_key: str) -> None:
        """Choose a model, if it is installed."""
        index = self.models.findData(model_key)
        if index >= 0:
            self.models.setCurrentIndex(index)

    def _lay_out(self) -> None:
        choice = QHBoxLayout()
        choice.setSpacing(SPACE_3)
        choice.addWidget(self.models, 1)
        choice.addWidget(self.run_button)
        choice.addWidget(self.stop_button)
        choice.addStretch(0)
        progress = QHBoxLayout(self._progress)
        progress.setContentsMargins(0, 0, 0, 0)
        progress.setSpacing(SPACE_3)
        progress.addWidget(self._meter, 1)
        progress.addWidget(self._progress_words)
        foot = QHBoxLayout()
        foot.setSpacing(SPACE_3)
        foot.addWidget(self._note, 1)
        foot.addWidget(self.export_button, 0, Qt.AlignmentFlag.AlignBottom)
        foot.addWidget(self.forget_button, 0, Qt.AlignmentFlag.AlignBottom)
        self.body.addLayout(choice)
        self.body.addWidget(self.banner)
        self.body.addWidget(self._progress)
        self.body.addWidget(self.table)
        self.body.addWidget(self.setup)
        self.body.addSpacing(SPACE_4 - SPACE_3)
        self.body.addWidget(self.charts)
        self.body.addLayout(foot)

    def _list_models(self) -> None:
        """Fill the list anew and keep the choice; at first the model that is loaded, or was used last."""
        installed = [model for model in self._services.library.models() if model.is_complete]
        chosen = self.model_key or self._services.engine.state.model_key
        if not any(model.key == chosen for model in installed):
            chosen = max(installed, key=lambda model: model.last_used_s or 0.0).key if installed else ""
        self.models.blockSignals(True)
        self.models.clear()
        for model in installed:
            self.models.addItem(f"{model.name} {model.label}".rstrip(), model.key)
        self.models.setCurrentIndex(self.models.findData(chosen))
        self.models.blockSignals(False)
        self._show()

    @Slot()
    def _show(self) -> None:
        state = self._services.benchmarks.state
        records = self._records()
        self._show_state(state, has_records=bool(records))
        self._show_records(records)
        if not self.model_key:
            self._set_headline(NO_MODEL)
        elif records:
            self._set_headline(f"{records[0].model_name}: {headline(records[0])}")
        else:
            is_stopped = state.status is BenchmarkStatus.STOPPED and state.model_key == self.model_key
            self._set_headline(STOPPED if is_stopped else NOT_MEASURED)

    def _show_state(self, state: BenchmarkState, *, has_records: bool) -> None:
        self.run_button.setVisible(not state.is_running)
        self.run_button.setText("Run again" if has_records else "Run" if self.model_key else "Find a model")
        self.models.setVisible(bool(self.model_key))
        self.stop_button.setVisible(state.is_running)
        self.stop_button.setEnabled(state.is_running)
        self.models.setEnabled(not state.is_running)
        self._progress.setVisible(state.is_running)
        self._progress_words.setText(progress_words(state))
        self._meter.set_segments([Segment(state.fraction, "accent", "done")], 1.0)
        if state.is_running:
            self.banner.clear()
        elif state.error is not None and state.error is not self.banner.error and state.model_key == self.model_key:
            self.banner.show_error(state.error, offer_remedy=state.error.remedy is errors.Remedy.CHOOSE_MODEL)

    def _show_records(self, records: tuple[BenchmarkRecord, ...]) -> None:
        for part in (self.table, self.setup, self.charts, self.export_button, self.forget_button):
            part.setVisible(bool(records))
        if not records:
            return
        newest = records[0]
        earlier = earlier_of(newest, records)
        self._table_model.show_records(benchmark_lines(newest, earlier))
        self.table.leave_out(*(() if earlier is not None else (Column.EARLIER, Column.CHANGE)))
        words = f"{date_words(newest)}: {setup_words(newest)}."
        if earlier is not None:
            difference = difference_words(newest, earlier)
            words += f" Earlier: {date_words(earlier)}, " + (f"with {difference}." if difference else "set up in the same way.")
        self.setup.setText(words)
        self.charts.show_records(newest, records[1:])

    def _records(self) -> tuple[BenchmarkRecord, ...]:
        if not self.model_key:
            return ()
        try:
            return self._services.benchmarks.records(self.model_key)
        except AppError as error:
            self.banner.show_error(error, offer_remedy=False)
            return ()

    def _set_headline(self, words: str) -> None:
        self.name_label.setText(words)
        self.setAccessibleName(f"Benchmark: {words}")

    def _on_event(self, event: Event) -> None:
        if isinstance(event, LibraryChanged):
            self._list_models()
        elif isinstance(event, BenchmarkChanged):
            state = self._services.benchmarks.state
            if state.is_running:
                self.choose(state.model_key)
                self._show_state(state, has_records=self.table.isVisible())
            else:
                self._show()

    @Slot()
    def _on_run_clicked(self) -> None:
        if not self.model_key:
            self.page_requested.emit("models")
            return
        try:
            self._services.benchmarks.start(self.model_key)
        except AppError as error:
            self.banner.show_error(error, offer_remedy=False)

    @Slot()
    def _on_stop_clicked(self) -> None:
        self.stop_button.setEnabled(False)
        self._services.benchmarks.stop()

    @Slot()
    def _on_forget_clicked(self) -> None:
        try:
            self._services.benchmarks.forget(self.model_key)
        except AppError as error:
            self.banner.show_error(error, offer_remedy=False)

    @Slot()
    def _on_export_clicked(self) -> None:
        name, _filter = QFileDialog.getSaveFileName(
            self, "Save the results", str(Path.home() / "benchmark.json"), FILE_FILTER)
        if name:
            self.save_to(Path(name))

    def save_to(self, path: Path) -> None:
        """Write all results of the chosen model; what goes wrong is said."""
        try:
            path.write_bytes(msgspec.json.format(msgspec.json.encode(self._records()), indent=2))
        except OSError as error:
            reason = (error.strerror or "unknown reason").lower()
            self.banner.show_error(AppError(errors.FILE_UNWRITABLE, name=path.name, reason=reason), offer_remedy=False)


def progress_words(state: BenchmarkState) -> str:
    """How far it is, in a few words."""
    if state.status is BenchmarkStatus.LOADING:
        return f"Loading, {state.fraction:.0%}"
    left = f", {format_wait(state.left_s)} left" if state.left_s is not None else ""
    return f"Measuring, {state.fraction:.0%}{left}"

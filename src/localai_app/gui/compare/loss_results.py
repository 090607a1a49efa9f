"""What was measured: the recommendation, charts, the table, notes about the files, and earlier measurements."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy

from localai_app.gui.compare.loss_charts import LossCharts
from localai_app.gui.itemmodels.loss_table_model import Column, LossTableModel
from localai_app.gui.metrics import SPACE_3
from localai_app.gui.performance.cards import Card
from localai_app.gui.styling import button, combo_box, label, set_icon, set_role
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.flat_table import FlatTable
from localai_app.gui.widgets.wheel_guard import ignore_wheel_unless_focused
from localai_app.services.compare.loss_choices import FileFacts, fallback_notes
from localai_app.services.compare.loss_words import LossMeasurement, loss_csv, loss_lines, loss_text

MEANING = (
    "KL divergence: how far the variant's probabilities of the next token are from the reference's, 0 for none; the mean, and "
    "what 99% of the tokens are below. Errors are standard errors; bars in the charts are two of them.")
NARROW = 860
Key = tuple[str, str, int, int]


class LossResults(Card):
    """Shows one measurement; `forget_requested` has those of its results that are to be forgotten."""

    forget_requested = Signal(object)

    def __init__(self, theme: ThemeState) -> None:
        super().__init__("Recommendation", "")
        set_role(self.name_label, "strong")
        self._measurements: tuple[LossMeasurement, ...] = ()
        self._facts: dict[str, FileFacts] = {}
        self._table_model = LossTableModel()
        self.earlier = combo_box()
        self.earlier.setAccessibleName("Measurements that are kept")
        self.earlier.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.earlier.setMinimumContentsLength(8)
        self.earlier.setSizeAdjustPolicy(self.earlier.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        ignore_wheel_unless_focused(self.earlier)
        self.earlier.currentIndexChanged.connect(self._show)
        self.charts = LossCharts(theme)
        self.table = FlatTable(
            self._table_model, theme, "What each variant loses", stretched=(Column.VARIANT,),
            least_widths={Column.PERPLEXITY: NARROW, Column.KLD_P99: NARROW - 90, Column.SPEED: NARROW - 180})
        self.notes = label("", "body", wrap=True, selectable=True)
        self.set_up = label("", "caption", wrap=True, selectable=True)
        self.copy_button = button("Copy as text", compact=True)
        set_icon(self.copy_button, "copy", theme)
        self.copy_button.clicked.connect(lambda: self._copy(loss_text))
        self.csv_button = button("Copy as CSV", compact=True)
        set_icon(self.csv_button, "copy", theme)
        self.csv_button.clicked.connect(lambda: self._copy(loss_csv))
        self.forget_button = button("Forget this", compact=True)
        set_icon(self.forget_button, "trash", theme)
        self.forget_button.clicked.connect(self._on_forget_clicked)
        self._lay_out()

    @property
    def shown(self) -> LossMeasurement | None:
        """The one on screen; None where none is kept."""
        index = self.earlier.currentIndex()
        return self._measurements[index] if 0 <= index < len(self._measurements) else None

    def show_measurements(
        self, measurements: Sequence[LossMeasurement], facts: Mapping[str, FileFacts], *, newest: bool = False,
    ) -> None:
        """Show these, the newest first; the one on screen stays there unless `newest` is asked for."""
        shown = self.shown
        kept = _key(shown) if shown is not None and not newest else None
        self._measurements, self._facts = tuple(measurements), dict(facts)
        self.earlier.blockSignals(True)
        self.earlier.clear()
        for measurement in measurements:
            self.earlier.addItem(measurement.title)
        places = [index for index, one in enumerate(measurements) if _key(one) == kept]
        self.earlier.setCurrentIndex(places[0] if places else 0 if measurements else -1)
        self.earlier.blockSignals(False)
        self._show()

    def _lay_out(self) -> None:
        foot = QHBoxLayout()
        foot.setSpacing(SPACE_3)
        foot.addWidget(self.copy_button)
        foot.addWidget(self.csv_button)
        foot.addStretch(1)
        foot.addWidget(self.forget_button)
        for part in (
            self.earlier, self.table, self.charts, self.notes, label(MEANING, "caption", wrap=True), self.set_up):
            self.body.addWidget(part)
        self.body.addLayout(foot)

    @Slot()
    def _show(self) -> None:
        shown = self.shown
        self.setVisible(shown is not None)
        if shown is None:
            return
        self.name_label.setText(shown.advice)
        self.setAccessibleName(f"Recommendation: {shown.advice}")
        self._table_model.show_records(loss_lines(shown))
        self.charts.show_measurement(shown)
        self.set_up.setText(f"Measured with {shown.set_up}.")
        models = (shown.reference, *(result.variant for result in shown.results))
        self.notes.setText("\n".join(fallback_notes(models, self._facts)))
        self.notes.setVisible(bool(self.notes.text()))

    def _copy(self, words: Callable[[LossMeasurement], str]) -> None:
        shown = self.shown
        if shown is not None:
            QGuiApplication.clipboard().setText(words(shown))

    @Slot()
    def _on_forget_clicked(self) -> None:
        shown = self.shown
        if shown is not None:
            self.forget_requested.emit(tuple(result.id for result in shown.results))


def _key(measurement: LossMeasurement) -> Key:
    first = measurement.results[0]
    return (first.reference.key, first.text_sha256, first.n_scored, first.ctx)


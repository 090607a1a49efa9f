"""The card of what was predicted and measured on this computer."""

from __future__ import annotations

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QHBoxLayout, QWidget

from localai_app.errors import AppError
from localai_app.gui.bridge import Bridge
from localai_app.gui.itemmodels.measurement_table_model import Column, MeasurementTableModel
from localai_app.gui.metrics import SPACE_3
from localai_app.gui.performance.cards import Card
from localai_app.gui.styling import button, label, set_icon
from localai_app.gui.tasks import run_in_background
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.flat_table import FlatTable
from localai_app.services.app_services import AppServices
from localai_app.services.events import ErrorHappened, Event, MeasurementsChanged
from localai_app.services.measurement_words import measurement_rows, summary_words

SHOWN_ROWS = 10
NARROW = 640
"""Below this width the place is left out."""
EXPLANATION = "Each load and each answer is compared with its prediction; that corrects the next prediction for this computer."


class MeasurementTable(FlatTable):
    """The newest figures."""

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        model = MeasurementTableModel()
        super().__init__(
            model, theme, "Predicted and measured", stretched=(Column.MODEL, Column.WHERE),
            least_widths={Column.WHERE: NARROW}, parent=parent)
        self.table_model = model


class MeasuredCard(Card):
    """The typical error in one sentence, the newest figures, and a button that forgets them."""

    def __init__(
        self, services: AppServices, theme: ThemeState, bridge: Bridge,
    ) -> None:
        super().__init__("Predicted and measured", "")
        self._services = services
        self.table = MeasurementTable(theme)
        self.forget_button = button("Forget the measurements", compact=True)
        set_icon(self.forget_button, "trash", theme)
        self.forget_button.clicked.connect(self._on_forget_clicked)
        self._explanation = label(EXPLANATION, "muted", wrap=True)
        self._foot = QHBoxLayout()
        self._foot.setSpacing(SPACE_3)
        self._foot.addWidget(self._explanation, 1)
        self._foot.addWidget(self.forget_button, 0, Qt.AlignmentFlag.AlignBottom)
        self.body.addWidget(self.table)
        self.body.addLayout(self._foot)
        bridge.event_published.connect(self._on_event)
        self._show()

    def _show(self) -> None:
        measurements = self._services.calibration.measurements()
        rows = measurement_rows(measurements)[:SHOWN_ROWS]
        summary = summary_words(measurements)
        self.name_label.setText(summary)
        self.setAccessibleName(f"Predicted and measured: {summary}")
        self.table.table_model.show_records(rows)
        self.table.setVisible(bool(rows))
        self.forget_button.setVisible(bool(rows))

    def _on_event(self, event: Event) -> None:
        if isinstance(event, MeasurementsChanged):
            self._show()

    @Slot()
    def _on_forget_clicked(self) -> None:
        self.forget_button.setEnabled(False)
        run_in_background(self, self._services.calibration.forget, self._on_forgotten, self._on_failed)

    def _on_forgotten(self, _nothing: None) -> None:
        self.forget_button.setEnabled(True)

    def _on_failed(self, error: AppError) -> None:
        self.forget_button.setEnabled(True)
        self._services.events.publish(ErrorHappened(error))

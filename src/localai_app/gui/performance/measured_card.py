"""The card of what was predicted and measured on this computer."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QFrame, QHBoxLayout, QHeaderView, QSizePolicy, QTableView, QWidget

from localai_app.errors import AppError
from localai_app.gui.bridge import Bridge
from localai_app.gui.itemmodels.measurement_table_model import Column, MeasurementTableModel
from localai_app.gui.metrics import SPACE_3, SPACE_4
from localai_app.gui.models.text_scale import scaled
from localai_app.gui.performance.cards import Card
from localai_app.gui.styling import button, label, set_icon, set_role
from localai_app.gui.tasks import run_in_background
from localai_app.gui.theme import ThemeState
from localai_app.services.app_services import AppServices
from localai_app.services.events import ErrorHappened, Event, MeasurementsChanged
from localai_app.services.measurement_words import MeasurementRow, measurement_rows, summary_words

SHOWN_ROWS = 10
NARROW = 640
"""Below this width the place is left out."""
EXPLANATION = "Each load and each answer is compared with its prediction; that corrects the next prediction for this computer."


class MeasurementTable(QTableView):
    """The newest figures; as tall as its rows, because the page scrolls."""

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.table_model = MeasurementTableModel(self)
        self._theme = theme
        set_role(self, "table")
        self.setAccessibleName("Predicted and measured")
        self.setModel(self.table_model)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.verticalHeader().hide()
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionsClickable(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        for column in (Column.MODEL, Column.WHERE):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)
        theme.changed.connect(self._fit_height)
        self._fit_height()

    def show_rows(self, rows: tuple[MeasurementRow, ...]) -> None:
        """List these."""
        self.table_model.show_rows(rows)
        self._fit_height()

    def sizeHint(self) -> QSize:
        """As tall as all rows."""
        return QSize(super().sizeHint().width(), self._height())

    def minimumSizeHint(self) -> QSize:
        """The same: there is nothing to scroll."""
        return QSize(0, self._height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Leave the place out where it is narrow."""
        super().resizeEvent(event)
        self.setColumnHidden(Column.WHERE, self.width() < scaled(NARROW, self))

    def _height(self) -> int:
        rows = self.table_model.rowCount() * self.verticalHeader().defaultSectionSize()
        return self.horizontalHeader().sizeHint().height() + rows

    @Slot()
    def _fit_height(self) -> None:
        self.verticalHeader().setDefaultSectionSize(round(1.45 * self._theme.sizes.body) + SPACE_4)
        self.updateGeometry()


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
        self.table.show_rows(rows)
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

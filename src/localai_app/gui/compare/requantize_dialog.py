"""Chooses which smaller file is made of an installed model; says its size and what falls back before it is made."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QDialog, QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from localai_app.engine.quantizing import FILE_TYPES
from localai_app.errors import AppError
from localai_app.gui.itemmodels.planned_table_model import Column, PlannedLine, PlannedTableModel
from localai_app.gui.metrics import SPACE_3, SPACE_4, SPACE_6
from localai_app.gui.styling import button, combo_box, label, set_role, set_spacing
from localai_app.gui.tasks import BackgroundTask, run_in_background
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.error_banner import ErrorBanner
from localai_app.gui.widgets.flat_table import FlatTable
from localai_app.services.app_services import AppServices
from localai_app.services.compare.stored_files import PlannedFile, planned_files
from localai_app.services.views import InstalledModel
from localai_app.units import format_file_size

PREFERRED = "Q4_K_M"
WORTH_MAKING = 0.97
"""A file that is hardly smaller than its source is not offered."""
NOTHING_SMALLER = "Nothing smaller can be made of this file."


class RequantizeDialog(QDialog):
    """Accepted with `source_key` and `target_label`; nothing is made in here."""

    def __init__(
        self, services: AppServices, theme: ThemeState, models: Sequence[InstalledModel], model_key: str,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        set_role(self, "sheet")
        self.setWindowTitle("Re-quantize")
        self.resize(theme.sizes.grown(640), theme.sizes.grown(560))
        self._services = services
        self._models = {model.key: model for model in models if model.is_complete}
        self._task: BackgroundTask | None = None
        self._warning_task: BackgroundTask | None = None
        self.sources = combo_box()
        self.sources.setAccessibleName("File to make it of")
        for model in self._models.values():
            title = f"{model.name} · {model.label}" if model.label and model.label not in model.name else model.name
            self.sources.addItem(f"{title} · {format_file_size(model.size_bytes)}", model.key)
        self.sources.setCurrentIndex(max(0, self.sources.findData(model_key)))
        self.sources.currentIndexChanged.connect(self._plan)
        self.banner = ErrorBanner(theme)
        self._table_model = PlannedTableModel()
        self.table = FlatTable(self._table_model, theme, "Files that can be made", stretched=(Column.WORDS,))
        self.table.selectionModel().selectionChanged.connect(self._on_selection_changed)
        self.note = label("", "muted", wrap=True)
        self.warning = label("", "text-warn", wrap=True)
        self.make_button = button("Make it", "primary")
        self.make_button.clicked.connect(self.accept)
        self.table.doubleClicked.connect(lambda _index: self.make_button.click())
        self.cancel_button = button("Cancel")
        self.cancel_button.clicked.connect(self.reject)
        self._lay_out()
        self._plan()

    @property
    def source_key(self) -> str:
        """The model that it is made of; empty where none is installed."""
        return str(self.sources.currentData() or "")

    @property
    def target_label(self) -> str:
        """What it is made into; empty where nothing is chosen."""
        line = self._chosen()
        return line.file.label if line is not None else ""

    def choose(self, target_label: str) -> None:
        """Choose a type, if it is offered."""
        for row, line in enumerate(self._table_model.lines):
            if line.file.label == target_label:
                self.table.selectRow(row)

    def _lay_out(self) -> None:
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setWidget(self.table)
        buttons = QHBoxLayout()
        set_spacing(buttons, SPACE_3)
        buttons.addStretch(1)
        buttons.addWidget(self.cancel_button)
        buttons.addWidget(self.make_button)
        layout = QVBoxLayout(self)
        set_spacing(layout, SPACE_4, (SPACE_6, SPACE_6, SPACE_6, SPACE_6))
        layout.addWidget(label(
            "llama.cpp makes a smaller file of an installed one and puts it among your models. The best result comes from the "
            "most precise file.", "muted", wrap=True))
        layout.addWidget(self.sources)
        layout.addWidget(self.banner)
        layout.addWidget(scroll, 1)
        for part in (self.note, self.warning):
            layout.addWidget(part)
        layout.addLayout(buttons)

    @Slot()
    def _plan(self) -> None:
        if self._task is not None:
            self._task.drop()
        self.banner.clear()
        model = self._models.get(self.source_key)
        self._show_files(())
        if model is not None:
            self.note.setText("Reading the file…")
            self._task = run_in_background(
                self, lambda: planned_files(model, tuple(FILE_TYPES)), self._show_files, self._on_failed)

    def _show_files(self, files: tuple[PlannedFile, ...]) -> None:
        model = self._models.get(self.source_key)
        size = model.size_bytes if model is not None else 0
        lines = [PlannedLine(file, size) for file in files if file.size_bytes < WORTH_MAKING * size]
        self._table_model.show_records(lines)
        self.note.setText("" if lines else NOTHING_SMALLER)
        self._on_selection_changed()
        self.choose(PREFERRED if any(line.file.label == PREFERRED for line in lines) else lines[0].file.label if lines else "")

    def _on_failed(self, error: AppError) -> None:
        self.note.setText("")
        self.banner.show_error(error, offer_remedy=False)

    def _chosen(self) -> PlannedLine | None:
        rows = self.table.selectionModel().selectedRows()
        lines = self._table_model.lines
        return lines[rows[0].row()] if rows and rows[0].row() < len(lines) else None

    @Slot()
    def _on_selection_changed(self) -> None:
        line = self._chosen()
        self.make_button.setEnabled(False)
        self.warning.hide()
        if self._warning_task is not None:
            self._warning_task.drop()
        if line is None:
            return
        self.note.setText(line.file.fallback.replace(" are stored as ", " will be stored as ").replace(
            " is stored as ", " will be stored as "))
        source, target = self.source_key, line.file.label
        self._warning_task = run_in_background(
            self, lambda: self._services.compare.losses.requantizing.plan(source, target).warning, self._on_planned,
            self._on_refused)

    def _on_planned(self, warning: str) -> None:
        self.warning.setText(warning)
        self.warning.setVisible(bool(warning))
        self.make_button.setEnabled(True)

    def _on_refused(self, error: AppError) -> None:
        self.warning.setText(error.message)
        self.warning.show()

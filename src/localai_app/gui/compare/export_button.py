"""The button that writes a comparison to a file, or puts it on the clipboard."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog, QMenu, QPushButton

from localai_app.compare.comparison import Comparison
from localai_app.errors import AppError
from localai_app.gui.bridge import Bridge
from localai_app.gui.metrics import SPACE_1
from localai_app.gui.tasks import run_in_background
from localai_app.gui.theme import ThemeState
from localai_app.services.app_services import AppServices
from localai_app.services.compare.exporting import ExportFormat, export_text, suggested_name, write_export
from localai_app.services.events import ErrorHappened

USES = {
    ExportFormat.MARKDOWN: "to read and to paste", ExportFormat.HTML: "a report with charts, to show",
    ExportFormat.CSV: "a row for each answer, for spreadsheets", ExportFormat.JSON: "complete, to import again"}


class ExportButton(QPushButton):
    """Off until it is told which comparison is meant."""

    exported = Signal(str)
    """A file was written, or "" for the clipboard."""

    def __init__(self, services: AppServices, _theme: ThemeState, _bridge: Bridge) -> None:
        super().__init__("Export")
        self._services = services
        self._comparison_id: int | None = None
        self.setEnabled(False)
        self.clicked.connect(self._on_clicked)

    def show_comparison(self, comparison_id: int | None) -> None:
        """Export this one from now on; None: there is nothing to export."""
        self._comparison_id = comparison_id
        self.setEnabled(comparison_id is not None)

    def build_menu(self) -> QMenu:
        """The menu, which deletes itself when closed."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for form in ExportFormat:
            action = menu.addAction(f"{form.label}…\t{USES[form]}")
            action.triggered.connect(lambda _checked=False, form=form: self.ask_and_export(form))
        menu.addSeparator()
        copy = menu.addAction("Copy as Markdown")
        copy.triggered.connect(self.copy_markdown)
        return menu

    def ask_and_export(self, form: ExportFormat) -> None:
        """Ask where to, with a name that says what it is, and write the file."""
        comparison = self._comparison()
        if comparison is None:
            return
        name, _filter = QFileDialog.getSaveFileName(
            self, "Export the comparison", str(Path.home() / suggested_name(comparison, form)),
            f"{form.label} (*{form.suffix})")
        if name:
            self.export_to(form, Path(name))

    def export_to(self, form: ExportFormat, path: Path) -> None:
        """Write a file; what goes wrong is said."""
        comparison_id = self._comparison_id
        if comparison_id is None:
            return
        comparisons = self._services.compare.comparisons
        run_in_background(
            self, lambda: write_export(comparisons.get(comparison_id), form, path),
            lambda _nothing: self.exported.emit(str(path)), self._on_failed)

    @Slot()
    def copy_markdown(self) -> None:
        """Put the comparison on the clipboard."""
        comparison_id = self._comparison_id
        if comparison_id is None:
            return
        comparisons = self._services.compare.comparisons
        run_in_background(
            self, lambda: export_text(comparisons.get(comparison_id), ExportFormat.MARKDOWN), self._on_text_made,
            self._on_failed)

    def _comparison(self) -> Comparison | None:
        if self._comparison_id is None:
            return None
        try:
            return self._services.compare.comparisons.get(self._comparison_id)
        except AppError as error:
            self._on_failed(error)
            return None

    def _on_text_made(self, text: str) -> None:
        QGuiApplication.clipboard().setText(text)
        self.exported.emit("")

    def _on_failed(self, error: AppError) -> None:
        self._services.events.publish(ErrorHappened(error))

    @Slot()
    def _on_clicked(self) -> None:
        menu = self.build_menu()
        below = self.mapToGlobal(self.rect().bottomRight())
        below.setX(below.x() - menu.sizeHint().width())
        below.setY(below.y() + SPACE_1)
        menu.popup(below)

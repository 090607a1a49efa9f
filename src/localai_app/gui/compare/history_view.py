"""All comparisons that are kept: found by words, opened, gone on with, exported, imported, deleted with a way back."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QItemSelectionModel, QModelIndex, QPoint, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QAction, QKeySequence, QShowEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QListView,
    QMenu,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from localai_app.compare.comparison import Comparison
from localai_app.gui.bridge import Bridge
from localai_app.gui.chat.undo_bar import UndoBar
from localai_app.gui.compare.export_button import ExportButton
from localai_app.gui.delegates.comparison_delegate import ComparisonDelegate
from localai_app.gui.icons import icon
from localai_app.gui.itemmodels.comparison_list_model import ENTRY_ROLE, ComparisonListModel
from localai_app.gui.metrics import SPACE_2, SPACE_3, SPACE_4, SPACE_6
from localai_app.gui.styling import add_clear_button, button, set_role, set_spacing
from localai_app.gui.tasks import BackgroundTask, run_in_background
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.empty_state import EmptyState
from localai_app.gui.widgets.error_banner import ErrorBanner
from localai_app.services.app_services import AppServices
from localai_app.services.compare.comparison_service import ComparisonService
from localai_app.services.compare.exporting import read_export
from localai_app.services.compare.history import HistoryEntry
from localai_app.services.events import ComparisonChanged, Event, VotesChanged
from localai_app.store.comparisons import ComparisonRow

SEARCH_DELAY_MS = 150
REFRESH_MS = 400
"""While a comparison runs, news come with every cell."""
SEARCH_WIDTH = 320
NOTHING = ("No comparisons yet", "What you compare is kept here with everything to repeat it.", "Compare models")
NOTHING_FOUND = ("Nothing found", "No prompt, answer or model that may be named has these words in it.")


class HistoryView(QWidget):
    """Reads the list in the background; rows are drawn as they come into view."""

    comparison_chosen = Signal(int)
    answers_requested = Signal()

    def __init__(self, services: AppServices, theme: ThemeState, bridge: Bridge) -> None:
        super().__init__()
        self._services, self._theme = services, theme
        self._comparisons = services.compare.comparisons
        self._task: BackgroundTask | None = None
        self._is_stale = True
        self._chosen_id: int | None = None
        self._deleted: Comparison | None = None
        self.model = ComparisonListModel(self)
        self.search = QLineEdit()
        self.export_button = ExportButton(services, theme, bridge)
        self.banner = ErrorBanner(theme)
        self.empty = EmptyState(theme, "clock-counter-clockwise", *NOTHING)
        self.empty.button_pressed.connect(self.answers_requested)
        self.undo_bar = UndoBar()
        self.list = self._build_list()
        self._build_buttons()
        self._lay_out()
        self._timer = QTimer(self, singleShot=True, interval=REFRESH_MS)
        self._timer.timeout.connect(self.refresh)
        self._search_timer = QTimer(self, singleShot=True, interval=SEARCH_DELAY_MS)
        self._search_timer.timeout.connect(self.refresh)
        self.search.textChanged.connect(lambda _text: self._search_timer.start())
        self.undo_bar.undo_requested.connect(self._on_undo_requested)
        bridge.event_published.connect(self._on_event)
        theme.changed.connect(self.list.viewport().update)
        self._show_chosen()

    @Slot()
    def refresh(self) -> None:
        """Read the list again, in the background; at once only if it is seen."""
        if not self.isVisible():
            self._is_stale = True
            return
        self._is_stale = False
        if self._task is not None:
            self._task.drop()
        words = self.search.text()
        self._task = run_in_background(self, lambda: self._comparisons.rows(words), self._on_rows_read, self.banner.show_error)

    def showEvent(self, event: QShowEvent) -> None:
        """News that came meanwhile."""
        super().showEvent(event)
        if self._is_stale:
            self.refresh()

    def import_from(self, path: Path) -> None:
        """Keep the comparison of an exported file; what goes wrong is said."""
        run_in_background(
            self, lambda: self._comparisons.restore(read_export(path)), self._on_imported, self.banner.show_error)

    def _build_list(self) -> QListView:
        view = set_role(QListView(), "list")
        view.setModel(self.model)
        view.setItemDelegate(ComparisonDelegate(self._theme, view))
        view.setAccessibleName("Comparisons")
        view.setMouseTracking(True)
        view.setUniformItemSizes(True)
        view.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        view.customContextMenuRequested.connect(self._on_menu_requested)
        view.activated.connect(lambda _index: self._on_open_clicked())
        view.selectionModel().currentChanged.connect(self._on_current_changed)
        self._delete_action = QAction(icon("trash", self._theme), "Delete", self)
        self._delete_action.setShortcut(QKeySequence("Ctrl+Delete"))
        self._delete_action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        self._delete_action.triggered.connect(self._on_delete_clicked)
        view.addAction(self._delete_action)
        return view

    def _build_buttons(self) -> None:
        self.search.setPlaceholderText("Search prompts, answers, models")
        self.search.setAccessibleName("Search comparisons")
        self.search.setMaximumWidth(SEARCH_WIDTH)
        add_clear_button(self.search, "Clear the search", self._theme)
        self.open_button = button("Open")
        self.open_button.clicked.connect(self._on_open_clicked)
        self.resume_button = button("Go on")
        self.resume_button.setToolTip("Ask what was not answered yet")
        self.resume_button.clicked.connect(self._on_resume_clicked)
        self.delete_button = button("Delete")
        self.delete_button.clicked.connect(self._on_delete_clicked)
        self.import_button = button("Import…")
        self.import_button.setToolTip("Add a comparison that was exported as JSON")
        self.import_button.clicked.connect(self._on_import_clicked)

    def _lay_out(self) -> None:
        tools = QHBoxLayout()
        set_spacing(tools, SPACE_2)
        tools.addWidget(self.search, 3)
        tools.addStretch(1)
        for control in (self.open_button, self.resume_button, self.export_button, self.delete_button, self.import_button):
            tools.addWidget(control)
        card = set_role(QWidget(), "card")
        inside = QVBoxLayout(card)
        set_spacing(inside, 0, (SPACE_2, SPACE_2, SPACE_2, SPACE_2))
        inside.addWidget(self.list)
        self._stack = QStackedWidget()
        self._stack.addWidget(card)
        self._stack.addWidget(self.empty)
        column = QVBoxLayout(self)
        set_spacing(column, SPACE_3, (SPACE_6, SPACE_4, SPACE_6, SPACE_4))
        column.addLayout(tools)
        column.addWidget(self.banner)
        column.addWidget(self._stack, 1)
        column.addWidget(self.undo_bar)

    def _entry(self) -> HistoryEntry | None:
        entry: HistoryEntry | None = self.list.currentIndex().data(ENTRY_ROLE)
        return entry

    def _on_rows_read(self, rows: tuple[ComparisonRow, ...]) -> None:
        self._task = None
        self.model.show_rows(rows, self._comparisons.state.comparison_id)
        self._stack.setCurrentIndex(0 if rows else 1)
        self.empty.set_words(*(NOTHING_FOUND if self.search.text().strip() else NOTHING))
        index = self.model.index_of(self._chosen_id)
        if index.isValid() and index != self.list.currentIndex():
            self.list.selectionModel().setCurrentIndex(index, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        self._show_chosen()

    def _show_chosen(self) -> None:
        entry = self._entry()
        self.export_button.show_comparison(entry.id if entry is not None else None)
        self.open_button.setEnabled(entry is not None)
        self.delete_button.setEnabled(entry is not None and not entry.is_running)
        self._delete_action.setEnabled(self.delete_button.isEnabled())
        self.resume_button.setEnabled(entry is not None and entry.can_go_on and not self._comparisons.state.is_running)

    def _on_current_changed(self, current: QModelIndex, _before: QModelIndex) -> None:
        if current.isValid():
            self._chosen_id = current.data(ENTRY_ROLE).id
        self._show_chosen()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, ComparisonChanged | VotesChanged) and not self._timer.isActive():
            self._timer.start()

    def _on_menu_requested(self, position: QPoint) -> None:
        index = self.list.indexAt(position)
        if not index.isValid():
            return
        self.list.setCurrentIndex(index)
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction("Open").triggered.connect(self._on_open_clicked)
        if self.resume_button.isEnabled():
            menu.addAction("Go on").triggered.connect(self._on_resume_clicked)
        menu.addAction(self._delete_action)
        menu.popup(self.list.viewport().mapToGlobal(position))

    @Slot()
    def _on_open_clicked(self) -> None:
        entry = self._entry()
        if entry is not None:
            self.comparison_chosen.emit(entry.id)

    @Slot()
    def _on_resume_clicked(self) -> None:
        entry = self._entry()
        if entry is None:
            return
        comparison_id = entry.id

        def on_resumed(_nothing: None) -> None:
            self.comparison_chosen.emit(comparison_id)

        run_in_background(self, lambda: self._comparisons.resume(comparison_id), on_resumed, self.banner.show_error)

    @Slot()
    def _on_delete_clicked(self) -> None:
        entry = self._entry()
        if entry is not None and not entry.is_running:
            comparisons, comparison_id = self._comparisons, entry.id
            run_in_background(self, lambda: delete(comparisons, comparison_id), self._on_deleted, self.banner.show_error)

    def _on_deleted(self, comparison: Comparison) -> None:
        self._deleted = comparison
        self.undo_bar.offer(f"Deleted “{' '.join(comparison.title.split()) or 'a comparison'}”")
        self.refresh()

    @Slot()
    def _on_undo_requested(self) -> None:
        comparison, self._deleted = self._deleted, None
        if comparison is not None:
            run_in_background(
                self, lambda: self._comparisons.restore(comparison, keeps_id=True), self._on_imported, self.banner.show_error)

    @Slot()
    def _on_import_clicked(self) -> None:
        name, _filter = QFileDialog.getOpenFileName(
            self, "Import a comparison", str(Path.home()), "Exported comparisons (*.json)")
        if name:
            self.import_from(Path(name))

    def _on_imported(self, comparison_id: int) -> None:
        self._chosen_id = comparison_id
        self.refresh()


def delete(comparisons: ComparisonService, comparison_id: int) -> Comparison:
    """Delete a comparison; all of it, so that it can be brought back."""
    comparison = comparisons.get(comparison_id)
    comparisons.delete(comparison_id)
    return comparison

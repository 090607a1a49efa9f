"""The results of a comparison: every answer as a cell, and what each contestant reached, over all prompts or one tag."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QHideEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QButtonGroup,
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from localai_app.compare.result_rows import HIDDEN_WORDS, ResultTables, result_tables
from localai_app.errors import AppError
from localai_app.gui.bridge import Bridge
from localai_app.gui.compare.matrix_progress import MatrixProgress
from localai_app.gui.itemmodels import score_table_model as scores
from localai_app.gui.itemmodels.result_table_model import FIRST_CONTESTANT, Column, ResultTableModel
from localai_app.gui.itemmodels.score_table_model import ScoreLine, ScoreTableModel
from localai_app.gui.metrics import SPACE_2, SPACE_3, SPACE_4, SPACE_6
from localai_app.gui.models.text_scale import scaled
from localai_app.gui.styling import button, label, set_role, set_spacing
from localai_app.gui.tasks import BackgroundTask, run_in_background
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.empty_state import EmptyState
from localai_app.gui.widgets.error_banner import ErrorBanner
from localai_app.gui.widgets.flat_table import FlatTable
from localai_app.gui.widgets.plain_table import plain_table
from localai_app.services.app_services import AppServices
from localai_app.services.events import ComparisonChanged, Event, VotesChanged

PAUSE_MS = 250
"""Between two looks at a running comparison."""
CLOCK_MS = 1_000
ALL = "All"
EMPTY_TITLE = "No comparison is open"
EMPTY_TEXT = "Compare models on a prompt or a prompt set, or open an earlier comparison from the history."
CELL_WORDS = "Right or wrong by each prompt's checks, and tok/s"
SHARED_WORDS = " of a computer that they shared"
NARROW = 620
NARROW_TABLE = 720
NARROWEST, WIDEST = 128, 190
"""Of a contestant's column."""


class MatrixView(QWidget):
    """`show_comparison` opens one; `cell_chosen` has the prompt and the repeat of the row that was pressed."""

    cell_chosen = Signal(int, int)
    answers_requested = Signal()

    def __init__(self, services: AppServices, theme: ThemeState, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services, self._theme = services, theme
        self._id: int | None = None
        self._tables: ResultTables | None = None
        self._is_outdated = False
        self._was_running = False
        self._tag: str | None = None
        self._task: BackgroundTask | None = None
        self._pause = QTimer(self, singleShot=True, interval=PAUSE_MS)
        self._pause.timeout.connect(self._load)
        self._clock = QTimer(self, interval=CLOCK_MS)
        self._clock.timeout.connect(self._show_progress)
        self.empty = EmptyState(theme, "table", EMPTY_TITLE, EMPTY_TEXT, "Compare models")
        self.empty.button_pressed.connect(self.answers_requested)
        self.banner = ErrorBanner(theme)
        self.progress = MatrixProgress(theme)
        self.progress.stop_requested.connect(services.compare.comparisons.cancel)
        self.progress.resume_requested.connect(self._on_resume_requested)
        self._chips = QButtonGroup(self)
        self._chip_row = QHBoxLayout()
        self.score_model = ScoreTableModel()
        self.score_table = FlatTable(
            self.score_model, theme, "What the contestants reached", stretched=(scores.Column.NAME,),
            least_widths={scores.Column.FAILED: NARROW})
        self._hidden = label(HIDDEN_WORDS, "muted", wrap=True)
        self._legend = label(CELL_WORDS, "caption")
        self.model = ResultTableModel(theme, self)
        self.table = self._build_table()
        self._content = QWidget()
        self._lay_out()
        theme.changed.connect(self._fit_table)
        bridge.event_published.connect(self._on_event)
        self._show()

    @property
    def comparison_id(self) -> int | None:
        """The comparison that is shown."""
        return self._id

    def show_comparison(self, comparison_id: int) -> None:
        """Open a comparison; it is read in the background."""
        if comparison_id != self._id:
            self._id, self._tables, self._tag, self._was_running = comparison_id, None, None, False
            self.banner.clear()
            if self._task is not None:
                self._task.drop()
                self._task = None
        self._load()

    def showEvent(self, event: QShowEvent) -> None:
        """Keep the time left going while it is looked at."""
        super().showEvent(event)
        self._clock.start()
        self._show_progress()

    def hideEvent(self, event: QHideEvent) -> None:
        """Nobody looks."""
        super().hideEvent(event)
        self._clock.stop()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Give the contestants the room there is."""
        super().resizeEvent(event)
        self._fit_table()

    def _build_table(self) -> QTableView:
        table = plain_table("Answers", self.model)
        table.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        table.horizontalHeader().setTextElideMode(Qt.TextElideMode.ElideRight)
        table.clicked.connect(self._on_cell_chosen)
        table.activated.connect(self._on_cell_chosen)
        self.model.modelReset.connect(self._fit_table)
        return table

    def _lay_out(self) -> None:
        sums, cells = set_role(QFrame(), "card"), set_role(QFrame(), "card")
        parts: dict[QFrame, tuple[QWidget, ...]] = {sums: (self.score_table, self._hidden), cells: (self.table,)}
        for card, widgets in parts.items():
            column = QVBoxLayout(card)
            set_spacing(column, SPACE_2, (SPACE_2, SPACE_2, SPACE_2, SPACE_2))
            for widget in widgets:
                column.addWidget(widget)
        set_spacing(self._chip_row, SPACE_2)
        between = QHBoxLayout()
        between.addLayout(self._chip_row)
        between.addStretch(1)
        between.addWidget(self._legend)
        content = QVBoxLayout(self._content)
        set_spacing(content, SPACE_3)
        for part in (self.progress, sums):
            content.addWidget(part)
        content.addLayout(between)
        content.addWidget(cells, 1)
        layout = QVBoxLayout(self)
        set_spacing(layout, SPACE_3, (SPACE_6, SPACE_3, SPACE_6, SPACE_4))
        layout.addWidget(self.banner)
        layout.addWidget(self._content, 1)
        layout.addWidget(self.empty, 1)

    @Slot()
    def _load(self) -> None:
        comparison_id = self._id
        if comparison_id is None:
            return
        if self._task is not None:
            self._is_outdated = True
            return
        self._is_outdated = False
        self._task = run_in_background(
            self, lambda: result_tables(self._services.compare.comparisons.get(comparison_id)), self._on_loaded, self._on_gone)

    def _on_loaded(self, tables: ResultTables) -> None:
        self._task = None
        self._tables = tables
        self._show()
        if self._is_outdated:
            self._pause.start()

    def _on_gone(self, error: AppError) -> None:
        self._task = None
        self._id = self._tables = None
        self._show()
        if not self.empty.isVisible():
            self.banner.show_error(error, offer_remedy=False)

    def _show(self) -> None:
        tables = self._tables
        self.empty.setVisible(tables is None)
        self._content.setVisible(tables is not None)
        if tables is None:
            return
        tags = tables.tags
        self._show_chips((ALL, *tags) if len(tags) > 1 else ())
        lines = [ScoreLine(row.name, row.score if self._tag is None else row.by_tag[tags.index(self._tag)])
                 for row in tables.scores]
        self.score_model.show_records(lines)
        self.score_table.setVisible(bool(lines))
        self._hidden.setVisible(not lines)
        rows = [row for row in tables.rows if self._tag is None or row.tag == self._tag]
        self.model.show_rows(rows, tables.names)
        is_shared = any(answer.is_shared for answer in tables.comparison.answers)
        self._legend.setText(CELL_WORDS + (SHARED_WORDS if is_shared else ""))
        self.table.setColumnHidden(Column.REPEAT, tables.comparison.spec.repeats < 2)
        self._show_tags()
        self._show_progress()

    def _show_tags(self) -> None:
        """In a narrow table only as chips: their column would leave no room for the prompts."""
        n_tags = len(self._tables.tags) if self._tables is not None else 0
        is_narrow = self.table.width() < scaled(NARROW_TABLE, self)
        self.table.setColumnHidden(Column.TAG, n_tags < 2 or self._tag is not None or is_narrow)

    def _show_chips(self, names: tuple[str, ...]) -> None:
        if [chip.text() for chip in self._chips.buttons()] == list(names):
            return
        for chip in self._chips.buttons():
            self._chips.removeButton(chip)
            self._chip_row.removeWidget(chip)
            chip.hide()
            chip.deleteLater()
        for name in names:
            chip = button(name, "chip")
            chip.setCheckable(True)
            chip.setChecked(name == (self._tag or ALL))
            chip.clicked.connect(lambda _checked=False, name=name: self._on_tag_chosen(None if name == ALL else name))
            self._chips.addButton(chip)
            self._chip_row.addWidget(chip)

    @Slot()
    def _show_progress(self) -> None:
        state = self._services.compare.comparisons.state
        if self._tables is None:
            return
        is_running = state.comparison_id == self._tables.comparison.id
        if self._was_running and not is_running and state.error is not None:
            self.banner.show_error(state.error, offer_remedy=False)
        self._was_running = is_running
        self.progress.show_state(self._tables.comparison, state)

    @Slot()
    def _fit_table(self) -> None:
        header = self.table.horizontalHeader()
        self._show_tags()
        self.table.verticalHeader().setDefaultSectionSize(self.score_table.row_height)
        n_contestants = max(1, self.model.columnCount() - FIRST_CONTESTANT)
        width = min(scaled(WIDEST, self), max(scaled(NARROWEST, self), round(0.6 * self.table.width() / n_contestants)))
        for column in range(self.model.columnCount()):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
            if column >= FIRST_CONTESTANT:
                header.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
                header.resizeSection(column, width)
        if self.model.columnCount():
            header.setSectionResizeMode(Column.PROMPT, QHeaderView.ResizeMode.Stretch)

    def _on_tag_chosen(self, tag: str | None) -> None:
        self._tag = tag
        self._show()

    @Slot(QModelIndex)
    def _on_cell_chosen(self, index: QModelIndex) -> None:
        if index.isValid():
            row = self.model.row_at(index.row())
            self.cell_chosen.emit(row.prompt, row.repeat)

    @Slot()
    def _on_resume_requested(self) -> None:
        if self._id is None:
            return
        try:
            self._services.compare.comparisons.resume(self._id)
            self.banner.clear()
        except AppError as error:
            self.banner.show_error(error, offer_remedy=False)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, ComparisonChanged | VotesChanged) and event.comparison_id == self._id:
            self._show_progress()
            if not self._pause.isActive():
                self._pause.start()

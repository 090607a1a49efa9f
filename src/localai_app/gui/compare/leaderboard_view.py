"""The leaderboard: which model is preferred, how sure that is, and quality against speed."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QScrollArea, QVBoxLayout, QWidget

from localai_app.compare.leaderboard import FEW_VOTES, Leaderboard
from localai_app.errors import AppError
from localai_app.gui.bridge import Bridge
from localai_app.gui.compare.judge_card import JudgeCard
from localai_app.gui.compare.leaderboard_filters import LeaderboardFilters
from localai_app.gui.compare.standings_table import StandingsTable
from localai_app.gui.metrics import SPACE_3, SPACE_4, SPACE_6, SPACE_8
from localai_app.gui.performance.cards import Card
from localai_app.gui.styling import label, set_spacing
from localai_app.gui.tasks import BackgroundTask, run_in_background
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.empty_state import EmptyState
from localai_app.gui.widgets.page_parts import centered_column
from localai_app.gui.widgets.point_chart import ChartPoint, PointAxis, PointChart
from localai_app.services.app_services import AppServices
from localai_app.services.events import ComparisonChanged, ErrorHappened, Event, VotesChanged

COLUMN_WIDTH = 1100
HOW_TO_VOTE = (
    "Compare two models, read their answers, and press 1, 2, … for the best one, or 0 for a tie. Every vote counts here, "
    "and automatic checks count beside it. In a blind comparison you learn the names when you vote.")
NOTHING_HERE = "Nobody has voted here yet"


class LeaderboardView(QWidget):
    """A table and a chart, computed off the window's thread while they are seen; only the latest wish is answered."""

    answers_requested = Signal()

    def __init__(self, services: AppServices, theme: ThemeState, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._task: BackgroundTask | None = None
        self._is_stale = True
        self._is_counted = False
        self.empty = EmptyState(theme, "compare", "No votes yet", HOW_TO_VOTE, "Compare models")
        self.empty.button_pressed.connect(self.answers_requested)
        self.empty.hide()
        self.filters = LeaderboardFilters()
        self.filters.changed.connect(self.refresh)
        self.table = StandingsTable(theme)
        self.warning = label("", "text-warn", wrap=True)
        self.notes = label("", "caption", wrap=True, selectable=True)
        self.card = Card("Leaderboard", "Counting votes…")
        self.chart = PointChart(
            theme, "Quality against speed", PointAxis("tokens per second", lambda tps: f"{tps:.0f}"),
            PointAxis("points", lambda points: f"{points:,.0f}", from_zero=False))
        self.chart_card = Card("Speed against quality", "Further right is faster, further up is better")
        self.judge = JudgeCard(services, theme, bridge)
        self.judge.choices_changed.connect(self._show_place)
        self._lay_out()
        bridge.event_published.connect(self._on_event)

    def _lay_out(self) -> None:
        for widget in (self.filters, self.warning, self.table, self.notes):
            self.card.body.addWidget(widget)
        self.chart_card.body.addWidget(self.chart)
        column = QVBoxLayout()
        column.setSpacing(SPACE_4)
        column.addWidget(self.card)
        column.addWidget(self.chart_card)
        column.addWidget(self.judge)
        column.addStretch(1)
        self._scroll = QScrollArea()
        centered_column(self._scroll, column, COLUMN_WIDTH, (SPACE_6, SPACE_3, SPACE_6, SPACE_8))
        layout = QVBoxLayout(self)
        set_spacing(layout, 0)
        layout.addWidget(self.empty, 1)
        layout.addWidget(self._scroll, 1)

    @property
    def board(self) -> Leaderboard:
        """What is shown."""
        return self.table.table_model.board

    def refresh(self) -> None:
        """Compute anew, now or when it is seen again."""
        self._is_stale = True
        if not self.isVisible():
            return
        self._is_stale = False
        self.judge.refresh()
        if self._task is not None:
            self._task.drop()
        wish = (self.filters.tag, self.filters.judges, self.filters.by)
        self._task = run_in_background(
            self, lambda: self._services.compare.leaderboard.standings(*wish), self._show_board, self._on_failed)

    def showEvent(self, event: QShowEvent) -> None:
        """Compute what changed while it was not seen."""
        super().showEvent(event)
        if self._is_stale:
            self.refresh()

    def _show_board(self, board: Leaderboard) -> None:
        self._task = None
        self._is_counted = True
        self.filters.show_choices(board.tags, has_judge_votes=bool(board.n_judge_votes))
        self.table.show_board(board)
        self.table.setVisible(bool(board.rows))
        self._show_place()
        self._show_words(board)
        self._show_chart(board)

    def _show_place(self) -> None:
        """How to begin where there is nothing at all."""
        is_known = self._is_counted and self.judge.is_read
        is_empty = is_known and not (self.board.rows or self.board.tags or self.judge.has_comparisons)
        self.empty.setVisible(is_empty)
        self._scroll.setVisible(not is_empty)

    def _show_words(self, board: Leaderboard) -> None:
        notes = list(board.notes)
        self.card.name_label.setText(headline(board))
        self.card.setAccessibleName(f"Leaderboard: {headline(board)}")
        is_few = 0 < board.n_votes < FEW_VOTES
        self.warning.setText(notes.pop(0) if is_few else "")
        self.warning.setVisible(is_few)
        self.notes.setText("\n".join(notes) or HOW_TO_VOTE)

    def _show_chart(self, board: Leaderboard) -> None:
        points = [
            ChartPoint(
                row.name, row.tps, row.strength.points, y_error=(row.strength.low, row.strength.high),
                is_hollow=row.is_speed_shared)
            for row in board.rows if row.tps and row.strength is not None and not row.group]
        self.chart_card.setVisible(len(points) > 1)
        self.chart.show_points(points, "; ".join(self.chart.point_words(point) for point in points))

    def _on_event(self, event: Event) -> None:
        if isinstance(event, VotesChanged) or (
                isinstance(event, ComparisonChanged) and not self._services.compare.comparisons.state.is_running):
            self.refresh()

    def _on_failed(self, error: AppError) -> None:
        self._task = None
        self._is_stale = True
        self.card.name_label.setText(error.message)
        self._services.events.publish(ErrorHappened(error))


def headline(board: Leaderboard) -> str:
    """Who leads after how many votes."""
    if not board.n_votes:
        return NOTHING_HERE
    n_judged = sum(1 for row in board.rows if row.strength is not None)
    return f"{board.headline} after {board.n_votes:,} vote{'s' * (board.n_votes != 1)} on {n_judged} models"

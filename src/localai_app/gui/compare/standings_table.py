"""The table of the leaderboard."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from localai_app.compare.leaderboard import Leaderboard
from localai_app.gui.delegates.interval_delegate import IntervalDelegate
from localai_app.gui.itemmodels.standings_table_model import Column, StandingsTableModel
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.flat_table import FlatTable

WIDE, NARROW = 1000, 860
"""Below these widths columns are left out: how votes fell, then the size, then others."""


class StandingsTable(FlatTable):
    """Rows with their intervals drawn as bars on one axis."""

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        model = StandingsTableModel()
        super().__init__(
            model, theme, "Leaderboard", stretched=(Column.MODEL, Column.INTERVAL),
            least_widths={
                Column.WON: WIDE, Column.TIED: WIDE, Column.SIZE: NARROW, Column.NEXT: NARROW - 80,
                Column.RIGHT: NARROW - 180, Column.SPEED: NARROW - 260, Column.VOTES: NARROW - 340}, parent=parent)
        self.table_model = model
        self._intervals = IntervalDelegate(theme, self)
        self.setItemDelegateForColumn(Column.INTERVAL, self._intervals)

    def show_board(self, board: Leaderboard) -> None:
        """Show these standings."""
        self._intervals.fit_axis(board.rows)
        self.table_model.show_board(board)

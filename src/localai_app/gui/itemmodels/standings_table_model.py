"""The leaderboard, one row for each model and variant."""

from __future__ import annotations

from enum import IntEnum

from PySide6.QtCore import QObject, Qt

from localai_app.compare.leaderboard import Leaderboard, Standing
from localai_app.gui.itemmodels.record_table_model import Index, RecordTableModel
from localai_app.units import format_count, format_file_size, format_speed


class Column(IntEnum):
    """The columns in order."""

    PLACE = 0
    MODEL = 1
    POINTS = 2
    INTERVAL = 3
    NEXT = 4
    VOTES = 5
    WON = 6
    TIED = 7
    RIGHT = 8
    SPEED = 9
    SIZE = 10


STANDING_ROLE = Qt.ItemDataRole.UserRole + 1
"""The whole row, for the painter of its interval."""
_HINTS = {
    Column.PLACE: "Rows whose intervals overlap share a place",
    Column.POINTS: "Strength from all votes: 100 points more win 64% of the votes",
    Column.INTERVAL: "With 95% certainty the points lie within the bar",
    Column.NEXT: "Share of votes that it wins against the row below",
    Column.VOTES: "Votes in which its answer was judged",
    Column.WON: "Votes that its answer was the best",
    Column.TIED: "Ties, and votes that no answer was any good",
    Column.RIGHT: "Answers that passed all automatic checks of their prompt",
    Column.SPEED: "Mean speed of its answers on this computer",
    Column.SIZE: "Size of the model's files",
}


class StandingsTableModel(RecordTableModel[Standing]):
    """Shows a board."""

    header = ("Place", "Model", "Points", "95% certain", "Wins against next", "Votes", "Won", "Tied", "Right", "Speed", "Size")
    first_figure = Column.POINTS

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._board = Leaderboard()

    @property
    def board(self) -> Leaderboard:
        """What is shown."""
        return self._board

    def show_board(self, board: Leaderboard) -> None:
        """Show another one."""
        self._board = board
        self.show_records(board.rows)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Besides: what a column means, on hover."""
        if role == Qt.ItemDataRole.ToolTipRole and orientation is Qt.Orientation.Horizontal:
            return _HINTS.get(Column(section))
        return super().headerData(section, orientation, role)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Besides: the row itself."""
        if role == STANDING_ROLE and index.isValid():
            return self._records[index.row()]
        return super().data(index, role)

    def text(self, record: Standing, column: int) -> str:
        """What stands in a cell; the interval is painted."""
        known = record.strength
        return {
            Column.PLACE: self._place(record), Column.MODEL: record.name,
            Column.POINTS: format_count(round(known.points)) if known else "–", Column.INTERVAL: "",
            Column.NEXT: f"{100 * known.beats_next:.0f}%" if known and known.beats_next is not None else "",
            Column.VOTES: format_count(record.n_votes), Column.WON: format_count(record.n_wins),
            Column.TIED: format_count(record.n_ties + record.n_all_bad),
            Column.RIGHT: f"{record.right.n_right} of {record.right.n}" if record.right.n else "–",
            Column.SPEED: speed_text(record), Column.SIZE: format_file_size(record.size_bytes) if record.size_bytes else "–",
        }[Column(column)]

    def spoken(self, record: Standing) -> str:
        """A whole row in words."""
        known = record.strength
        parts = [record.name]
        if known is not None:
            if not record.group:
                parts.append(f"{'shares place' if self._board.shares_place(record) else 'place'} {record.rank}")
            parts.append(f"{known.points:.0f} points, with 95% certainty {known.low:.0f} to {known.high:.0f}")
            parts.append(record.words)
            parts.append(
                f"{record.n_wins} wins, {record.n_ties} ties and {record.n_all_bad} times all bad in {record.n_votes} votes")
        if record.right.n:
            low, high = record.right.interval
            parts.append(
                f"{record.right.n_right} of {record.right.n} checked answers right ({100 * low:.0f} to {100 * high:.0f}%)")
        if record.tps:
            shared = ", measured while others computed too" if record.is_speed_shared else ""
            parts.append(f"{format_speed(record.tps)}{shared}")
        return "\n".join((parts[0], *(f"{part[:1].upper()}{part[1:]}" for part in parts[1:])))

    def _place(self, record: Standing) -> str:
        if record.rank is None or record.group:
            return "–"
        return f"{record.rank} =" if self._board.shares_place(record) else str(record.rank)

    def _alignment(self, column: int) -> Qt.AlignmentFlag:
        if column == Column.INTERVAL:
            return Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignVCenter
        return super()._alignment(column)


def speed_text(row: Standing) -> str:
    """Tokens per second; with a mark where others computed at the same time."""
    if not row.tps:
        return "–"
    return f"{format_speed(row.tps)} shared" if row.is_speed_shared else format_speed(row.tps)

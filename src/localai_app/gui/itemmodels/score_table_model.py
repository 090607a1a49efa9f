"""What the contestants of a comparison reached."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from localai_app.compare.result_rows import share_words
from localai_app.compare.scores import Score
from localai_app.gui.itemmodels.record_table_model import RecordTableModel


class Column(IntEnum):
    """The columns in order."""

    NAME = 0
    RIGHT = 1
    SHARE = 2
    FAILED = 3
    TPS = 4


@dataclass(frozen=True, slots=True)
class ScoreLine:
    """One contestant, over the prompts that are looked at."""

    name: str
    score: Score


class ScoreTableModel(RecordTableModel[ScoreLine]):
    """One row for each contestant."""

    header = ("Contestant", "Right", "Share (95% interval)", "Failed", "tok/s")
    first_figure = Column.RIGHT

    def text(self, record: ScoreLine, column: int) -> str:
        """What stands in a cell."""
        score = record.score
        right = f"{score.n_right} of {score.n_checked}" if score.n_checked else "–"
        tps = f"{score.tps:.1f}" if score.tps is not None else "–"
        return (record.name, right, share_words(score) or "–", str(score.n_failed), tps)[column]

    def spoken(self, record: ScoreLine) -> str:
        """A whole row in words."""
        score = record.score
        is_checked = score.n_checked > 0
        parts = [f"{score.n_right} of {score.n_checked} right, {share_words(score)}" if is_checked else "nothing was checked"]
        parts += [f"{score.n_unchecked} without checks"] if score.n_unchecked else []
        parts += [f"{score.n_failed} failed"] if score.n_failed else []
        parts += [f"{score.tps:.1f} tok/s"] if score.tps is not None else []
        return f"{record.name}: {', '.join(parts)}"

"""Answers that stream right now: their text and figures since their beginning."""

from __future__ import annotations

from dataclasses import dataclass, field

from localai_app.compare.comparison import CellKey
from localai_app.engine.protocol import GenerationStats
from localai_app.services.events import ComparisonProgressed
from localai_app.services.thinking import AnswerText


@dataclass(slots=True)
class LiveCell:
    """One answer so far."""

    parts: AnswerText = field(default_factory=AnswerText)
    stats: GenerationStats = field(default_factory=GenerationStats)


class LiveCells:
    """Of the one comparison that runs. An answer whose count of tokens falls was begun anew."""

    def __init__(self) -> None:
        self._comparison_id: int | None = None
        self._cells: dict[CellKey, LiveCell] = {}

    def progress(self, event: ComparisonProgressed) -> bool:
        """More text came; true where an answer was begun anew, so that what is on screen of it is no longer true."""
        if event.comparison_id != self._comparison_id:
            self._comparison_id = event.comparison_id
            self._cells.clear()
        cell = self._cells.setdefault(event.key, LiveCell())
        is_anew = event.stats.completion_tokens < cell.stats.completion_tokens
        if is_anew:
            cell = self._cells[event.key] = LiveCell()
        cell.parts.add(event.channel, event.text, takes_back=event.takes_back)
        cell.stats = event.stats
        return is_anew

    def get(self, comparison_id: int, key: CellKey) -> LiveCell | None:
        """One answer so far; None where none streams or streamed."""
        return self._cells.get(key) if comparison_id == self._comparison_id else None

    def forget(self, contestant: int | None = None) -> None:
        """What a contestant, or anybody, wrote is asked for again."""
        kept = {} if contestant is None else self._cells
        self._cells = {key: cell for key, cell in kept.items() if key.contestant != contestant}

"""The line in a transcript above which messages were not sent to the model, because the context was full."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QVBoxLayout, QWidget

from localai_app.gui import metrics
from localai_app.gui.styling import divider, label, set_spacing
from localai_app.store.records import AnswerCut
from localai_app.units import format_count

SHORTENED = "The context was full: the middle of this message was not sent with the newest answer"


class HistoryMark(QWidget):
    """A line across the column, and words below it."""

    def __init__(self, words: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._label = label(words, "caption-warn", wrap=True)
        self._label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        column = QVBoxLayout(self)
        set_spacing(column, metrics.SPACE_2, (0, 0, 0, metrics.SPACE_3))
        column.addWidget(divider())
        column.addWidget(self._label)

    @property
    def words(self) -> str:
        """What it says."""
        return self._label.text()


def place_mark(column: QVBoxLayout, mark: HistoryMark | None, words: str) -> HistoryMark | None:
    """Put a mark with these words on top of a column in place of the one that is there; no words: none."""
    if mark is not None:
        if mark.words == words:
            return mark
        column.removeWidget(mark)
        mark.hide()
        mark.deleteLater()
    if not words:
        return None
    new = HistoryMark(words)
    column.insertWidget(0, new)
    return new


def marks_for(message_ids: Sequence[int], cut: AnswerCut | None) -> dict[int, str]:
    """What is to be said above which of these messages, for what the newest answer was given without.

    The end of what was left out has to be among the messages: a mark stands where it was cut, or nowhere.
    """
    if cut is None:
        return {}
    marks = {message_id: SHORTENED for message_id, _kept in cut.shortened if message_id in message_ids}
    last = max(cut.left_out, default=0)
    if last in message_ids:
        place = message_ids.index(last) + 1
        if place < len(message_ids):
            marks[message_ids[place]] = above_words(len(cut.left_out))
    return marks


def above_words(n_messages: int) -> str:
    """What a mark says of the messages above it."""
    which = "The message above was" if n_messages == 1 else f"The {format_count(n_messages)} messages above were"
    return f"{which} not sent with the newest answer: the context was full"

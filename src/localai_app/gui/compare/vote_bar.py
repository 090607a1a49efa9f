"""Which answer is best: a button and a key for each column, for a tie, and for none; and the way back."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QWidget

from localai_app.compare.contestant import MAX_CONTESTANTS
from localai_app.gui.metrics import SPACE_3, SPACE_6
from localai_app.gui.styling import button, set_icon, set_role, set_spacing
from localai_app.gui.theme import ThemeState

TIE, ALL_BAD = -1, -2
END = " is best"
PADDING = 14
"""Of a button at either side of its words, with its border."""
LETTERS = 7
"""Fewest letters of a name that are worth showing."""


class VoteBar(QWidget):
    """`vote_chosen` has the column from 0 on, TIE or ALL_BAD."""

    vote_chosen = Signal(int)
    undo_requested = Signal()
    next_requested = Signal()
    differences_toggled = Signal(bool)

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._names: tuple[str, ...] = ()
        self.best = tuple(self._vote_button(index) for index in range(MAX_CONTESTANTS))
        self.tie = self._vote_button(TIE)
        self.all_bad = self._vote_button(ALL_BAD)
        self.undo = button("Undo")
        self.undo.setToolTip("Take the vote back (Ctrl+Z)")
        self.undo.clicked.connect(self.undo_requested)
        self.next = button("Next")
        set_icon(self.next, "arrow-right", theme)
        self.next.setToolTip("The next answers without a vote (N)")
        self.next.clicked.connect(self.next_requested)
        self.differences = button("Differences")
        self.differences.setCheckable(True)
        self.differences.setToolTip("Compare two answers word by word (D)")
        self.differences.toggled.connect(self.differences_toggled)
        row = QHBoxLayout(self)
        set_spacing(row, SPACE_3, (SPACE_6, 0, SPACE_6, 0))
        row.addStretch(1)
        for control in (*self.best, self.tie, self.all_bad, self.undo, self.next, self.differences):
            row.addWidget(control)
        row.addStretch(1)
        self.show_votes((), None)

    def show_votes(
        self, names: Sequence[str], chosen: int | None, *, can_vote: bool = False, can_compare: bool = False,
        has_next: bool = False, failed: Collection[int] = (),
    ) -> None:
        """`names` of the columns; `chosen` as in `vote_chosen`, None before a vote; `failed`: columns without an answer."""
        self._names = tuple(names)
        for index, control in enumerate(self.best):
            control.setVisible(can_vote and index < len(names))
            control.setEnabled(index not in failed)
            self._mark(control, is_chosen=chosen == index)
        for control, value in ((self.tie, TIE), (self.all_bad, ALL_BAD)):
            control.setVisible(can_vote)
            self._mark(control, is_chosen=chosen == value)
        for control in self.best[len(names) :]:
            for clear in (control.setText, control.setToolTip, control.setAccessibleName):
                clear("")
        self.undo.setVisible(chosen is not None)
        self.next.setVisible(has_next)
        self.differences.setVisible(can_compare)
        self.tie.setText("0  Tie")
        self.tie.setToolTip("Equally good (0)")
        self.all_bad.setText("X  All bad")
        self.all_bad.setToolTip("None of the answers is any good (X)")
        self._fit()

    def event(self, event: QEvent) -> bool:
        """Another width, or texts of another size."""
        if event.type() in (QEvent.Type.Resize, QEvent.Type.LayoutRequest):
            self._fit()
        return bool(super().event(event))

    def _vote_button(self, value: int) -> QPushButton:
        control = button("")
        control.setCheckable(True)
        control.clicked.connect(lambda: self.vote_chosen.emit(value))
        return control

    @staticmethod
    def _mark(control: QPushButton, *, is_chosen: bool) -> None:
        control.setChecked(is_chosen)
        set_role(control, "primary" if is_chosen else "")

    def _fit(self) -> None:
        """Names as long as there is room for them, the longest ones shortened first; else only the number of the column."""
        letters = self.fontMetrics()
        others = [self.tie, self.all_bad, self.undo, self.next, self.differences]
        room = self.width() - 2 * SPACE_6 - sum(
            control.sizeHint().width() + SPACE_3 for control in others if not control.isHidden())
        room -= len(self._names) * (SPACE_3 + 2 * PADDING)
        leads = [f"{index + 1}  " for index in range(len(self._names))]
        wholes = [f"{lead}{name}{END}" for lead, name in zip(leads, self._names, strict=True)]
        if sum(map(letters.horizontalAdvance, wholes)) > room:
            # Without their end on all of them, for a bar in which some say it looks as if the others meant something else.
            wholes = [whole.removesuffix(END) for whole in wholes]
        widest = _widest([letters.horizontalAdvance(whole) for whole in wholes], room)
        for index, name in enumerate(self._names):
            words = wholes[index]
            if letters.horizontalAdvance(words) > widest:
                left = widest - letters.horizontalAdvance(leads[index])
                has_room = left >= LETTERS * letters.averageCharWidth()
                short = letters.elidedText(name, Qt.TextElideMode.ElideMiddle, left)
                words = leads[index] + short if has_room else f"{index + 1}"
            control = self.best[index]
            if control.text() != words.replace("&", "&&"):
                control.setText(words.replace("&", "&&"))
            control.setAccessibleName(f"{name}{END}")
            control.setToolTip(f"{name}{END} ({index + 1})")


def _widest(widths: Sequence[int], room: int) -> int:
    """How wide each may be at most, so that all fit into `room` and no one is shortened that need not be."""
    left = room
    for n_done, width in enumerate(sorted(widths)):
        share = left // (len(widths) - n_done)
        if width > share:
            return share
        left -= width
    return max(widths, default=0)

"""What of the votes counts on the leaderboard: about which prompts, whose, and what has a row of its own."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QButtonGroup, QComboBox, QHBoxLayout, QPushButton, QWidget

from localai_app.compare.leaderboard import By, Judges
from localai_app.gui.metrics import SPACE_2, SPACE_3
from localai_app.gui.models.text_scale import scaled
from localai_app.gui.styling import button, combo_box, set_spacing
from localai_app.gui.widgets.flow_layout import FlowLayout

WIDE = 900
ALL_WORDS, UNTAGGED_WORDS = "All prompts", "Without a tag"
JUDGE_WORDS = {Judges.PEOPLE: "Your votes", Judges.MODELS: "Votes of judge models", Judges.BOTH: "All votes"}
BY_WORDS = {By.VARIANT: "A row for each variant", By.SETTINGS: "A row for each set of settings"}


class LeaderboardFilters(QWidget):
    """Chips for tags, lists for the rest. `changed` comes when the user chose something else."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._tag: str | None = None
        self._chips: dict[str | None, QPushButton] = {}
        self._group = QButtonGroup(self)
        holder = QWidget()
        self._flow = FlowLayout(holder, across=SPACE_2)
        self.judges_box = _box(list(JUDGE_WORDS.items()), "Whose votes count")
        self.by_box = _box(list(BY_WORDS.items()), "What has a row of its own")
        for box in (self.judges_box, self.by_box):
            box.activated.connect(lambda _index: self.changed.emit())
        boxes = QHBoxLayout()
        set_spacing(boxes, SPACE_3)
        boxes.addStretch(1)
        boxes.addWidget(self.judges_box)
        boxes.addWidget(self.by_box)
        self._line = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        set_spacing(self._line, SPACE_3)
        self._line.addWidget(holder, 1)
        self._line.addLayout(boxes)
        self.show_choices((), has_judge_votes=False)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Lists go below the chips where there is little room."""
        super().resizeEvent(event)
        is_wide = self.width() >= scaled(WIDE, self)
        self._line.setDirection(QBoxLayout.Direction.LeftToRight if is_wide else QBoxLayout.Direction.TopToBottom)

    @property
    def tag(self) -> str | None:
        """The chosen tag; None: all prompts."""
        return self._tag

    @property
    def judges(self) -> Judges:
        """Whose votes count."""
        return Judges(self.judges_box.currentData())

    @property
    def by(self) -> By:
        """What has a row of its own."""
        return By(self.by_box.currentData())

    def show_choices(self, tags: Sequence[str], *, has_judge_votes: bool) -> None:
        """Offer what there is; a choice of one is none."""
        self.judges_box.setVisible(has_judge_votes or self.judges is not Judges.PEOPLE)
        wanted: tuple[str | None, ...] = (None, *tags) if len(tags) > 1 or self._tag is not None else ()
        if self._tag is not None and self._tag not in wanted:
            wanted = (*wanted, self._tag)
        if tuple(self._chips) != wanted:
            self._offer(wanted)

    def _offer(self, tags: Sequence[str | None]) -> None:
        for chip in self._chips.values():
            self._group.removeButton(chip)
            self._flow.removeWidget(chip)
            chip.deleteLater()
        self._chips = {}
        for tag in tags:
            chip = self._chips[tag] = button(ALL_WORDS if tag is None else tag.capitalize() or UNTAGGED_WORDS, "chip")
            chip.setCheckable(True)
            chip.setChecked(tag == self._tag)
            chip.clicked.connect(lambda _checked=False, tag=tag: self._choose(tag))
            self._group.addButton(chip)
            self._flow.addWidget(chip)

    def _choose(self, tag: str | None) -> None:
        if tag != self._tag:
            self._tag = tag
            self.changed.emit()


def _box(choices: Sequence[tuple[Judges | By, str]], name: str) -> QComboBox:
    box = combo_box()
    for value, words in choices:
        box.addItem(words, value.value)
    box.setAccessibleName(name)
    return box

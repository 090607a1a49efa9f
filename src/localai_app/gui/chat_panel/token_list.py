"""How likely each token of the last answer was, and what else could have stood in its place."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QAbstractItemView, QCheckBox, QHeaderView, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from localai_app.engine.protocol import TokenLogprob
from localai_app.gui.metrics import SPACE_2
from localai_app.gui.styling import label, set_role, set_spacing

ALTERNATIVES = 5
MAX_TOKENS = 2_000
"""Of the newest answer; older ones are left out."""
HEIGHT = 220
NOTHING_YET = "With the next answer. It is not kept with the chat."


class TokenList(QWidget):
    """A switch, and below it the tokens; the alternatives stand in the second column and in the tooltip."""

    wanted_changed = Signal(object)
    """How many alternatives are asked for; None: no list."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.switch = QCheckBox("List the tokens of answers")
        self.switch.setToolTip("Each token with its probability before any sampler; makes answers a little slower")
        self.switch.toggled.connect(self._on_toggled)
        self.note = label(NOTHING_YET, "caption", wrap=True)
        self.table = set_role(QTableWidget(0, 3), "table")
        self.table.setHorizontalHeaderLabels(["Token", "Chance", "Instead"])
        self.table.setAccessibleName("Tokens of the last answer")
        self.table.setFixedHeight(HEIGHT)
        self.table.verticalHeader().hide()
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setTabKeyNavigation(False)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.Stretch)
        column = QVBoxLayout(self)
        set_spacing(column, SPACE_2)
        for part in (self.switch, self.note, self.table):
            column.addWidget(part)
        self.show_wanted(None)

    def show_wanted(self, wanted: int | None) -> None:
        """Show whether the list is asked for, without announcing it."""
        self.switch.blockSignals(True)
        self.switch.setChecked(wanted is not None)
        self.switch.blockSignals(False)
        self._follow()

    def clear(self) -> None:
        """Another answer, or another chat."""
        self.table.setRowCount(0)
        self._follow()

    def add(self, tokens: Sequence[TokenLogprob]) -> None:
        """More tokens came."""
        for entry in tokens[: MAX_TOKENS - self.table.rowCount()]:
            row = self.table.rowCount()
            self.table.insertRow(row)
            others = [f"{shown_token(text)} {chance(value)}" for text, value in entry.alternatives if text != entry.text]
            for place, words in enumerate((shown_token(entry.text), chance(entry.logprob), "  ".join(others))):
                item = QTableWidgetItem(words)
                item.setToolTip("\n".join(others) if place == 2 else words)
                if place == 1:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.table.setItem(row, place, item)
        self._follow()

    def _on_toggled(self, is_on: bool) -> None:
        self._follow()
        self.wanted_changed.emit(ALTERNATIVES if is_on else None)

    def _follow(self) -> None:
        has_rows = self.table.rowCount() > 0
        self.table.setVisible(has_rows)
        self.note.setVisible(self.switch.isChecked() and not has_rows)


def shown_token(text: str) -> str:
    """A token's text with its spaces and line ends in sight."""
    return text.replace(" ", "␣").replace("\n", "↵").replace("\t", "⇥") or "∅"


def chance(logprob: float) -> str:
    """A log-probability as a percentage."""
    percent = math.exp(logprob) * 100
    return "<0.1%" if percent < 0.1 else f"{percent:.1f}%"

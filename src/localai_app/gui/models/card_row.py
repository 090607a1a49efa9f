"""The suggestions side by side with their rows lined up, or one below the other where the window is narrow."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QRect, Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QWidget

from localai_app.gui.metrics import SPACE_4
from localai_app.gui.models.suggestion_card import TEXT_MARGINS, SuggestionCard
from localai_app.gui.models.text_scale import scaled
from localai_app.gui.styling import set_spacing

CARD_MINIMUM = 230


class CardRow(QWidget):
    """A column for every card, all of one width; the places of cards that are not there stay empty."""

    def __init__(self, cards: Sequence[SuggestionCard], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._cards = tuple(cards)
        self._n_columns = 0
        self._grid = QGridLayout(self)
        set_spacing(self._grid, SPACE_4)
        self._place(len(self._cards))

    @property
    def n_columns(self) -> int:
        """How many cards stand side by side."""
        return self._n_columns

    def event(self, event: QEvent) -> bool:
        """Line the cards up whenever their texts or the width change."""
        if event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.Resize):
            n_cards = len(self._cards)
            fits = self.width() >= n_cards * scaled(CARD_MINIMUM, self) + (n_cards - 1) * SPACE_4
            self._place(n_cards if fits else 1)
            self._line_up()
        return super().event(event)

    def _place(self, n_columns: int) -> None:
        if n_columns == self._n_columns:
            return
        self._n_columns = n_columns
        for index, card in enumerate(self._cards):
            self._grid.removeWidget(card)
            self._grid.addWidget(card, index // n_columns, index % n_columns)
            self._grid.setColumnStretch(index, 1 if index < n_columns else 0)

    def _line_up(self) -> None:
        """From this row's own width: the labels of a window that is just opening have not got theirs yet."""
        shown = [card for card in self._cards if not card.isHidden()]
        column = (self.width() - (self._n_columns - 1) * SPACE_4) // self._n_columns
        width = max(1, column - TEXT_MARGINS)
        for labels in zip(*(card.text_labels for card in shown), strict=True):
            height = max(_text_height(one, width) for one in labels) if self._n_columns > 1 else 0
            for one in labels:
                one.setMinimumHeight(height)


def _text_height(text: QLabel, width: int) -> int:
    """The height of a text in lines of this width; `QLabel.heightForWidth` would never be less than what was set before."""
    return text.fontMetrics().boundingRect(QRect(0, 0, width, 100_000), Qt.TextFlag.TextWordWrap, text.text()).height()

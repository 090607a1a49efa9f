"""The columns of all contestants beside each other, scrolled together where that is wanted."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt, QUrl, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QWidget

from localai_app.gui.chat.lexer_finder import LexerFinder
from localai_app.gui.compare.answer_column import MINIMUM_WIDTH, AnswerColumn
from localai_app.gui.metrics import SPACE_3, SPACE_6
from localai_app.gui.styling import set_spacing
from localai_app.gui.theme import ThemeState


class ColumnsView(QScrollArea):
    """All columns have one width; where that would be too narrow for reading, they scroll sideways."""

    link_clicked = Signal(QUrl)
    column_made = Signal(int)
    """A column was built that nothing is connected with yet."""

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._lexers = LexerFinder(self)
        self._columns: list[AnswerColumn] = []
        self._n_shown = 0
        self._is_together = True
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._content = QWidget()
        self._row = QHBoxLayout(self._content)
        set_spacing(self._row, SPACE_3, (SPACE_6, 0, SPACE_6, 0))
        self.setWidget(self._content)
        theme.changed.connect(self._fit)

    @property
    def columns(self) -> tuple[AnswerColumn, ...]:
        """Those that are shown, from left to right."""
        return tuple(self._columns[: self._n_shown])

    def column(self, index: int) -> AnswerColumn:
        """One of them, shown or waiting."""
        return self._columns[index]

    def set_count(self, count: int) -> None:
        """Show this many columns; those that are not needed wait."""
        while len(self._columns) < count:
            column = AnswerColumn(self._theme, self._lexers)
            column.body.link_clicked.connect(self.link_clicked)
            index = len(self._columns)
            column.body.scrolled_by_hand.connect(lambda place, index=index: self._on_scrolled_by_hand(index, place))
            self._columns.append(column)
            self._row.addWidget(column, 1)
            self.column_made.emit(index)
        self._n_shown = count
        for index, column in enumerate(self._columns):
            column.setVisible(index < count)
        self._fit()

    def set_scrolls_together(self, is_together: bool) -> None:
        """Whether scrolling one column scrolls all."""
        self._is_together = is_together

    def event(self, event: QEvent) -> bool:
        """A scroll bar below the columns takes room from them."""
        if event.type() == QEvent.Type.LayoutRequest:
            self._fit()
        return bool(super().event(event))

    def _fit(self) -> None:
        width = self._theme.sizes.grown(MINIMUM_WIDTH)
        for column in self._columns:
            column.setMinimumWidth(width)

    def _on_scrolled_by_hand(self, source: int, place: float) -> None:
        if self._is_together:
            for index, column in enumerate(self.columns):
                if index != source:
                    column.body.scroll_to(place)

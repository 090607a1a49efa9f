"""A table inside a card: as tall as its rows, because the page scrolls and not the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtCore import QAbstractTableModel, QSize, Qt, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QFrame, QHeaderView, QSizePolicy, QTableView, QWidget

from localai_app.gui.metrics import SPACE_4
from localai_app.gui.models.text_scale import scaled
from localai_app.gui.styling import set_role
from localai_app.gui.theme import ThemeState


class FlatTable(QTableView):
    """Shows all rows of a model; columns that there is no room for are left out."""

    def __init__(
        self, model: QAbstractTableModel, theme: ThemeState, accessible_name: str, *, stretched: Sequence[int],
        least_widths: Mapping[int, int] | None = None, parent: QWidget | None = None,
    ) -> None:
        """`stretched` columns share the room that is left; `least_widths`: column to the narrowest table that shows it."""
        super().__init__(parent)
        self._theme = theme
        self._least_widths = dict(least_widths or {})
        self._left_out: frozenset[int] = frozenset()
        set_role(self, "table")
        self.setAccessibleName(accessible_name)
        model.setParent(self)
        self.setModel(model)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.verticalHeader().hide()
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionsClickable(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        for column in stretched:
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)
        model.modelReset.connect(self.fit_height)
        theme.changed.connect(self.fit_height)
        self.fit_height()

    @property
    def row_height(self) -> int:
        """Pixels of a row at the present text size."""
        return round(1.45 * self._theme.sizes.body) + SPACE_4

    @Slot()
    def fit_height(self) -> None:
        """Take the height of all rows."""
        self.verticalHeader().setDefaultSectionSize(self.row_height)
        self.updateGeometry()
        self.viewport().update()

    def sizeHint(self) -> QSize:
        """As tall as all rows."""
        return QSize(super().sizeHint().width(), self._height())

    def minimumSizeHint(self) -> QSize:
        """The same: there is nothing to scroll."""
        return QSize(0, self._height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Leave columns out where it is narrow."""
        super().resizeEvent(event)
        self._fit_columns()

    def leave_out(self, *columns: int) -> None:
        """Show all columns but these, as far as there is room."""
        self._left_out = frozenset(columns)
        self._fit_columns()

    def _fit_columns(self) -> None:
        for column in range(self.model().columnCount()):
            is_narrow = self.width() < scaled(self._least_widths.get(column, 0), self)
            self.setColumnHidden(column, is_narrow or column in self._left_out)

    def _height(self) -> int:
        return self.horizontalHeader().sizeHint().height() + self.model().rowCount() * self.row_height

"""The table of models that another computer could run; as tall as its rows, because the page scrolls."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QFrame, QHeaderView, QSizePolicy, QTableView, QWidget

from localai_app.gui.delegates.possible_delegate import PossibleDelegate
from localai_app.gui.itemmodels.possible_table_model import Column, PossibleTableModel
from localai_app.gui.models.text_scale import scaled
from localai_app.gui.styling import set_role
from localai_app.gui.theme import ThemeState
from localai_app.services.views import DiscoveryRow

NARROW = 620
"""Below this width the context is left out, then the variant and the need."""


class PossibleTable(QTableView):
    """Shows rows and never scrolls by itself."""

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.table_model = PossibleTableModel(self)
        self._delegate = PossibleDelegate(theme, self)
        set_role(self, "table")
        self.setAccessibleName("Models that it could run")
        self.setModel(self.table_model)
        self.setItemDelegate(self._delegate)
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
        header.setSectionResizeMode(Column.MODEL, QHeaderView.ResizeMode.Stretch)
        theme.changed.connect(self._on_theme_changed)

    def show_rows(self, rows: Sequence[DiscoveryRow], new_ids: frozenset[str], limit: int | None) -> None:
        """List what of `rows` runs, newly possible models first; at most `limit` rows."""
        self.table_model.show_rows(rows, new_ids, limit)
        self._fit_height()

    def sizeHint(self) -> QSize:
        """As tall as all rows."""
        return QSize(super().sizeHint().width(), self._height())

    def minimumSizeHint(self) -> QSize:
        """The same: there is nothing to scroll."""
        return QSize(0, self._height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Leave columns out where it is narrow."""
        super().resizeEvent(event)
        width = self.width()
        self.setColumnHidden(Column.CONTEXT, width < scaled(NARROW, self))
        self.setColumnHidden(Column.NEEDS, width < scaled(NARROW - 120, self))
        self.setColumnHidden(Column.VARIANT, width < scaled(NARROW - 200, self))

    def _height(self) -> int:
        return self.horizontalHeader().sizeHint().height() + self.table_model.rowCount() * self._delegate.row_height

    def _fit_height(self) -> None:
        self.verticalHeader().setDefaultSectionSize(self._delegate.row_height)
        self.updateGeometry()

    def _on_theme_changed(self) -> None:
        self._fit_height()
        self.viewport().update()

"""A table of cells that are looked at and chosen one at a time, without a frame or a grid."""

from __future__ import annotations

from PySide6.QtCore import QAbstractItemModel
from PySide6.QtWidgets import QAbstractItemView, QFrame, QTableView

from localai_app.gui.styling import set_role


def plain_table(name: str, model: QAbstractItemModel) -> QTableView:
    """The table; `name` is what it is called for a screen reader. Tab leads out of it."""
    table = set_role(QTableView(), "table")
    table.setAccessibleName(name)
    table.setModel(model)
    table.setFrameShape(QFrame.Shape.NoFrame)
    table.setShowGrid(False)
    table.setWordWrap(False)
    table.setTabKeyNavigation(False)
    table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    table.verticalHeader().hide()
    table.horizontalHeader().setHighlightSections(False)
    table.horizontalHeader().setSectionsClickable(False)
    return table

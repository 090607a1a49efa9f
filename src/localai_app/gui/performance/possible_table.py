"""The table of models that another computer could run."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QWidget

from localai_app.gui.delegates.possible_delegate import PossibleDelegate
from localai_app.gui.itemmodels.possible_table_model import Column, PossibleTableModel
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.flat_table import FlatTable
from localai_app.services.views import DiscoveryRow

NARROW = 620
"""Below this width the context is left out, then the variant and the need."""


class PossibleTable(FlatTable):
    """Models with their verdicts, newly possible ones first."""

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        model = PossibleTableModel()
        super().__init__(
            model, theme, "Models that it could run", stretched=(Column.MODEL,),
            least_widths={Column.CONTEXT: NARROW, Column.NEEDS: NARROW - 120, Column.VARIANT: NARROW - 200}, parent=parent)
        self.table_model = model
        self.setItemDelegate(PossibleDelegate(theme, self))

    def show_rows(self, rows: Sequence[DiscoveryRow], new_ids: frozenset[str], limit: int | None) -> None:
        """List what of `rows` runs, newly possible models first; at most `limit` rows."""
        self.table_model.show_rows(rows, new_ids, limit)

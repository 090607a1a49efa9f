"""Says that a model runs with less than was planned, and offers to try it in full again."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QWidget

from localai_app.gui import metrics
from localai_app.gui.styling import button, icon_button, label, set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.icon_label import IconLabel
from localai_app.services.views import EngineState


class ReducedNote(QWidget):
    """Hidden until a model is loaded like that, and after it was dismissed, until another set-up is in force."""

    full_requested = Signal()

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shown = ("", "")
        set_role(self, "banner-info")
        self._words = label("", wrap=True, selectable=True)
        self.full_button = button("Try the full set-up again", compact=True)
        self.full_button.clicked.connect(self.full_requested)
        self.close_button = icon_button("x", "Dismiss", theme)
        self.close_button.clicked.connect(self.hide)
        row = QHBoxLayout(self)
        set_spacing(row, metrics.SPACE_2, (metrics.SPACE_3, metrics.SPACE_2, metrics.SPACE_2, metrics.SPACE_2))
        row.addWidget(IconLabel("info", theme, "accent"), 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self._words, 1)
        row.addWidget(self.full_button)
        row.addWidget(self.close_button)
        self.hide()

    @property
    def words(self) -> str:
        """What it says; empty while it is hidden."""
        return "" if self.isHidden() else self._words.text()

    def show_state(self, state: EngineState) -> None:
        """Follow the engine."""
        wanted = (state.model_key, state.reduced) if state.is_alive and state.reduced else ("", "")
        if wanted == self._shown:
            return
        self._shown = wanted
        self.setVisible(bool(state.reduced) and state.is_alive)
        # How it came to that is told where it just happened; later the set-up alone counts.
        why = state.steps[-1].partition(". ")[0] + ". " if state.steps else ""
        self._words.setText(f"{why}{state.model_name} runs with {state.reduced}.")
        self.setToolTip("\n".join(state.steps))

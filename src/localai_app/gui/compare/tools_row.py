"""What stands beside the tabs for the answers: which of them are shown, whether they scroll together, another contestant."""

from __future__ import annotations

import msgspec
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QWidget

from localai_app.gui.compare.compare_session import CompareSession
from localai_app.gui.compare.place_pager import PlacePager
from localai_app.gui.metrics import SPACE_2, SPACE_4
from localai_app.gui.styling import button, label, set_icon, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.switch import Switch
from localai_app.services.compare.drafts import CompareDraft

TOGETHER = "Scroll together"


class ToolsRow(QWidget):
    """Announces a changed draft as a whole."""

    draft_changed = Signal(object)
    turned = Signal(int, int)
    add_requested = Signal()
    new_requested = Signal()

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._draft = CompareDraft()
        self.pager = PlacePager(theme)
        self.pager.turned.connect(self.turned)
        self.together = Switch(theme)
        self.together.setAccessibleName(TOGETHER)
        self.together.setToolTip("Scrolling one answer scrolls all of them")
        self.together.toggled.connect(self._on_together_toggled)
        self.new_button = button("New", "ghost", compact=True)
        self.new_button.setToolTip("Clear the answers and keep the contestants; this comparison stays in the history")
        self.new_button.clicked.connect(self.new_requested)
        self.add_button = button("Add a model", "ghost", compact=True)
        set_icon(self.add_button, "plus", theme, size=14)
        self.add_button.clicked.connect(self.add_requested)
        row = QHBoxLayout(self)
        set_spacing(row, SPACE_2)
        row.addWidget(self.pager)
        row.addSpacing(SPACE_4)
        row.addWidget(self.together)
        row.addWidget(label(TOGETHER, "caption"))
        row.addSpacing(SPACE_2)
        row.addWidget(self.new_button)
        row.addWidget(self.add_button)
        self.pager.hide()

    def show_draft(self, draft: CompareDraft) -> None:
        """Show what is set, without announcing it."""
        self._draft = draft
        self.together.setChecked(draft.scrolls_together)

    def show_session(self, session: CompareSession) -> None:
        """Which tools make sense now."""
        comparison = session.comparison
        if comparison is not None:
            spec = comparison.spec
            self.pager.show_place(session.prompt, len(spec.prompts), session.repeat, spec.repeats)
        else:
            self.pager.hide()
        self.new_button.setVisible(comparison is not None and not session.is_running)
        self.add_button.setVisible(not session.is_running and not session.is_veiled)
        self.add_button.setEnabled(not session.lineup.is_full)

    def _on_together_toggled(self, is_on: bool) -> None:
        if is_on != self._draft.scrolls_together:
            self.draft_changed.emit(msgspec.structs.replace(self._draft, scrolls_together=is_on))

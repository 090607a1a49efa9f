"""One quiet line on top of the pages: a newer version is there. It asks for nothing and can be sent away."""

from __future__ import annotations

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QWidget

from localai_app.gui.bridge import Bridge
from localai_app.gui.metrics import SPACE_1, SPACE_3, SPACE_4, SPACE_6
from localai_app.gui.styling import button, icon_button, set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.elided_label import ElidedLabel
from localai_app.gui.widgets.icon_label import IconLabel
from localai_app.services.events import UpdatesChanged
from localai_app.services.update_steps import UpdateStatus
from localai_app.services.update_words import notice_words
from localai_app.services.updates import UpdateService


class UpdateNotice(QWidget):
    """Hidden while there is nothing to say. `opened`: the user wants to know more."""

    opened = Signal()

    def __init__(self, updates: UpdateService, theme: ThemeState, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._updates = updates
        self._words = ElidedLabel("", "body")
        self.open_button = button("What is new…", compact=True)
        self.open_button.clicked.connect(self.opened)
        self.close_button = icon_button("x", "Not now", theme, size=14)
        self.close_button.clicked.connect(updates.hide)
        policy = self.close_button.sizePolicy()
        policy.setRetainSizeWhenHidden(True)  # The pages below do not move when a download begins.
        self.close_button.setSizePolicy(policy)
        card = set_role(QFrame(), "banner-info")
        row = QHBoxLayout(card)
        set_spacing(row, SPACE_3, (SPACE_4, SPACE_1, SPACE_1, SPACE_1))
        row.addWidget(IconLabel("info", theme, "accent"))
        row.addWidget(self._words, 1)
        row.addWidget(self.open_button)
        row.addWidget(self.close_button)
        layout = QHBoxLayout(self)
        set_spacing(layout, 0, (SPACE_6, SPACE_3, SPACE_6, SPACE_3))
        layout.addWidget(card)
        bridge.event_published.connect(self._on_event)
        self._show()

    @property
    def words(self) -> str:
        """What the line says; empty while it is hidden."""
        return "" if self.isHidden() else self._words.text()

    @Slot(object)
    def _on_event(self, event: object) -> None:
        if isinstance(event, UpdatesChanged):
            self._show()

    def _show(self) -> None:
        state = self._updates.state
        words = notice_words(state)
        self._words.setText(words)
        self.setAccessibleName(words)
        self.open_button.setText("Install…" if state.status is UpdateStatus.DOWNLOADED else "What is new…")
        self.close_button.setVisible(not state.is_busy)
        self.setVisible(bool(words))

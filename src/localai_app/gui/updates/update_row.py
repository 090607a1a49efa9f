"""What is known of newer versions, how this copy came here, and when somebody was asked for the last time."""

from __future__ import annotations

from datetime import datetime

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from localai_app.errors import AppError
from localai_app.gui.bridge import Bridge
from localai_app.gui.metrics import SPACE_1, SPACE_4, SPACE_5, SPACE_6
from localai_app.gui.styling import button, label, set_spacing
from localai_app.services.events import UpdatesChanged
from localai_app.services.update_steps import UpdateStatus
from localai_app.services.update_words import asked_words, installation_words, status_words
from localai_app.services.updates import UpdateService


class UpdateRow(QWidget):
    """`opened`: the user wants to see the newer version."""

    opened = Signal()

    def __init__(self, updates: UpdateService, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._updates = updates
        self._status = label("", "strong", wrap=True)
        self._facts = label("", "muted", wrap=True)
        self._problem = label("", "text-bad", wrap=True, selectable=True)
        self.look_button = button("Look now")
        self.look_button.clicked.connect(self._on_look_clicked)
        texts = QVBoxLayout()
        set_spacing(texts, SPACE_1 // 2)
        for part in (self._status, self._facts, self._problem):
            texts.addWidget(part)
        layout = QHBoxLayout(self)
        set_spacing(layout, SPACE_6, (SPACE_5, SPACE_4, SPACE_5, SPACE_4))
        layout.addLayout(texts, 1)
        layout.addWidget(self.look_button, 0, Qt.AlignmentFlag.AlignTop)
        bridge.event_published.connect(self._on_event)
        self._show()

    @property
    def words(self) -> str:
        """All that it says."""
        return " ".join(part.text() for part in (self._status, self._facts, self._problem) if not part.isHidden())

    def showEvent(self, event: QShowEvent) -> None:
        """What was today may be yesterday now."""
        self._show()
        super().showEvent(event)

    @Slot(object)
    def _on_event(self, event: object) -> None:
        if isinstance(event, UpdatesChanged):
            self._show()

    def _show(self) -> None:
        state = self._updates.state
        source = self._updates.source
        self._status.setText(status_words(state, source.installed_version))
        asked = asked_words(state.asked, datetime.now().astimezone())
        self._facts.setText(f"{installation_words(source.installation)} {asked}".strip())
        self._problem.setText(_problem_words(state.error))
        self._problem.setVisible(state.error is not None)
        self.look_button.setText("What is new…" if state.offer is not None else "Look now")
        self.look_button.setVisible(state.status not in (UpdateStatus.NOT_CONFIGURED, UpdateStatus.OFF))
        self.look_button.setEnabled(state.status is not UpdateStatus.CHECKING)

    @Slot()
    def _on_look_clicked(self) -> None:
        if self._updates.state.offer is not None:
            self.opened.emit()
        else:
            self._updates.check_now()


def _problem_words(error: AppError | None) -> str:
    return "" if error is None else f"{error.message} {error.action}"

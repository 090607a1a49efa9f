"""A row of chips for what models are wanted for; one of them is on."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QAbstractButton, QButtonGroup, QWidget

from localai_app.catalog.tasks import TASK_MEANINGS, TASK_WORDS, Task
from localai_app.gui.bridge import Bridge
from localai_app.gui.metrics import SPACE_2
from localai_app.gui.styling import button, label
from localai_app.gui.widgets.flow_layout import FlowLayout
from localai_app.services.events import Event, SettingChanged
from localai_app.services.settings_service import SettingsService


class TaskChips(QWidget):
    """Follows the setting and changes it, so that every list ranks by the same task."""

    def __init__(self, settings: SettingsService, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._settings = settings
        self._group = QButtonGroup(self)
        layout = FlowLayout(self, across=SPACE_2, down=SPACE_2)
        self._lead = label("Best for", "caption")
        layout.addWidget(self._lead)
        for place, task in enumerate(Task):
            chip = button(TASK_WORDS[task], "chip")
            chip.setCheckable(True)
            chip.setToolTip(TASK_MEANINGS[task])
            chip.setAccessibleDescription(TASK_MEANINGS[task])
            self._group.addButton(chip, place)
            layout.addWidget(chip)
        self._show_setting()
        self._group.buttonClicked.connect(self._on_chip_clicked)
        bridge.event_published.connect(self._on_event)

    def chip(self, task: Task) -> QAbstractButton:
        """The chip of a task."""
        return self._group.button(list(Task).index(task))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The words stand at the middle of the chips' line."""
        super().resizeEvent(event)
        self._lead.setMinimumHeight(self.chip(Task.CHAT).sizeHint().height())

    def _show_setting(self) -> None:
        blocked = QSignalBlocker(self._group)
        self.chip(Task(self._settings.text("task"))).setChecked(True)
        del blocked

    def _on_chip_clicked(self, chip: QAbstractButton) -> None:
        self._settings.set("task", list(Task)[self._group.id(chip)].value)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, SettingChanged) and event.key == "task":
            self._show_setting()

"""The field of a chat's settings that says what happens when its context is full."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QWidget

from localai_app.gui.widgets.wheel_guard import ignore_wheel_unless_focused
from localai_app.settings.declaration import SPECS

SETTING = SPECS["context_policy"]


class OverflowField(QComboBox):
    """Offers the policies, and the one of the program's settings by its name."""

    policy_chosen = Signal(object)
    """The policy as ChatSettings keeps it; None for that of the program's settings."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(SETTING.label)
        self.setToolTip(SETTING.help)
        self.addItem("", None)
        for choice in SETTING.choices:
            self.addItem(choice.label, choice.value)
        self.show_policy(None, str(SETTING.default))
        self.activated.connect(lambda _index: self.policy_chosen.emit(self.currentData()))
        ignore_wheel_unless_focused(self)

    def show_policy(self, chosen: str | None, default: str) -> None:
        """Show what is chosen for the chat, and what the program's settings say."""
        label = next((choice.label for choice in SETTING.choices if choice.value == default), default)
        self.setItemText(0, f"As in the settings: {label[:1].lower()}{label[1:]}")
        self.setCurrentIndex(max(0, self.findData(chosen)))

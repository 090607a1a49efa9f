"""Loading in spite of what is known of a model: asked first, with the reason and the risk."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QLabel, QMessageBox, QWidget

from localai_app.gui.styling import set_role

TOO_LARGE_RISK = (
    "While it loads, other programs may become slow; if the memory runs out, the engine stops. Your chats are safe either way.")
UNKNOWN_RISK = (
    "The engine may stop, or the answers may make no sense. Your chats are safe either way; "
    "only open files from a source that you trust.")


class LoadAnyway(QObject):
    """Shows the question; nothing happens unless it is answered with yes."""

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._window = window
        self.box: QMessageBox | None = None

    def ask(self, name: str, reason: str, *, is_too_large: bool, on_yes: Callable[[], None]) -> None:
        """Ask whether to load the model called `name`; `reason`: why that is not advised."""
        box = QMessageBox(self._window)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setWindowTitle("Load anyway")
        box.setText(f"Load {name} anyway?")
        box.setInformativeText(f"{reason}\n\n{TOO_LARGE_RISK if is_too_large else UNKNOWN_RISK}")
        for words in box.findChildren(QLabel):
            words.setTextFormat(Qt.TextFormat.PlainText)  # A file may be called anything.
        load = box.addButton("Load anyway", QMessageBox.ButtonRole.AcceptRole)
        set_role(load, "danger")
        cancel = box.addButton("Do not load", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(cancel)
        box.setEscapeButton(cancel)
        load.clicked.connect(on_yes)
        box.finished.connect(self._on_closed)
        self.box = box
        box.open()

    def _on_closed(self, _result: int) -> None:
        self.box = None

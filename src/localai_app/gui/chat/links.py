"""Opening a link from an answer: only web addresses, and only after the whole address was shown."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QMessageBox, QWidget

from localai_app.gui.chat.markdown_html import is_web_address
from localai_app.gui.chat.plain_text import harmless

SHOWN_CHARACTERS = 600


def ask_to_open(url: QUrl, parent: QWidget, open_url: Callable[[QUrl], bool] = QDesktopServices.openUrl) -> QMessageBox | None:
    """Show where a link leads and open it if the user agrees; None if it is no web address.

    The address is shown encoded, so that letters that look like others cannot hide where it goes.
    """
    address = bytes(url.toEncoded().data()).decode("ascii", "replace")
    if not is_web_address(address):
        return None
    box = QMessageBox(parent)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.setWindowTitle("Open link")
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setText("Open this address in your browser?")
    box.setInformativeText(harmless(address)[:SHOWN_CHARACTERS])
    yes = box.addButton("Open", QMessageBox.ButtonRole.AcceptRole)
    no = box.addButton("Cancel", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(no)
    box.setEscapeButton(no)
    box.buttonClicked.connect(lambda pressed: open_url(url) if pressed is yes else None)
    box.open()
    return box

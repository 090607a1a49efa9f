"""Chooses the text that losses are measured on: the built-in one, a file, pasted text, past chats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QDialog, QFileDialog, QHBoxLayout, QMenu, QPlainTextEdit, QSizePolicy, QVBoxLayout, QWidget

from localai_app import errors
from localai_app.compare.loss import TextSource
from localai_app.errors import AppError
from localai_app.gui.metrics import SPACE_3, SPACE_4, SPACE_6
from localai_app.gui.styling import button, combo_box, label, set_role, set_spacing
from localai_app.gui.tasks import run_in_background
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.wheel_guard import ignore_wheel_unless_focused
from localai_app.services.app_services import AppServices
from localai_app.services.compare.chat_text import text_of_chats
from localai_app.services.compare.loss_texts import bundled_text, text_of_file

FILE_FILTER = "Text (*.txt *.md *.csv *.json *.py *.html *.log);;All files (*)"
PASTED_NAME = "Pasted text"


class LossTextField(QWidget):
    """A list of the texts that were chosen so far, and a button for another one. Texts are read off the window's thread."""

    changed = Signal()
    failed = Signal(object)
    """An AppError: the text could not be had."""

    def __init__(self, services: AppServices, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services, self._theme = services, theme
        self._texts: list[TextSource] = []
        self.choice = combo_box()
        self.choice.setAccessibleName("Text to measure on")
        self.choice.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.choice.setMinimumContentsLength(8)
        self.choice.setSizeAdjustPolicy(self.choice.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        ignore_wheel_unless_focused(self.choice)
        self.choice.currentIndexChanged.connect(self.changed)
        self.other_button = button("Other text…")
        self.other_button.setToolTip("A file, pasted text, or what you asked in past chats")
        self.other_button.clicked.connect(self._on_other_clicked)
        row = QHBoxLayout(self)
        set_spacing(row, SPACE_3)
        row.addWidget(self.choice, 1)
        row.addWidget(self.other_button)
        self._read(bundled_text)

    @property
    def text(self) -> TextSource | None:
        """The one that is chosen; None for the moment before the first one is read."""
        index = self.choice.currentIndex()
        return self._texts[index] if 0 <= index < len(self._texts) else None

    def add_text(self, text: TextSource) -> None:
        """Choose a text, in place of one of the same name."""
        if not text.text.strip():
            self.failed.emit(AppError(errors.TEXT_TOO_SHORT, tokens=0, needed=2))
            return
        known = next((index for index, one in enumerate(self._texts) if one.name == text.name), None)
        if known is None:
            self._texts.append(text)
            self.choice.addItem(text.name)
            known = len(self._texts) - 1
        else:
            self._texts[known] = text
        self.choice.setCurrentIndex(known)
        self.changed.emit()

    def add_file(self, path: Path) -> None:
        """Read a file and choose it."""
        self._read(lambda: text_of_file(path))

    def build_menu(self) -> QMenu:
        """Where another text may come from."""
        menu = QMenu(self)
        menu.addAction("From a file…").triggered.connect(self._on_file_triggered)
        menu.addAction("Paste text…").triggered.connect(self._on_paste_triggered)
        menu.addAction("Past chats").triggered.connect(
            lambda: self._read(lambda: text_of_chats(self._services.store.conversations)))
        return menu

    def _read(self, read: Callable[[], TextSource]) -> None:
        run_in_background(self, read, self.add_text, self.failed.emit)

    def _on_other_clicked(self) -> None:
        menu = self.build_menu()
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(self.other_button.mapToGlobal(self.other_button.rect().bottomLeft()))

    def _on_file_triggered(self) -> None:
        name, _filter = QFileDialog.getOpenFileName(self, "Choose a text", str(Path.home()), FILE_FILTER)
        if name:
            self.add_file(Path(name))

    def _on_paste_triggered(self) -> None:
        dialog = PasteDialog(self._theme, self)
        dialog.accepted.connect(lambda: self.add_text(TextSource(name=PASTED_NAME, text=dialog.text)))
        dialog.open()


class PasteDialog(QDialog):
    """A field for a text; `text` is what stands in it."""

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        set_role(self, "sheet")
        self.setWindowTitle("Text to measure on")
        self.resize(theme.sizes.grown(640), theme.sizes.grown(440))
        self.edit = QPlainTextEdit()
        self.edit.setAccessibleName("Text to measure on")
        self.edit.setTabChangesFocus(True)
        set_role(self.edit, "report")
        self.use_button = button("Use this text", "primary")
        self.use_button.setEnabled(False)
        self.use_button.clicked.connect(self.accept)
        cancel = button("Cancel")
        cancel.clicked.connect(self.reject)
        self.edit.textChanged.connect(lambda: self.use_button.setEnabled(bool(self.text.strip())))
        buttons = QHBoxLayout()
        set_spacing(buttons, SPACE_3)
        buttons.addStretch(1)
        buttons.addWidget(cancel)
        buttons.addWidget(self.use_button)
        layout = QVBoxLayout(self)
        set_spacing(layout, SPACE_4, (SPACE_6, SPACE_6, SPACE_6, SPACE_6))
        layout.addWidget(label(
            "Paste what is like what you ask models for: some pages of it give figures with small errors.", "muted", wrap=True))
        layout.addWidget(self.edit, 1)
        layout.addLayout(buttons)

    @property
    def text(self) -> str:
        """What stands in the field."""
        return str(self.edit.toPlainText())

"""Shows one prompt with its checks, to be changed where it is the user's own."""

from __future__ import annotations

import msgspec
from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLineEdit, QPlainTextEdit, QScrollArea, QVBoxLayout, QWidget

from localai_app.compare.checking import check_words
from localai_app.compare.prompt_records import MAX_CHECKS, MAX_TAG_CHARS
from localai_app.compare.prompts import Prompt
from localai_app.gui.compare.check_row import CheckRow
from localai_app.gui.metrics import SPACE_2, SPACE_3
from localai_app.gui.styling import button, label, set_icon, set_role, set_spacing
from localai_app.gui.theme import ThemeState

TEXT_HEIGHT = 104
TAG_WIDTH = 200
LAYOUT_MS = 50
"""A new row has its place by then."""
NO_CHECKS = "Answers to this prompt are not checked: judge them by your vote."


class PromptEditor(QScrollArea):
    """`edited` after each change by the user; `prompt` has what can be kept of it."""

    edited = Signal()

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._prompt = Prompt(text="")
        self.rows: list[CheckRow] = []
        self.text = QPlainTextEdit()
        self.text.setAccessibleName("Prompt")
        self.text.setFixedHeight(TEXT_HEIGHT)
        self.text.setTabChangesFocus(True)
        self.text.textChanged.connect(self._on_edited)
        self.tag = QLineEdit()
        self.tag.setAccessibleName("Tag")
        self.tag.setPlaceholderText("What it is about")
        self.tag.setMaxLength(MAX_TAG_CHARS)
        self.tag.setFixedWidth(TAG_WIDTH)
        self.tag.textEdited.connect(self._on_edited)
        self.add_button = button("Add a check", compact=True)
        set_icon(self.add_button, "plus", theme)
        self.add_button.clicked.connect(self._on_add_clicked)
        self._tag_row = QWidget()
        self._heading = label("An answer is right if it", "caption")
        self._words = label("", "muted", wrap=True, selectable=True)
        self._checks = QVBoxLayout()
        self._is_filling = False
        self._laid_out = QTimer(self)
        self._laid_out.setSingleShot(True)
        self._laid_out.setInterval(LAYOUT_MS)
        self._laid_out.timeout.connect(self._on_laid_out)
        self._lay_out()

    def _lay_out(self) -> None:
        content = set_role(QWidget(), "page")
        tag_row = QHBoxLayout(self._tag_row)
        set_spacing(tag_row, SPACE_3)
        tag_row.addWidget(label("Tag"))
        tag_row.addWidget(self.tag)
        tag_row.addStretch(1)
        tag_row.addWidget(self.add_button)
        set_spacing(self._checks, SPACE_2)
        column = QVBoxLayout(content)
        set_spacing(column, SPACE_3, (0, 0, SPACE_2, 0))
        column.addWidget(self.text)
        column.addWidget(self._tag_row)
        column.addWidget(self._heading)
        column.addLayout(self._checks)
        column.addWidget(self._words)
        column.addStretch(1)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setWidget(content)

    @property
    def prompt(self) -> Prompt:
        """As it stands; checks that are not complete are left out, and an empty text is the one from before."""
        typed = self.text.toPlainText()
        checks = [row.check for row in self.rows]
        return msgspec.structs.replace(
            self._prompt, text=typed if typed.strip() else self._prompt.text, tag=self.tag.text().strip(),
            checks=tuple(check for check in checks if check is not None))

    @property
    def words(self) -> str:
        """What is said of the checks."""
        return self._words.text()

    def show_prompt(self, prompt: Prompt, *, is_own: bool) -> None:
        """Show a prompt without announcing it; only an own one can be changed."""
        self._is_filling = True
        self._prompt = prompt
        self.text.setPlainText(prompt.text)
        self.text.setReadOnly(not is_own)
        self.tag.setText(prompt.tag)
        self._tag_row.setVisible(is_own)
        for row in tuple(self.rows):
            self._drop(row)
        if is_own:
            for check in prompt.checks:
                self._add_row().show_check(check)
        self._words.setText("\n".join(f"· {check_words(check)}" for check in prompt.checks) if not is_own else "")
        self._say_whether_checked()
        self.verticalScrollBar().setValue(0)
        self._is_filling = False

    def select_text(self) -> None:
        """Put the cursor into the prompt so that typing replaces it."""
        self.text.setFocus()
        self.text.selectAll()

    def _add_row(self) -> CheckRow:
        row = CheckRow(self._theme)
        row.edited.connect(self._on_edited)
        row.remove_requested.connect(lambda: self._on_remove_requested(row))
        self.rows.append(row)
        self._checks.addWidget(row)
        return row

    def _drop(self, row: CheckRow) -> None:
        self.rows.remove(row)
        self._checks.removeWidget(row)
        row.hide()
        row.deleteLater()

    def _say_whether_checked(self) -> None:
        if not self.rows and not self._prompt.checks:
            self._words.setText(NO_CHECKS)
        elif self.rows:
            self._words.clear()
        self._heading.setVisible(bool(self.rows or self._prompt.checks))
        self.add_button.setEnabled(len(self.rows) < MAX_CHECKS)

    @Slot()
    def _on_edited(self) -> None:
        if not self._is_filling:
            self.edited.emit()

    @Slot()
    def _on_add_clicked(self) -> None:
        row = self._add_row()
        self._say_whether_checked()
        row.field.setFocus()
        self._laid_out.start()

    @Slot()
    def _on_laid_out(self) -> None:
        if self.rows:
            self.ensureWidgetVisible(self.rows[-1])

    def _on_remove_requested(self, row: CheckRow) -> None:
        self._drop(row)
        self._prompt = msgspec.structs.replace(self._prompt, checks=())
        self._say_whether_checked()
        self._on_edited()

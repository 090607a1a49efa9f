"""Edits a chat template: its text at the left, what it makes of an example at the right, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QDialog, QHBoxLayout, QPlainTextEdit, QVBoxLayout, QWidget

from localai_app.engine.protocol import TemplateRendered
from localai_app.errors import AppError
from localai_app.gui.load.template_field import TemplateField
from localai_app.gui.metrics import SPACE_2, SPACE_4, SPACE_6
from localai_app.gui.styling import button, label, set_role, set_spacing
from localai_app.gui.tasks import BackgroundTask, run_in_background
from localai_app.gui.theme import ThemeState
from localai_app.services.chat_format_words import THINKING_LABELS
from localai_app.services.template_preview import preview_template

SIZE = (960, 620)
PAUSE_MS = 700
"""Typing rests this long before the text is tried out."""
MAX_SHOWN_CHARS = 100_000


class TemplateDialog(QDialog):
    """`source` is the text when accepted. It is tried out in a worker of its own whenever typing rests."""

    def __init__(self, source: str, worker_dir: Path, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        set_role(self, "sheet")
        self.setWindowTitle("Chat template")
        self.resize(*SIZE)
        self._worker_dir = worker_dir
        self._task: BackgroundTask | None = None
        self.edit = self._text_field("Chat template (Jinja)", theme)
        self.edit.setPlainText(source)
        self.preview = self._text_field("What the model gets of an example", theme)
        self.preview.setReadOnly(True)
        self._state = label("", "caption", wrap=True)
        self._timer = QTimer(self, singleShot=True, interval=PAUSE_MS)
        self._timer.timeout.connect(self._try_out)
        self.edit.textChanged.connect(self._on_edited)
        self.use_button = button("Use this template", "primary")
        self.use_button.setEnabled(False)
        self.use_button.clicked.connect(self.accept)
        self.cancel_button = button("Cancel")
        self.cancel_button.clicked.connect(self.reject)
        self._lay_out()
        self._try_out()

    @property
    def source(self) -> str:
        """The text as it is now."""
        return str(self.edit.toPlainText())

    @property
    def state_words(self) -> str:
        """What is said of the text."""
        return self._state.text()

    def _text_field(self, name: str, theme: ThemeState) -> QPlainTextEdit:
        field = QPlainTextEdit()
        field.setAccessibleName(name)
        field.setFont(theme.code_font())
        field.setTabChangesFocus(True)
        set_role(field, "report")
        return field

    def _lay_out(self) -> None:
        columns = QHBoxLayout()
        set_spacing(columns, SPACE_4)
        for field in (self.edit, self.preview):
            column = QVBoxLayout()
            set_spacing(column, SPACE_2)
            column.addWidget(label(field.accessibleName(), "strong"))
            column.addWidget(field, 1)
            columns.addLayout(column, 1)
        foot = QHBoxLayout()
        set_spacing(foot, SPACE_2)
        foot.addWidget(self._state, 1)
        foot.addWidget(self.cancel_button, 0, Qt.AlignmentFlag.AlignTop)
        foot.addWidget(self.use_button, 0, Qt.AlignmentFlag.AlignTop)
        layout = QVBoxLayout(self)
        set_spacing(layout, SPACE_4, (SPACE_6, SPACE_6, SPACE_6, SPACE_6))
        layout.addLayout(columns, 1)
        layout.addLayout(foot)

    def _on_edited(self) -> None:
        self.use_button.setEnabled(False)
        self._timer.start()

    def _try_out(self) -> None:
        if self._task is not None:
            self._task.drop()
            self._task = None
        source = self.source
        if not source.strip():
            self._say("Write a template, or begin from one of a family.")
            self.preview.clear()
            return
        self._say("Trying it out…")
        self._task = run_in_background(
            self, lambda: preview_template(source, self._worker_dir), self._on_rendered, self._on_failed)

    def _on_rendered(self, rendered: TemplateRendered) -> None:
        self._task = None
        self.preview.setPlainText(rendered.prompt[:MAX_SHOWN_CHARS])
        choices = ", ".join(THINKING_LABELS.get(choice, choice).lower() for choice in rendered.thinking)
        thinking = f"Thinking: {choices}." if choices else "No choice about thinking."
        self._say(f"It works. {thinking} {'It knows tools.' if rendered.tools else 'It knows no tools.'}")
        self.use_button.setEnabled(not self._timer.isActive())

    def _on_failed(self, error: AppError) -> None:
        self._task = None
        self.preview.clear()
        self._say(error.message, is_wrong=True)

    def _say(self, words: str, *, is_wrong: bool = False) -> None:
        set_role(self._state, "caption-warn" if is_wrong else "caption")
        self._state.setText(words)


def edit_template(field: TemplateField, worker_dir: Path, theme: ThemeState) -> None:
    """Open the dialog over a field, which takes the text when it is accepted."""
    dialog = TemplateDialog(field.source, worker_dir, theme, field)
    dialog.accepted.connect(lambda: field.choose_text(dialog.source))
    dialog.finished.connect(dialog.deleteLater)
    dialog.open()

"""One setting on the settings page: what it is, its control, its default, and what was wrong with the last input."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from localai_app.errors import AppError
from localai_app.gui.metrics import SPACE_1, SPACE_2, SPACE_4, SPACE_5, SPACE_6
from localai_app.gui.settings.editors import LineEditor, LongTextEditor, make_editor, value_words
from localai_app.gui.styling import button, label
from localai_app.gui.theme import ThemeState
from localai_app.services.settings_service import SettingsService
from localai_app.settings.declaration import Kind, SettingSpec, SettingValue


class SettingRow(QWidget):
    """Writes through the service at once; nothing has to be applied."""

    def __init__(self, spec: SettingSpec, settings: SettingsService, theme: ThemeState, placeholder: str = "") -> None:
        super().__init__()
        self.spec = spec
        self._settings = settings
        self.editor = make_editor(spec, theme)
        if placeholder and isinstance(self.editor, LineEditor):
            self.editor.set_placeholder(placeholder)
        self.editor.decided.connect(self._on_decided)
        self._note = label("", "caption", wrap=True)
        self.reset_button = button("Reset", "link", compact=True)
        self.reset_button.setAccessibleName(f"Reset {spec.label}")
        self.reset_button.clicked.connect(self._on_reset_clicked)
        self._problem = label("", "text-bad", wrap=True)
        self._problem.hide()
        self._build()
        self.refresh()

    def refresh(self) -> None:
        """Show the value in force."""
        self.editor.show_value(self._settings.get(self.spec.key))
        self._show_problem("")
        is_changed = self._settings.is_changed(self.spec.key)
        self.reset_button.setVisible(is_changed)
        default = "" if self.spec.default == "" else f" · Default: {value_words(self.spec, self.spec.default)}"
        self._note.setText(f"Takes effect: {_lower_first(self.spec.effect)}{default}")

    def matches(self, words: list[str]) -> bool:
        """Whether every word is found in what this setting says or is also known by."""
        known = " ".join((
            self.spec.label, self.spec.help, self.spec.section, self.spec.key, *self.spec.keywords,
            *(choice.label for choice in self.spec.choices))).lower()
        return all(word in known for word in words)

    @property
    def problem(self) -> str:
        """What was wrong with the last input, or ""."""
        return self._problem.text()

    def _build(self) -> None:
        texts = QVBoxLayout()
        texts.setSpacing(SPACE_1 // 2)
        texts.addWidget(label(self.spec.label, "strong"))
        texts.addWidget(label(self.spec.help, "muted", wrap=True))
        notes = QHBoxLayout()
        notes.setSpacing(SPACE_2)
        notes.addWidget(self._note, 1)
        texts.addSpacing(SPACE_1)
        texts.addLayout(notes)
        is_long = isinstance(self.editor, LongTextEditor)
        control = QVBoxLayout()
        control.setSpacing(SPACE_1)
        control.addWidget(self.editor)
        below = QHBoxLayout()
        below.addWidget(self._problem, 1)
        below.addStretch(0)
        below.addWidget(self.reset_button, alignment=Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop)
        control.addLayout(below)
        if is_long:
            layout: QVBoxLayout | QHBoxLayout = QVBoxLayout(self)
            layout.addLayout(texts)
            layout.addSpacing(SPACE_2)
            layout.addLayout(control)
        else:
            layout = QHBoxLayout(self)
            layout.addLayout(texts, 1)
            layout.addSpacing(SPACE_6)
            control.addStretch(1)
            layout.addLayout(control)
            if self.spec.kind is Kind.FOLDER:
                layout.setStretch(0, 1)
        layout.setContentsMargins(SPACE_5, SPACE_4, SPACE_5, SPACE_4)
        layout.setSpacing(0)

    def _on_decided(self, value: SettingValue) -> None:
        try:
            self._settings.set(self.spec.key, value)
        except AppError as error:
            self._show_problem(f"{error.message} {error.action}")
            return
        self.refresh()

    def _on_reset_clicked(self) -> None:
        self._settings.reset(self.spec.key)
        self.refresh()

    def _show_problem(self, text: str) -> None:
        self._problem.setText(text)
        self._problem.setVisible(bool(text))
        self.editor.mark_invalid(bool(text))


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]

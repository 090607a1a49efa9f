"""Which chat template a model uses: its own, one of a known family, or a text of the user's."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from localai_app.engine.template_families import FAMILIES
from localai_app.gui.metrics import SPACE_1, SPACE_2
from localai_app.gui.styling import button, combo_box, label, set_spacing
from localai_app.gui.widgets.wheel_guard import ignore_wheel_unless_focused
from localai_app.services.chat_format_words import CUSTOM, OWN, template_kind, template_label

HELP = "The form in which a conversation is put before the model. A wrong one makes answers worse."


class TemplateField(QWidget):
    """`value` is a `LoadSettings.chat_template`. `edit_requested` asks for the text to be edited."""

    value_changed = Signal()
    edit_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._own = ""
        self._custom = ""
        self.box = combo_box()
        self.box.setAccessibleName("Chat template")
        self.box.setToolTip(HELP)
        for name in (OWN, *FAMILIES, CUSTOM):
            self.box.addItem(template_label(name), name)
        self.box.activated.connect(self._on_chosen)
        ignore_wheel_unless_focused(self.box)
        self.edit_button = button("Edit…", compact=True)
        self.edit_button.setAccessibleName("Edit the chat template")
        self.edit_button.clicked.connect(self.edit_requested)
        self._hint = label("", "caption", wrap=True)
        head = QHBoxLayout()
        set_spacing(head, SPACE_2)
        head.addWidget(label("Chat template", "strong"))
        head.addStretch(1)
        head.addWidget(self.edit_button)
        head.addWidget(self.box)
        layout = QVBoxLayout(self)
        set_spacing(layout, SPACE_1)
        layout.addLayout(head)
        layout.addWidget(self._hint)

    @property
    def value(self) -> str:
        """What is chosen."""
        name = str(self.box.currentData())
        return {OWN: "", CUSTOM: self._custom}.get(name, name)

    @property
    def source(self) -> str:
        """The text of what is chosen, to be read and edited."""
        name = str(self.box.currentData())
        return FAMILIES[name].source if name in FAMILIES else self._custom if name == CUSTOM else self._own

    @property
    def hint(self) -> str:
        """What is said below."""
        return self._hint.text()

    def show_own(self, source: str, *, is_known: bool) -> None:
        """The template in the model's file; `is_known` false: its header could not be read."""
        self._own = source
        self._show_hint(is_known=is_known)

    def show_value(self, value: str) -> None:
        """Show what is chosen, without announcing it."""
        kind = template_kind(value)
        if kind == CUSTOM:
            self._custom = value
        self.box.setCurrentIndex(self.box.findData(kind))
        self._show_hint()

    def choose_text(self, source: str) -> None:
        """The user edited the text: the model's own one again, or one of the user's."""
        self.show_value("" if source.strip() == self._own.strip() else source)
        self.value_changed.emit()

    def _on_chosen(self, _index: int) -> None:
        if self.box.currentData() == CUSTOM and not self._custom:
            self.box.setCurrentIndex(self.box.findData(OWN))
            self.edit_requested.emit()
            return
        self._show_hint()
        self.value_changed.emit()

    def _show_hint(self, *, is_known: bool = True) -> None:
        is_missing = is_known and not self._own and self.box.currentData() == OWN
        words = "The file has none: the one of its family is used, or the text is simply continued."
        self._hint.setText(words if is_missing else "")
        self._hint.setVisible(is_missing)

"""Shows one prompt set: its name, its prompts, and the chosen prompt with its checks."""

from __future__ import annotations

import msgspec
from PySide6.QtCore import QModelIndex, Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QAbstractItemView, QHBoxLayout, QHeaderView, QLineEdit, QTableView, QVBoxLayout, QWidget

from localai_app.compare.prompt_records import MAX_NAME_CHARS
from localai_app.compare.prompts import Prompt, PromptSet
from localai_app.gui.compare.prompt_editor import PromptEditor
from localai_app.gui.itemmodels.prompt_table_model import Column, PromptTableModel
from localai_app.gui.metrics import SPACE_2, SPACE_3, SPACE_6
from localai_app.gui.styling import button, label, set_icon, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.plain_table import plain_table

PAUSE_MS = 500
"""Typing rests this long before it is kept."""
NEW_PROMPT = Prompt(text="New prompt")


class PromptSetView(QWidget):
    """`changed` has the whole set after the user's changes, `renamed` the new name, `prompt_removed` the set from before."""

    changed = Signal(object)
    renamed = Signal(str)
    prompt_removed = Signal(object)

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._set: PromptSet | None = None
        self._row = -1
        self.name = QLineEdit()
        self.name.setAccessibleName("Name of the set")
        self.name.setMaxLength(MAX_NAME_CHARS)
        self.name.editingFinished.connect(self._on_name_finished)
        self._title = label("", "heading", wrap=True)
        self._description = label("", "muted", wrap=True)
        self.model = PromptTableModel(self)
        self.table = self._build_table()
        self.add_button = button("Add a prompt", compact=True)
        set_icon(self.add_button, "plus", theme)
        self.add_button.clicked.connect(self._on_add_clicked)
        self.remove_button = button("Remove this prompt", compact=True)
        set_icon(self.remove_button, "trash", theme)
        self.remove_button.clicked.connect(self._on_remove_clicked)
        self.editor = PromptEditor(theme)
        self._timer = QTimer(self, singleShot=True, interval=PAUSE_MS)
        self._timer.timeout.connect(self.flush)
        self.editor.edited.connect(self._timer.start)
        buttons = QHBoxLayout()
        set_spacing(buttons, SPACE_2)
        buttons.addWidget(self.add_button)
        buttons.addWidget(self.remove_button)
        buttons.addStretch(1)
        layout = QVBoxLayout(self)
        set_spacing(layout, SPACE_3)
        layout.addWidget(self._title)
        layout.addWidget(self.name)
        layout.addWidget(self._description)
        layout.addWidget(self.table, 4)
        layout.addLayout(buttons)
        layout.addWidget(self.editor, 6)

    @property
    def prompt_set(self) -> PromptSet | None:
        """The set as it is kept."""
        return self._set

    @property
    def is_own(self) -> bool:
        """Whether it can be changed."""
        return self._set is not None and not self._set.is_built_in

    def show_set(self, prompt_set: PromptSet, row: int = 0) -> None:
        """Show a set with one of its prompts; what was typed before has to be flushed."""
        self._timer.stop()
        self._set = prompt_set
        self.name.setText(prompt_set.name)
        self.name.setVisible(self.is_own)
        self._title.setText(prompt_set.name)
        self._title.setVisible(not self.is_own)
        self.name.setCursorPosition(0)
        self._description.setText(prompt_set.description)
        self._description.setVisible(bool(prompt_set.description))
        for part in (self.add_button, self.remove_button):
            part.setVisible(self.is_own)
        self.remove_button.setEnabled(len(prompt_set.prompts) > 1)
        self.model.show_prompts(prompt_set.prompts)
        self._row = -1
        self.table.setCurrentIndex(self.model.index(min(row, len(prompt_set.prompts) - 1), Column.TEXT))

    def take_kept(self, prompt_set: PromptSet) -> None:
        """The set was kept as it is shown."""
        self._set = prompt_set

    @Slot()
    def flush(self) -> None:
        """Announce what was typed, if it differs from what is kept."""
        self._timer.stop()
        if self._set is None or not self.is_own or self._row < 0:
            return
        prompts = list(self._set.prompts)
        if self.editor.prompt == prompts[self._row]:
            return
        prompts[self._row] = self.editor.prompt
        self.model.change_prompt(self._row, self.editor.prompt)
        self.changed.emit(msgspec.structs.replace(self._set, prompts=tuple(prompts)))

    def _build_table(self) -> QTableView:
        table = plain_table("Prompts of the set", self.model)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        header = table.horizontalHeader()
        header.setMinimumSectionSize(SPACE_6)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(Column.TEXT, QHeaderView.ResizeMode.Stretch)
        table.selectionModel().currentChanged.connect(self._on_current_changed)
        return table

    @Slot(QModelIndex, QModelIndex)
    def _on_current_changed(self, current: QModelIndex, _before: QModelIndex) -> None:
        if self._set is None or not current.isValid() or current.row() == self._row:
            return
        self.flush()
        self._row = current.row()
        self.editor.show_prompt(self._set.prompts[self._row], is_own=self.is_own)

    @Slot()
    def _on_name_finished(self) -> None:
        typed = " ".join(self.name.text().split())
        if self._set is not None and self.is_own and typed and typed != self._set.name:
            self.flush()
            self.renamed.emit(typed)
        elif self._set is not None:
            self.name.setText(self._set.name)

    @Slot()
    def _on_add_clicked(self) -> None:
        self.flush()
        if self._set is None:
            return
        tag = self._set.prompts[self._row].tag if self._row >= 0 else ""
        prompts = (*self._set.prompts, msgspec.structs.replace(NEW_PROMPT, tag=tag))
        self.changed.emit(msgspec.structs.replace(self._set, prompts=prompts))
        self.show_set(self._set, len(prompts) - 1)
        self.editor.select_text()

    @Slot()
    def _on_remove_clicked(self) -> None:
        if self._set is None or self._row < 0:
            return
        self._timer.stop()
        row, before = self._row, self._set
        prompts = self._set.prompts[:row] + self._set.prompts[row + 1:]
        self.changed.emit(msgspec.structs.replace(self._set, prompts=prompts))
        self.show_set(self._set, row)
        self.prompt_removed.emit(before)

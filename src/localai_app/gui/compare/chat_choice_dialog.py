"""Chooses past chats whose questions become a prompt set."""

from __future__ import annotations

import time
from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QCheckBox, QDialog, QHBoxLayout, QLineEdit, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from localai_app.compare.prompt_records import MAX_NAME_CHARS
from localai_app.gui.chat.dates import relative_date
from localai_app.gui.metrics import SPACE_1, SPACE_2, SPACE_3, SPACE_5, SPACE_6, TypeSizes
from localai_app.gui.styling import add_clear_button, button, label, set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.store.records import Conversation

SIZE = (520, 560)


class ChatChoiceDialog(QDialog):
    """`chats_chosen`: the chats' numbers, the name of the set, and whether only first messages are taken."""

    chats_chosen = Signal(object, str, bool)

    def __init__(self, chats: Sequence[Conversation], name: str, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        set_role(self, "sheet")
        self.setWindowTitle("Prompts from past chats")
        self.name = QLineEdit(name)
        self.name.setAccessibleName("Name of the set")
        self.name.setMaxLength(MAX_NAME_CHARS)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search titles")
        self.search.setAccessibleName("Search titles")
        add_clear_button(self.search, "Clear the search", theme)
        self.search.textChanged.connect(self._on_search_changed)
        self.list = set_role(QListWidget(), "list")
        self.list.setAccessibleName("Chats")
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.list.setSpacing(SPACE_1)
        now_s = time.time()
        for chat in chats:
            item = QListWidgetItem(f"{chat.title} · {relative_date(chat.updated_s, now_s)}")
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(Qt.CheckState.Unchecked)
            item.setData(Qt.ItemDataRole.UserRole, chat.id)
            self.list.addItem(item)
        self.list.itemChanged.connect(self._say_how_many)
        self.all_messages = QCheckBox("All of my messages, not only the first of each chat")
        self._words = label("", "caption")
        self.use_button = button("Make a set", "primary")
        self.use_button.clicked.connect(self._on_use_clicked)
        self._lay_out()
        growth = max(1.0, theme.sizes.body / TypeSizes().body)
        self.resize(*(round(side * growth) for side in SIZE))
        self._say_how_many()

    @property
    def chosen(self) -> tuple[int, ...]:
        """Numbers of the chats that are ticked, in the order of the list."""
        items = [self.list.item(row) for row in range(self.list.count())]
        return tuple(int(item.data(Qt.ItemDataRole.UserRole)) for item in items if item.checkState() is Qt.CheckState.Checked)

    def _lay_out(self) -> None:
        cancel = button("Cancel")
        cancel.clicked.connect(self.reject)
        foot = QHBoxLayout()
        set_spacing(foot, SPACE_2)
        foot.addWidget(self._words, 1)
        foot.addWidget(cancel)
        foot.addWidget(self.use_button)
        layout = QVBoxLayout(self)
        set_spacing(layout, SPACE_3, (SPACE_6, SPACE_5, SPACE_6, SPACE_5))
        layout.addWidget(label("What you asked in these chats becomes a prompt set", "lead", wrap=True))
        layout.addWidget(self.name)
        layout.addWidget(self.search)
        layout.addWidget(self.list, 1)
        layout.addWidget(self.all_messages)
        layout.addLayout(foot)

    @Slot(str)
    def _on_search_changed(self, text: str) -> None:
        wanted = text.strip().casefold()
        for row in range(self.list.count()):
            item = self.list.item(row)
            item.setHidden(wanted not in item.text().casefold())

    @Slot()
    def _say_how_many(self) -> None:
        count = len(self.chosen)
        words = "There are no chats yet." if not self.list.count() else "Tick chats." if not count else f"{count} chosen"
        self._words.setText(words)
        self.use_button.setEnabled(count > 0)

    @Slot()
    def _on_use_clicked(self) -> None:
        self.chats_chosen.emit(self.chosen, self.name.text(), not self.all_messages.isChecked())
        self.accept()

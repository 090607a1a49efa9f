"""All prompt sets: to look at, to write, to bring in from files and past chats, and to choose one for a comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from localai_app.compare.prompts import PromptSet
from localai_app.errors import AppError
from localai_app.gui.bridge import Bridge
from localai_app.gui.chat.undo_bar import UndoBar
from localai_app.gui.compare.prompt_set_view import NEW_PROMPT, PromptSetView
from localai_app.gui.compare.prompt_sources import PromptSources
from localai_app.gui.metrics import SIDEBAR_WIDTH, SPACE_1, SPACE_2, SPACE_3, SPACE_4, SPACE_5, SPACE_6, TypeSizes
from localai_app.gui.styling import button, label, set_icon, set_role, set_spacing
from localai_app.gui.tasks import run_in_background
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.error_banner import ErrorBanner
from localai_app.services.app_services import AppServices
from localai_app.services.events import Event, PromptSetsChanged

SIZE = (1060, 700)
NEW_NAME = "My prompts"


class PromptSetsDialog(QDialog):
    """`set_chosen` has the set that is to be used. What is typed into an own set is kept at once."""

    set_chosen = Signal(object)

    def __init__(self, services: AppServices, theme: ThemeState, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._sets = services.compare.prompt_sets
        self.sources = PromptSources(services, theme, self)
        self.sources.found.connect(self._keep_new)
        self.sources.failed.connect(self._show_error)
        self._theme = theme
        self._known: tuple[PromptSet, ...] = ()
        self._undo: Callable[[], PromptSet] | None = None
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        set_role(self, "sheet")
        self.setWindowTitle("Prompt sets")
        self.list = set_role(QListWidget(), "list")
        self.list.setAccessibleName("Prompt sets")
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.list.currentRowChanged.connect(self._on_row_changed)
        self.new_button = _button(theme, "New set", "plus", self._on_new_clicked)
        self.import_button = _button(theme, "Import…", "folder-open", self.sources.ask_for_file)
        self.chats_button = _button(theme, "From chats…", "chat", self.sources.ask_for_chats)
        self.undo_bar = UndoBar()
        self.undo_bar.undo_requested.connect(self._on_undo_requested)
        self.banner = ErrorBanner(theme)
        self.view = PromptSetView(theme)
        self.view.changed.connect(self._on_changed)
        self.view.renamed.connect(self._on_renamed)
        self.view.prompt_removed.connect(self._on_prompt_removed)
        self.duplicate_button = _button(theme, "Duplicate", "copy", self._on_duplicate_clicked)
        self.export_button = _button(theme, "Export…", "download", self._on_export_clicked)
        self.delete_button = _button(theme, "Delete", "trash", self._on_delete_clicked)
        self.use_button = button("Use this set", "primary")
        self.use_button.clicked.connect(self._on_use_clicked)
        self.close_button = button("Close")
        self.close_button.clicked.connect(self.close)
        self.finished.connect(self.view.flush)
        self._lay_out()
        bridge.event_published.connect(self._on_event)
        self._load()

    def showEvent(self, event: QShowEvent) -> None:
        """Take the size that is wanted, within the window."""
        parent = self.parentWidget()
        if parent is not None:
            growth = max(1.0, self._theme.sizes.body / TypeSizes().body)
            wanted = QSize(*(round(side * growth) for side in SIZE))
            self.resize(wanted.boundedTo(parent.window().size() - QSize(SPACE_6, SPACE_6)))
        super().showEvent(event)

    def _lay_out(self) -> None:
        side = set_role(QWidget(), "sidebar")
        side.setFixedWidth(SIDEBAR_WIDTH)
        column = QVBoxLayout(side)
        set_spacing(column, SPACE_2, (SPACE_3, SPACE_4, SPACE_3, SPACE_3))
        title = label("Prompt sets", "lead")
        title.setContentsMargins(SPACE_3, 0, 0, SPACE_1)
        column.addWidget(title)
        column.addWidget(self.list, 1)
        for part in (self.undo_bar, self.new_button, self.import_button, self.chats_button):
            column.addWidget(part)
        foot = QHBoxLayout()
        set_spacing(foot, SPACE_2)
        for part in (self.duplicate_button, self.export_button, self.delete_button):
            foot.addWidget(part)
        foot.addStretch(1)
        foot.addWidget(self.close_button)
        foot.addWidget(self.use_button)
        main = QVBoxLayout()
        set_spacing(main, SPACE_3, (SPACE_5, SPACE_4, SPACE_5, SPACE_4))
        main.addWidget(self.banner)
        main.addWidget(self.view, 1)
        main.addLayout(foot)
        layout = QHBoxLayout(self)
        set_spacing(layout, 0, (1, 1, 1, 1))
        layout.addWidget(side)
        layout.addLayout(main, 1)

    def keep(self, prompt_set: PromptSet, *, replaces: str | None = None) -> bool:
        """Keep a set and show it; whether that could be done."""
        try:
            kept = self._sets.save(prompt_set, replaces=replaces)
        except AppError as error:
            self._show_error(error)
            return False
        self._show(self._sets.sets(), kept.name)
        return True

    @Slot(object)
    def _keep_new(self, prompt_set: PromptSet) -> bool:
        self.view.flush()
        return self.keep(msgspec.structs.replace(prompt_set, name=self._sets.free_name(prompt_set.name), is_built_in=False))

    def _load(self) -> None:
        """Read all sets. The first time this takes a moment, for which the window does not wait."""
        shown = self.view.prompt_set
        run_in_background(
            self, self._sets.sets, lambda known: self._show(known, shown.name if shown is not None else ""), self._show_error)

    def _show(self, known: Sequence[PromptSet], name: str) -> None:
        self._known = tuple(known)
        row = next((number for number, one in enumerate(known) if one.name.casefold() == name.casefold()), 0)
        self.list.blockSignals(True)
        self.list.clear()
        for one in known:
            item = QListWidgetItem(one.name)
            item.setToolTip(f"{one.name}: {len(one.prompts)} prompts" + ("" if not one.is_built_in else ", of the program"))
            self.list.addItem(item)
        self.list.setCurrentRow(row)
        self.list.blockSignals(False)
        if known and known[row] != self.view.prompt_set:
            self._show_set(known[row])

    def _show_set(self, prompt_set: PromptSet) -> None:
        self.view.show_set(prompt_set)
        self.delete_button.setEnabled(not prompt_set.is_built_in)

    @Slot(object)
    def _show_error(self, error: AppError) -> None:
        self.banner.show_error(error, offer_remedy=False)

    @Slot(int)
    def _on_row_changed(self, row: int) -> None:
        self.view.flush()
        if 0 <= row < len(self._known):
            self.banner.clear()
            self._show_set(self._known[row])

    @Slot(object)
    def _on_changed(self, prompt_set: PromptSet) -> None:
        try:
            kept = self._sets.save(prompt_set, replaces=prompt_set.name)
        except AppError as error:
            self._show_error(error)
            return
        self.view.take_kept(kept)
        self._known = tuple(kept if one.name == kept.name else one for one in self._known)

    @Slot(str)
    def _on_renamed(self, name: str) -> None:
        shown = self.view.prompt_set
        if shown is not None and not self.keep(msgspec.structs.replace(shown, name=name), replaces=shown.name):
            self.view.name.setText(shown.name)

    @Slot(object)
    def _on_prompt_removed(self, before: PromptSet) -> None:
        self._undo = lambda: self._sets.save(before, replaces=before.name)
        self.undo_bar.offer("A prompt was removed")

    @Slot()
    def _on_undo_requested(self) -> None:
        undo, self._undo = self._undo, None
        if undo is None:
            return
        try:
            name = undo().name
            self._show(self._sets.sets(), name)
        except AppError as error:
            self._show_error(error)

    @Slot()
    def _on_new_clicked(self) -> None:
        if self._keep_new(PromptSet(name=NEW_NAME, prompts=(NEW_PROMPT,))):
            self.view.name.setFocus()
            self.view.name.selectAll()

    @Slot()
    def _on_duplicate_clicked(self) -> None:
        self.view.flush()
        shown = self.view.prompt_set
        if shown is not None:
            self._keep_new(shown)

    @Slot()
    def _on_delete_clicked(self) -> None:
        shown = self.view.prompt_set
        if shown is None or shown.is_built_in:
            return
        try:
            self.view.flush()
            removed = self._sets.remove(shown.name)
            known = self._sets.sets()
        except AppError as error:
            self._show_error(error)
            return
        row = self.list.currentRow()
        self._show(known, known[min(row, len(known) - 1)].name)
        self._undo = lambda: self._sets.save(removed)
        self.undo_bar.offer(f"{removed.name} was deleted")

    @Slot()
    def _on_export_clicked(self) -> None:
        self.view.flush()
        if self.view.prompt_set is not None:
            self.sources.ask_where_to(self.view.prompt_set)

    @Slot()
    def _on_use_clicked(self) -> None:
        self.view.flush()
        shown = self.view.prompt_set
        if shown is not None:
            self.set_chosen.emit(shown)
            self.accept()

    def _on_event(self, event: Event) -> None:
        """Somebody else may have changed the list."""
        known = [one.name for one in self._known]
        if isinstance(event, PromptSetsChanged) and known != [one.name for one in self._sets.sets()]:
            self._load()


def _button(theme: ThemeState, words: str, icon_name: str, on_clicked: Callable[[], None]) -> QPushButton:
    made = button(words)
    set_icon(made, icon_name, theme)
    made.clicked.connect(on_clicked)
    return made

"""Find a model: the catalog with filters, the Hub by words, a repository by its name or address."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, Qt, QTimer, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QListView, QVBoxLayout, QWidget

from localai_app.errors import AppError
from localai_app.gui.bridge import Bridge
from localai_app.gui.delegates.discovery_delegate import DiscoveryDelegate
from localai_app.gui.itemmodels.discovery_list_model import (
    DiscoverEntry,
    DiscoveryListModel,
    EntryRole,
    entry_of_hit,
    entry_of_row,
)
from localai_app.gui.metrics import SPACE_2, SPACE_3, SPACE_4
from localai_app.gui.models.discover_order import HUB_ORDERS, hub_order, listed
from localai_app.gui.models.filter_bar import FilterBar
from localai_app.gui.models.installed_models import InstalledModels
from localai_app.gui.models.model_detail import ModelDetail
from localai_app.gui.styling import button, divider, label, set_role, set_spacing
from localai_app.gui.tasks import BackgroundTask, run_in_background
from localai_app.gui.theme import ThemeState
from localai_app.hub.model import SearchHit
from localai_app.hub.reference import parse_model_reference
from localai_app.services.app_services import AppServices
from localai_app.services.events import Event, SettingChanged, SuggestionsChanged

LIST_WIDTH = 324
NARROW = 900
NARROW_LIST_WIDTH = 224
LARGEST_SHARE = 0.4
"""Of the width, for a list that large text widens."""
SEARCH_DELAY_MS = 350
PASTED_LENGTH = 4
"""Nobody types so many letters at once: the text was pasted or set, and a name or address in it can be opened."""
LINK_STARTS = ("http://", "https://", "hf:")


class DiscoverView(QWidget):
    """List at the left, the chosen model at the right."""

    chat_requested = Signal(str)
    page_requested = Signal(str)

    def __init__(
        self, services: AppServices, theme: ThemeState, bridge: Bridge, installed: InstalledModels,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._services = services
        self._words = ""
        self._is_reference = False
        self._hits: tuple[SearchHit, ...] = ()
        self._named: DiscoverEntry | None = None
        """A repository that was named or pasted; it stands alone in the list."""
        self._task: BackgroundTask | None = None
        self._delay = QTimer(self)
        self._delay.setSingleShot(True)
        self._delay.setInterval(SEARCH_DELAY_MS)
        self._delay.timeout.connect(self._on_paused)
        self._make_parts(theme)
        self.detail = ModelDetail(services, theme, bridge, installed)
        self.detail.chat_requested.connect(self.chat_requested)
        self.detail.page_requested.connect(self.page_requested)
        self._lay_out()
        self._say("")
        bridge.event_published.connect(self._on_event)
        self._show()

    def _make_parts(self, theme: ThemeState) -> None:
        self.filters = FilterBar(self._services.discovery.task)
        self.filters.changed.connect(self._show)
        # Remembered: suggestions follow the same task.
        self.filters.task_chosen.connect(lambda task: self._services.settings.set("task", task.value))
        self.hint = label("", "caption", wrap=True)
        self.retry_button = button("Try again", compact=True)
        self.retry_button.clicked.connect(self._search_hub)
        self.list_model = DiscoveryListModel(self)
        self.list_view = set_role(QListView(), "list")
        self.list_view.setModel(self.list_model)
        self.list_view.setItemDelegate(DiscoveryDelegate(theme, self.list_view))
        self.list_view.setAccessibleName("Models found")
        self.list_view.setMouseTracking(True)
        self.list_view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list_view.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.list_view.selectionModel().currentChanged.connect(self._on_current_changed)
        theme.changed.connect(self.list_view.doItemsLayout)

    def _lay_out(self) -> None:
        self._note = QWidget()
        note = QVBoxLayout(self._note)
        set_spacing(note, SPACE_2, (SPACE_4, SPACE_3, SPACE_4, SPACE_3))
        note.addWidget(self.hint)
        note.addWidget(self.retry_button, alignment=Qt.AlignmentFlag.AlignLeft)
        left = set_role(QWidget(), "panel")
        left.setFixedWidth(LIST_WIDTH)
        self._left = left
        self._fit_list()
        column = QVBoxLayout(left)
        set_spacing(column, 0)
        column.addWidget(self.filters)
        column.addWidget(divider())
        column.addWidget(self._note)
        column.addWidget(self.list_view, 1)
        layout = QHBoxLayout(self)
        set_spacing(layout, 0)
        layout.addWidget(left)
        layout.addWidget(divider(vertical=True))
        layout.addWidget(self.detail, 1)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """A narrow window takes from the list."""
        super().resizeEvent(event)
        self._fit_list()

    def _fit_list(self) -> None:
        is_wide = self.width() >= NARROW
        usual = LIST_WIDTH if is_wide else NARROW_LIST_WIDTH
        # Large text makes the filters wider than the list would be.
        self._left.setFixedWidth(max(usual, self.filters.set_roomy(is_wide, max(usual, round(LARGEST_SHARE * self.width())))))

    def search(self, words: str) -> None:
        """Filter the catalog at once; ask the Hub when typing pauses. A pasted name or address is opened instead."""
        words = words.strip()
        is_pasted = len(words) - len(self._words) >= PASTED_LENGTH
        self._is_reference = (is_pasted and "/" in words and " " not in words) or words.startswith(LINK_STARTS)
        self._words = words
        self._hits, self._named = (), None
        self._drop_search()
        self.filters.offer_hub_orders(bool(self._hits))
        self._say("")
        self._show()
        if words:
            self._delay.start()

    def search_now(self) -> None:
        """Do it without waiting; a repository's name or address opens it."""
        self._delay.stop()
        if "/" in self._words:
            self._open_reference()
        else:
            self._search_hub()

    def _on_paused(self) -> None:
        if self._is_reference:
            self._open_reference()
        else:
            self._search_hub()

    def _open_reference(self) -> None:
        self._drop_search()
        try:
            reference = parse_model_reference(self._words)
        except AppError as error:
            self._say(f"{error.message} {error.action}")
            return
        self._named = self._entry_named(reference.repo_id, reference.variant or "")
        self._say("")
        self._show()

    def _entry_named(self, repo_id: str, variant: str) -> DiscoverEntry:
        owner, _slash, name = repo_id.partition("/")
        for row in self._services.discovery.rows():
            if row.model.repo_id.lower() == repo_id.lower():
                return entry_of_row(row, variant)
        return DiscoverEntry(title=name or repo_id, subtitle=owner, repo_id=repo_id, variant=variant)

    def _show(self) -> None:
        """List what passes now, and keep the chosen model chosen where it is still there."""
        rows = self._services.discovery.rows()
        if self._named is not None:
            self._set_entries([self._named])
            return
        order = self.filters.order
        entries = [entry_of_row(row) for row in listed(rows, self.filters.filters(self._words), order)]
        known = {entry.repo_id for entry in entries}
        found = [entry_of_hit(hit) for hit in hub_order(self._hits, order) if hit.repo_id not in known]
        self._set_entries([*found, *entries] if order in HUB_ORDERS else [*entries, *found])
        if not rows:
            self._say("Looking at this computer…")
        elif self._task is None and not self._delay.isActive() and not self.retry_button.isVisibleTo(self):
            self._say("" if entries or self._hits else "Nothing matches. Switch off a filter, or use other words.")

    def _set_entries(self, entries: list[DiscoverEntry]) -> None:
        current = self.list_view.currentIndex().data(EntryRole.ENTRY)
        self.list_model.set_entries(entries)
        place = next((
            index for index, entry in enumerate(entries)
            if current is not None and (entry.repo_id, entry.title) == (current.repo_id, current.title)), 0)
        if not entries:
            return
        if self.list_view.currentIndex().row() != place:
            self.list_view.setCurrentIndex(self.list_model.index(place))
        elif self.detail.entry != entries[place]:
            self.detail.show_entry(entries[place])

    def _search_hub(self) -> None:
        if not self._words:
            return
        self._drop_search()
        words = self._words
        self._say("Searching the Hub…")
        self._task = run_in_background(self, lambda: self._services.hub.search(words), self._on_hits_arrived, self._on_failed)

    def _drop_search(self) -> None:
        self._delay.stop()
        if self._task is not None:
            self._task.drop()
            self._task = None

    def _on_hits_arrived(self, hits: tuple[SearchHit, ...]) -> None:
        self._task = None
        self._hits = hits
        self.filters.offer_hub_orders(bool(self._hits))
        self._say("")
        self._show()
        n_more = sum(entry.model is None for entry in self.list_model.entries)
        if n_more:
            self._say(f"{n_more} more on the Hub beside the models of the catalog" if n_more < self.list_model.rowCount()
                      else f"{n_more} found on the Hub")

    def _on_failed(self, error: AppError) -> None:
        self._task = None
        self._say(f"{error.message} {error.action}", can_retry=True)

    def _say(self, words: str, *, can_retry: bool = False) -> None:
        self.hint.setText(words)
        self.retry_button.setVisible(can_retry)
        self._note.setVisible(bool(words))

    def _on_current_changed(self, current: QModelIndex, _previous: QModelIndex) -> None:
        entry = current.data(EntryRole.ENTRY)
        if entry is not None:
            self.detail.show_entry(entry)

    def _on_event(self, event: Event) -> None:
        match event:
            case SuggestionsChanged():
                if self.hint.text() == "Looking at this computer…":
                    self._say("")
                self._show()
            case SettingChanged(key="task"):
                self.filters.show_task(self._services.discovery.task)
            case _:
                pass


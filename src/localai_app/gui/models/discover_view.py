"""Find a model: the catalog with filters, the Hub by words, a repository by its name or address."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QListView, QPushButton, QVBoxLayout, QWidget

from localai_app.catalog.model import CatalogModel
from localai_app.errors import AppError
from localai_app.fit.result import Verdict
from localai_app.gui.bridge import Bridge
from localai_app.gui.delegates.discovery_delegate import DiscoveryDelegate
from localai_app.gui.itemmodels.discovery_list_model import (
    DiscoverEntry,
    DiscoveryListModel,
    EntryRole,
    entry_of_hit,
    entry_of_row,
)
from localai_app.gui.metrics import SPACE_2, SPACE_4
from localai_app.gui.models.model_detail import ModelDetail
from localai_app.gui.styling import button, divider, label, set_role, set_spacing
from localai_app.gui.tasks import BackgroundTask, run_in_background
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.error_banner import ErrorBanner
from localai_app.hub.model import SearchHit
from localai_app.hub.reference import parse_model_reference
from localai_app.services.app_services import AppServices
from localai_app.services.events import Event, SuggestionsChanged
from localai_app.services.views import DiscoveryRow

LIST_WIDTH = 340
SEARCH_DELAY_MS = 350


class DiscoverView(QWidget):
    """List at the left, the chosen model at the right."""

    chat_requested = Signal(str)

    def __init__(self, services: AppServices, theme: ThemeState, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._words = ""
        self._task: BackgroundTask | None = None
        self.fits_chip = _chip("Fits me", checked=True)
        self.vision_chip = _chip("Vision")
        self.thinking_chip = _chip("Thinking")
        self._hint = label("", "caption", wrap=True)
        self._error = ErrorBanner(theme)
        self._error.remedy_requested.connect(lambda _remedy: self._search_hub())
        self.list_model = DiscoveryListModel(self)
        self.list_view = set_role(QListView(), "list")
        self.list_view.setModel(self.list_model)
        self.list_view.setItemDelegate(DiscoveryDelegate(theme, self.list_view))
        self.list_view.setAccessibleName("Models found")
        self.list_view.setMouseTracking(True)
        self.list_view.selectionModel().currentChanged.connect(self._on_current_changed)
        self.detail = ModelDetail(services, theme, bridge)
        self.detail.chat_requested.connect(self.chat_requested)
        self._delay = QTimer(self)
        self._delay.setSingleShot(True)
        self._delay.setInterval(SEARCH_DELAY_MS)
        self._delay.timeout.connect(self._search_hub)
        self._lay_out()
        for chip in (self.fits_chip, self.vision_chip, self.thinking_chip):
            chip.toggled.connect(lambda _checked: self._show_catalog())
        theme.changed.connect(self.list_view.viewport().update)
        bridge.event_published.connect(self._on_event)
        self._show_catalog()

    def _lay_out(self) -> None:
        chips = QHBoxLayout()
        set_spacing(chips, SPACE_2, (SPACE_4, SPACE_2, SPACE_4, SPACE_2))
        for chip in (self.fits_chip, self.vision_chip, self.thinking_chip):
            chips.addWidget(chip)
        chips.addStretch(1)
        hint = QHBoxLayout()
        set_spacing(hint, 0, (SPACE_4, SPACE_2, SPACE_4, SPACE_2))
        hint.addWidget(self._hint)
        left = set_role(QWidget(), "panel")
        left.setFixedWidth(LIST_WIDTH)
        column = QVBoxLayout(left)
        set_spacing(column, 0)
        column.addLayout(chips)
        column.addWidget(divider())
        column.addWidget(self._error)
        column.addLayout(hint)
        column.addWidget(self.list_view, 1)
        layout = QHBoxLayout(self)
        set_spacing(layout, 0)
        layout.addWidget(left)
        layout.addWidget(divider(vertical=True))
        layout.addWidget(self.detail, 1)

    def search(self, words: str) -> None:
        """Filter the catalog at once; ask the Hub when typing pauses."""
        self._words = words.strip()
        self._error.clear()
        self._show_catalog()
        if self._words:
            self._delay.start()
        else:
            self._delay.stop()

    def search_now(self) -> None:
        """Ask the Hub without waiting; a repository's name or address opens it."""
        self._delay.stop()
        if "/" in self._words:
            try:
                repo_id = parse_model_reference(self._words).repo_id
            except AppError as error:
                self._error.show_error(error)
                return
            entry = DiscoverEntry(title=repo_id.split("/")[-1], subtitle=repo_id.split("/")[0], repo_id=repo_id)
            self.list_model.set_entries([entry])
            self.list_view.setCurrentIndex(self.list_model.index(0))
            return
        self._search_hub()

    def _show_catalog(self) -> None:
        rows = [row for row in self._services.discovery.rows() if self._passes(row)]
        entries = [entry_of_row(row) for row in sorted(rows, key=_rank)]
        self._show_entries(entries)
        if not self._services.discovery.rows():
            self._hint.setText("Looking at this computer…")

    def _passes(self, row: DiscoveryRow) -> bool:
        model = row.model
        if self._words and not _matches(model, self._words):
            return False
        if self.fits_chip.isChecked() and (row.fit is None or row.fit.verdict in (Verdict.NO, Verdict.UNKNOWN)):
            return False
        if self.vision_chip.isChecked() and "vision" not in model.tasks:
            return False
        return not self.thinking_chip.isChecked() or model.thinking != "never"

    def _show_entries(self, entries: list[DiscoverEntry], hint: str = "") -> None:
        current = self.list_view.currentIndex().data(EntryRole.ENTRY)
        self.list_model.set_entries(entries)
        self._hint.setText(hint or ("" if entries else "Nothing matches. Switch off a filter, or use other words."))
        self._hint.setVisible(bool(self._hint.text()))
        place = next((index for index, entry in enumerate(entries) if current is not None and entry.repo_id == current.repo_id
                      and entry.title == current.title), 0)
        if entries:
            self.list_view.setCurrentIndex(self.list_model.index(place))

    def _search_hub(self) -> None:
        if not self._words:
            return
        if self._task is not None:
            self._task.drop()
        words = self._words
        self._hint.setText("Searching the Hub…")
        self._hint.show()
        self._task = run_in_background(self, lambda: self._services.hub.search(words), self._on_hits_arrived, self._on_failed)

    def _on_hits_arrived(self, hits: tuple[SearchHit, ...]) -> None:
        known = [entry_of_row(row) for row in sorted(self._services.discovery.rows(), key=_rank) if self._passes(row)]
        listed = {entry.repo_id for entry in known}
        found = [entry_of_hit(hit) for hit in hits if hit.repo_id not in listed]
        noun = "repository" if len(found) == 1 else "repositories"
        self._show_entries([*known, *found], f"{len(found)} more {noun} on the Hub" if found else "")

    def _on_failed(self, error: AppError) -> None:
        self._hint.hide()
        self._error.show_error(error)

    def _on_current_changed(self, current: QModelIndex, _previous: QModelIndex) -> None:
        entry = current.data(EntryRole.ENTRY)
        if entry is not None:
            self.detail.show_entry(entry)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, SuggestionsChanged) and not self._words:
            self._show_catalog()


def _chip(text: str, *, checked: bool = False) -> QPushButton:
    chip = button(text, "chip")
    chip.setCheckable(True)
    chip.setChecked(checked)
    return chip


def _matches(model: CatalogModel, words: str) -> bool:
    text = f"{model.name} {model.publisher} {model.family} {model.repo_id}".lower()
    return all(word in text for word in words.lower().split())


def _rank(row: DiscoveryRow) -> tuple[bool, float]:
    """What runs here first, then by quality."""
    runs = row.fit is not None and row.fit.verdict not in (Verdict.NO, Verdict.UNKNOWN)
    return (not runs, -row.model.quality)

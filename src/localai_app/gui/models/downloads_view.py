"""The downloads that are not finished."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from localai_app.errors import Remedy
from localai_app.gui.bridge import Bridge
from localai_app.gui.metrics import SPACE_3, SPACE_4, SPACE_5
from localai_app.gui.models.download_progress import DownloadProgress
from localai_app.gui.models.reveal import open_model_page
from localai_app.gui.models.scrolled_column import scrolled_column
from localai_app.gui.styling import set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.badge import Badge
from localai_app.gui.widgets.elided_label import ElidedLabel
from localai_app.gui.widgets.empty_state import EmptyState
from localai_app.services.app_services import AppServices
from localai_app.services.events import DownloadChanged, DownloadFinished, Event
from localai_app.services.views import DownloadView


class DownloadCard(QFrame):
    """One download: what it is, how far it is, what to do if it failed."""

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        set_role(self, "card")
        self._name = ElidedLabel("", "strong")
        self._label = Badge()
        self._owner = ElidedLabel("", "caption")
        self.progress = DownloadProgress(theme)
        title = QHBoxLayout()
        set_spacing(title, SPACE_3)
        for part in (self._name, self._label, self._owner):
            title.addWidget(part)
        title.addStretch(1)
        layout = QVBoxLayout(self)
        set_spacing(layout, SPACE_3, (SPACE_5, SPACE_4, SPACE_5, SPACE_3))
        layout.addLayout(title)
        layout.addWidget(self.progress)

    def show_view(self, view: DownloadView) -> None:
        """Show the download as it stands."""
        owner, _slash, name = view.repo_id.partition("/")
        self._name.setText(name or view.repo_id)
        self._owner.setText(f"from {owner}")
        self._label.show_text(view.label, "neutral")
        self._label.setVisible(bool(view.label))
        self.setAccessibleName(f"Download of {name or view.repo_id} {view.label}".rstrip())
        self.progress.show_view(view)


class DownloadsView(QWidget):
    """A card for each unfinished download; finished ones are found under Installed."""

    suggestions_requested = Signal()
    page_requested = Signal(str)
    model_requested = Signal(str)
    """A repository, to choose another variant of it."""
    count_changed = Signal(int)

    def __init__(self, services: AppServices, theme: ThemeState, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._theme = theme
        self._cards: dict[int, DownloadCard] = {}
        self.empty = EmptyState(
            theme, "download", "Nothing is being downloaded",
            "A download goes on from where it was after a restart or a lost connection.", "See suggestions")
        self.empty.button_pressed.connect(self.suggestions_requested)
        self._scroll = QScrollArea()
        self._list = scrolled_column(self._scroll)
        self._list.addStretch(1)
        layout = QVBoxLayout(self)
        set_spacing(layout, 0)
        layout.addWidget(self._scroll)
        layout.addWidget(self.empty)
        bridge.event_published.connect(self._on_event)
        self.refresh()

    @property
    def cards(self) -> tuple[DownloadCard, ...]:
        """The cards in order."""
        return tuple(self._cards.values())

    def refresh(self) -> None:
        """Show the downloads as they stand; cards of running ones stay the same widgets."""
        views = {view.id: view for view in self._services.downloads.downloads()}
        for gone in [download_id for download_id in self._cards if download_id not in views]:
            card = self._cards.pop(gone)
            self._list.removeWidget(card)
            card.hide()
            card.deleteLater()
        for view in views.values():
            if view.id not in self._cards:
                self._add_card(view.id)
            self._cards[view.id].show_view(view)
        self.empty.setVisible(not views)
        self._scroll.setVisible(bool(views))
        self.count_changed.emit(len(views))

    def _add_card(self, download_id: int) -> None:
        card = DownloadCard(self._theme)
        card.progress.pause_requested.connect(self._services.downloads.pause)
        card.progress.resume_requested.connect(self._services.downloads.resume)
        card.progress.cancel_requested.connect(self._services.downloads.cancel)
        card.progress.remedy_requested.connect(lambda remedy: self._on_remedy_requested(remedy, download_id))
        self._list.insertWidget(len(self._cards), card)
        self._cards[download_id] = card

    def _on_remedy_requested(self, remedy: Remedy, download_id: int) -> None:
        view = self._services.downloads.get(download_id)
        if remedy is Remedy.OPEN_MODEL_PAGE and view is not None:
            open_model_page(self._services.hub, view.repo_id)
        elif remedy is Remedy.CHOOSE_MODEL and view is not None:
            self.model_requested.emit(view.repo_id)
        else:
            self.page_requested.emit("settings")

    def _on_event(self, event: Event) -> None:
        if isinstance(event, DownloadChanged | DownloadFinished):
            self.refresh()

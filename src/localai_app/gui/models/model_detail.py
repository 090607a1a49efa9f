"""One model in full: what it is, where its figures come from, its variants and why they fit or not."""

from __future__ import annotations

from PySide6.QtCore import QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QHBoxLayout, QScrollArea, QStackedWidget, QVBoxLayout, QWidget

from localai_app.errors import AppError
from localai_app.gui.bridge import Bridge
from localai_app.gui.itemmodels.discovery_list_model import DiscoverEntry
from localai_app.gui.metrics import SPACE_1, SPACE_4, SPACE_6
from localai_app.gui.models.variants_table import VariantsTable
from localai_app.gui.models.why_card import WhyCard
from localai_app.gui.styling import button, label, set_role, set_spacing
from localai_app.gui.tasks import BackgroundTask, run_in_background
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.empty_state import EmptyState
from localai_app.gui.widgets.error_banner import ErrorBanner
from localai_app.hub.model import Repo
from localai_app.services.app_services import AppServices
from localai_app.services.events import DownloadChanged, Event, LibraryChanged, SuggestionsChanged
from localai_app.services.views import VariantRow
from localai_app.units import format_count

PREFERRED_LABEL = "Q4_K_M"


class ModelDetail(QStackedWidget):
    """Shows an entry of the Discover list. Catalog entries appear at once; others are asked from the Hub."""

    chat_requested = Signal(str)

    def __init__(self, services: AppServices, theme: ThemeState, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._entry: DiscoverEntry | None = None
        self._task: BackgroundTask | None = None
        self._empty = EmptyState(
            theme, "models", "Choose a model", "Its variants and what they need here appear in this place.")
        self._name = label("", "heading", wrap=True, selectable=True)
        self._facts = label("", "muted", wrap=True)
        self._quality = label("", "caption", wrap=True)
        self._card_button = button("Model card")
        self._card_button.clicked.connect(self._on_card_clicked)
        self._error = ErrorBanner(theme)
        self._error.remedy_requested.connect(lambda _remedy: self._ask_hub())
        self.table = VariantsTable()
        self.table.download_requested.connect(self._on_download_requested)
        self.table.chat_requested.connect(self.chat_requested)
        self._why = WhyCard(theme)
        self.addWidget(self._empty)
        self.addWidget(self._lay_out())
        bridge.event_published.connect(self._on_event)

    def _lay_out(self) -> QScrollArea:
        words = QVBoxLayout()
        set_spacing(words, SPACE_1)
        for line in (self._name, self._facts, self._quality):
            words.addWidget(line)
        head = QHBoxLayout()
        set_spacing(head, SPACE_4)
        head.addLayout(words, 1)
        top = QVBoxLayout()
        top.addWidget(self._card_button)
        top.addStretch(1)
        head.addLayout(top)
        content = set_role(QWidget(), "page")
        layout = QVBoxLayout(content)
        set_spacing(layout, SPACE_4, (SPACE_6, SPACE_6, SPACE_6, SPACE_6))
        layout.addLayout(head)
        for part in (self._error, self.table, self._why):
            layout.addWidget(part)
        layout.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setWidget(content)
        return scroll

    def show_entry(self, entry: DiscoverEntry) -> None:
        """Show another model."""
        self._entry = entry
        self._error.clear()
        self._name.setText(entry.title)
        self._quality.setText("")
        self.setCurrentIndex(1)
        if entry.model is None:
            self._facts.setText(entry.repo_id)
            self._show_rows(())
            self._ask_hub()
            return
        model = entry.model
        gate = " Its licence has to be accepted on the Hub first." if model.gated else ""
        base = " A base model: it continues text and does not chat." if model.is_base else ""
        context = f" {format_count(model.geometry.ctx_train)} tokens of context." if model.geometry is not None else ""
        summary = model.summary.rstrip(".")
        self._facts.setText(f"{summary}.{context} {model.publisher}, {model.license}.{gate}{base}")
        kind = "estimated" if model.quality_is_estimated else "from published scores"
        self._quality.setText(f"Quality {model.quality:.0f} of 100, {kind}: {model.quality_source}")
        self._show_rows(self._services.discovery.variants(model))

    def _ask_hub(self) -> None:
        if self._entry is None:
            return
        self._error.clear()
        if self._task is not None:
            self._task.drop()
        repo_id = self._entry.repo_id
        self._facts.setText(f"{repo_id} · asking the Hub…")
        self._task = run_in_background(
            self, lambda: self._services.estimate.fit_repo_variants(repo_id), self._on_repo_arrived, self._on_hub_failed)

    def _on_repo_arrived(self, answer: tuple[Repo, tuple[VariantRow, ...]]) -> None:
        repo, rows = answer
        if self._entry is None or repo.repo_id != self._entry.repo_id:
            return
        facts = [repo.repo_id, repo.license, f"{format_count(repo.downloads)} downloads"]
        self._facts.setText(" · ".join(part for part in facts if part))
        self._show_rows(rows)

    def _on_hub_failed(self, error: AppError) -> None:
        self._facts.setText(self._entry.repo_id if self._entry is not None else "")
        self._error.show_error(error)

    def _show_rows(self, rows: tuple[VariantRow, ...]) -> None:
        recommended = self._recommended(rows)
        self.table.setVisible(bool(rows))
        self.table.show_rows(rows, recommended)
        chosen = next((row for row in rows if row.label == recommended and row.fit is not None), None)
        self._why.setVisible(chosen is not None)
        if chosen is not None and chosen.fit is not None:
            self._why.show_fit(chosen.label, chosen.fit)
        self._show_states()

    def _recommended(self, rows: tuple[VariantRow, ...]) -> str:
        """The variant that the list recommends for this machine, else the usual one."""
        if self._entry is not None and self._entry.model is not None:
            for row in self._services.discovery.rows():
                if row.model.id == self._entry.model.id and row.file is not None:
                    return row.file.label
        labels = [row.label for row in rows]
        return PREFERRED_LABEL if PREFERRED_LABEL in labels else (labels[0] if labels else "")

    def _show_states(self) -> None:
        if self._entry is None:
            return
        repo_id = self._entry.repo_id
        self.table.show_states(
            {view.label: view for view in self._services.downloads.downloads() if view.repo_id == repo_id},
            {model.label: model.key for model in self._services.library.models() if model.repo_id == repo_id})

    def _on_event(self, event: Event) -> None:
        match event:
            case DownloadChanged() | LibraryChanged() if self.isVisible():
                self._show_states()
            case SuggestionsChanged() if self._entry is not None and self._entry.model is not None:
                self._show_rows(self._services.discovery.variants(self._entry.model))
            case _:
                pass

    def _on_download_requested(self, name: str) -> None:
        if self._entry is None:
            return
        self._error.clear()
        try:
            self._services.downloads.start(self._entry.repo_id, name)
        except AppError as error:
            self._error.show_error(error)
        self._show_states()

    def _on_card_clicked(self) -> None:
        if self._entry is not None:
            QDesktopServices.openUrl(QUrl(f"{self._services.hub.client().endpoint}/{self._entry.repo_id}"))

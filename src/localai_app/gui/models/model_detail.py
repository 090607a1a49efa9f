"""One model in full: what it is, where its figures come from, its variants and why they fit or not."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QScrollArea, QStackedWidget, QVBoxLayout, QWidget

from localai_app import errors
from localai_app.errors import AppError, Remedy
from localai_app.gui.bridge import Bridge
from localai_app.gui.itemmodels.discovery_list_model import DiscoverEntry
from localai_app.gui.metrics import SPACE_1, SPACE_4, SPACE_6
from localai_app.gui.models.context_card import ContextCard
from localai_app.gui.models.hub_question import HubQuestion
from localai_app.gui.models.installed_models import InstalledModels
from localai_app.gui.models.reveal import open_model_page
from localai_app.gui.models.scores_card import ScoresCard
from localai_app.gui.models.variant_choice import label_of_list, recommended_label
from localai_app.gui.models.variants_table import VariantsTable
from localai_app.gui.models.why_card import WhyCard
from localai_app.gui.models.wording import facts_of_model, facts_of_repo, no_file_words, note_of_rows
from localai_app.gui.styling import button, label, set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.empty_state import EmptyState
from localai_app.gui.widgets.error_banner import ErrorBanner
from localai_app.hub.model import Repo
from localai_app.services.app_services import AppServices
from localai_app.services.events import DownloadChanged, Event, SuggestionsChanged, VariantsRefined
from localai_app.services.views import VariantRow
from localai_app.units import format_gib

UNKNOWN_CTX_TRAIN = 131_072
CONTENT_WIDTH = 1040
NARROW = 560
CATALOG_NOTE = "Sizes from the catalog."
OFFLINE_NOTE = "Sizes from the catalog; the Hub was not reached."
HUB_NOTE = "Sizes as published on the Hub."


class ModelDetail(QStackedWidget):
    """Shows an entry of the Discover list: of the catalog at once, and corrected by the Hub; any other when the Hub answers."""

    chat_requested = Signal(str)
    page_requested = Signal(str)

    def __init__(
        self, services: AppServices, theme: ThemeState, bridge: Bridge, installed: InstalledModels,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._services = services
        self._installed = installed
        self._entry: DiscoverEntry | None = None
        self._rows: tuple[VariantRow, ...] = ()
        self._hub = HubQuestion(services.variants, self)
        self._hub.answered.connect(self._on_repo_arrived)
        self._hub.failed.connect(self._on_hub_failed)
        self._make_parts(theme)
        self.addWidget(self._empty)
        self.addWidget(self._lay_out())
        bridge.event_published.connect(self._on_event)
        installed.changed.connect(self._show_states)

    def _make_parts(self, theme: ThemeState) -> None:
        self._empty = EmptyState(
            theme, "models", "Choose a model", "Its variants and what they need here appear in this place.")
        self._name = label("", "heading", wrap=True, selectable=True)
        self._facts = label("", "muted", wrap=True, selectable=True)
        self._card_button = button("Model card")
        self._card_button.setToolTip("Open the model's page on the Hub in the browser")
        self._card_button.clicked.connect(self._on_card_clicked)
        self._error = ErrorBanner(theme)
        self._error.remedy_requested.connect(self._on_remedy_requested)
        self.context = ContextCard()
        self.context.request_changed.connect(lambda _request: self._compute())
        self.table = VariantsTable(theme)
        self.table.download_requested.connect(self._on_download_requested)
        self.table.chat_requested.connect(self.chat_requested)
        self.table.variant_chosen.connect(self._explain)
        self.why = WhyCard(theme)
        self.scores = ScoresCard(theme)

    def _lay_out(self) -> QScrollArea:
        words = QVBoxLayout()
        set_spacing(words, SPACE_1)
        words.addWidget(self._name)
        words.addWidget(self._facts)
        head = QHBoxLayout()
        set_spacing(head, SPACE_4)
        head.addLayout(words, 1)
        head.addWidget(self._card_button, alignment=Qt.AlignmentFlag.AlignTop)
        column = QWidget()
        column.setMaximumWidth(CONTENT_WIDTH)
        content = set_role(QWidget(), "page")
        row = self._margins = QHBoxLayout(content)
        set_spacing(row, 0, (SPACE_6, SPACE_6, SPACE_6, SPACE_6))
        row.addWidget(column, 1000)
        row.addStretch(1)
        layout = QVBoxLayout(column)
        set_spacing(layout, SPACE_4)
        layout.addLayout(head)
        for part in (self._error, self.context, self.table, self.why, self.scores):
            layout.addWidget(part)
        layout.addStretch(1)
        scroll = self._scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setWidget(content)
        return scroll

    @property
    def entry(self) -> DiscoverEntry | None:
        """What is shown."""
        return self._entry

    def show_entry(self, entry: DiscoverEntry) -> None:
        """Show another model; the same one again only brings its figures up to date."""
        is_other = self._entry is None or (entry.repo_id, entry.title) != (self._entry.repo_id, self._entry.title)
        self._entry = entry
        self.setCurrentIndex(1)
        if not is_other:
            self._compute()
            return
        self._hub.drop()
        self._services.variants.leave()
        self._scroll.verticalScrollBar().setValue(0)
        self._error.clear()
        self._name.setText(entry.title)
        self._card_button.setVisible(bool(entry.repo_id))
        self._card_button.setAccessibleName(f"Model card of {entry.title}")
        self.scores.setVisible(entry.model is not None)
        self._rows = ()
        if entry.model is not None:
            self._facts.setText(facts_of_model(entry.model))
            self.scores.show_model(entry.model)
        else:
            self._facts.setText(entry.repo_id)
        self._show_limits()
        self._compute()
        repo = self._hub.answer(entry.repo_id)
        if repo is not None:
            self._on_repo_arrived(repo)
        elif self.isVisible():
            self._ask()

    def _show_limits(self) -> None:
        """Contexts up to what the model was trained for; a variant that runs tells it where the catalog does not."""
        entry, ctx_train = self._entry, UNKNOWN_CTX_TRAIN
        if entry is not None and entry.model is not None and entry.model.geometry is not None:
            ctx_train = entry.model.geometry.ctx_train
        else:
            longest = [max(row.fit.max_ctx.values(), default=0) for row in self._rows if row.fit is not None]
            ctx_train = max(longest, default=0) or UNKNOWN_CTX_TRAIN
        self.context.show_limits(self._services.estimate.default_request(), ctx_train)

    def _compute(self) -> None:
        """Fit every variant for the chosen context from what is known; takes milliseconds, so it follows the slider."""
        entry = self._entry
        if entry is None:
            return
        repo, request = self._hub.answer(entry.repo_id), self.context.request
        try:
            if repo is not None:
                self._services.variants.follow(request)
                rows = self._services.variants.rows(repo, self._services.discovery.request(request), entry.model)
            else:
                rows = self._services.discovery.variants(entry.model, request) if entry.model is not None else ()
        except AppError as error:
            self._error.show_error(error)
            return
        self._show_rows(rows)
        if repo is not None and entry.model is None:
            self._show_limits()

    def _show_rows(self, rows: tuple[VariantRow, ...]) -> None:
        before = self.table.chosen if self._rows else ""
        self._rows = tuple(sorted(rows, key=lambda row: -row.size_bytes))
        labels = [row.label for row in self._rows]
        recommended = recommended_label(self._rows, label_of_list(self._services.discovery.rows(), self._entry))
        wanted = self._entry.variant if self._entry is not None else ""
        chosen = next((one for one in (before, wanted, recommended) if one in labels), "")
        for part in (self.context, self.table):
            part.setVisible(bool(labels))
        self.table.show_rows(self._rows, recommended, chosen)
        self._show_note()
        self._explain(chosen)
        self._show_states()

    def _show_note(self, words: str = "") -> None:
        entry = self._entry
        if entry is None:
            return
        if words:
            self.table.show_note(words)
        elif (repo := self._hub.answer(entry.repo_id)) is not None:
            problem = self._services.variants.problem(repo)
            self.table.show_note(note_of_rows(HUB_NOTE, self._rows, problem))
            if problem is not None and all(row.fit is None for row in self._rows):
                self._error.show_error(problem)
        elif not self._rows and entry.model is not None:
            self._facts.setText(f"{facts_of_model(entry.model)} {no_file_words(entry.model)}".strip())
        elif self.table.note not in (OFFLINE_NOTE,):
            self.table.show_note(CATALOG_NOTE)

    def _explain(self, name: str) -> None:
        """Show the sum behind one variant's verdict."""
        row = next((row for row in self._rows if row.label == name), None)
        fit = row.fit if row is not None else None
        repo = self._hub.answer(self._entry.repo_id) if self._entry is not None else None
        self.why.setVisible(fit is not None)
        if fit is not None and repo is not None and self._entry is not None:
            request = self._services.discovery.request(self.context.request)
            fit = self._services.variants.explained(repo, name, fit, request, self._entry.model)
        if fit is not None and self._entry is not None:
            place = f"detail {self._entry.repo_id}:{name}"
            self.why.show_fit(name, self._services.discovery.with_change(place, fit, self.context.request))
            self.context.show_taken(format_gib(fit.kv_bytes) if fit.total_bytes else "", fit.ctx)

    def _show_states(self) -> None:
        if self._entry is None:
            return
        repo_id = self._entry.repo_id
        downloads = {view.label: view for view in self._services.downloads.downloads() if view.repo_id == repo_id}
        self.table.show_states(downloads, self._installed.keys_of(repo_id), can_download=bool(repo_id))

    def _ask(self, *, at_once: bool = False) -> None:
        """Ask the Hub for the variants that it has: at once where nothing else is known of them."""
        entry = self._entry
        if entry is None or not entry.repo_id:
            return
        if entry.model is None:
            self._error.clear()
            self._facts.setText(f"{entry.repo_id} · asking the Hub…")
        if at_once or entry.model is None:
            self._hub.ask(entry.repo_id)
        else:
            self._hub.ask_soon(entry.repo_id)

    def _on_repo_arrived(self, repo: Repo) -> None:
        self._services.variants.open(repo, self.context.request, self.table.chosen)
        self._compute()
        if self._entry is not None and self._entry.model is None:
            self._facts.setText(facts_of_repo(repo))

    def _on_hub_failed(self, error: AppError) -> None:
        """A repository that only the Hub knows needs an error; the catalog's figures stay, with a word where they are from."""
        if self._entry is None:
            return
        if self._entry.model is None:
            self._facts.setText(self._entry.repo_id)
            self._error.show_error(error)
        elif error.spec is errors.HUB_UNREACHABLE:
            self._show_note(OFFLINE_NOTE)
        else:
            self._show_note(f"{CATALOG_NOTE} {error.message} {error.action}")

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Give the content more of a narrow window."""
        super().resizeEvent(event)
        side = SPACE_6 if self.width() >= NARROW else SPACE_4
        set_spacing(self._margins, 0, (side, SPACE_6, side, SPACE_6))

    def showEvent(self, event: QShowEvent) -> None:
        """Ask the Hub for what was chosen while this was not on the screen."""
        super().showEvent(event)
        if self._entry is not None and self._hub.answer(self._entry.repo_id) is None and self.table.note != OFFLINE_NOTE:
            self._ask()

    def _on_event(self, event: Event) -> None:
        match event:
            case DownloadChanged() if self.isVisible():
                self._show_states()
            case SuggestionsChanged() | VariantsRefined():
                self._compute()
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

    def _on_remedy_requested(self, remedy: Remedy) -> None:
        if remedy is Remedy.OPEN_MODEL_PAGE:
            self._on_card_clicked()
        elif remedy in (Remedy.OPEN_SETTINGS, Remedy.CHOOSE_FOLDER):
            self.page_requested.emit("settings")
        else:
            self._ask(at_once=True)

    def _on_card_clicked(self) -> None:
        if self._entry is not None:
            open_model_page(self._services.hub, self._entry.repo_id)

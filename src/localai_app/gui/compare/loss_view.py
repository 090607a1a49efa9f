"""What does the smaller file lose? Variants of one model measured against a reference, and smaller files made."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from localai_app.errors import AppError, Remedy
from localai_app.gui.bridge import Bridge
from localai_app.gui.compare.loss_feed import LossFeed
from localai_app.gui.compare.loss_results import LossResults
from localai_app.gui.compare.loss_setup import LossSetup
from localai_app.gui.compare.loss_wording import failed_words, made_words, making_words, measuring_words
from localai_app.gui.compare.progress_row import ProgressRow
from localai_app.gui.metrics import SPACE_3, SPACE_4, SPACE_6, SPACE_8
from localai_app.gui.performance.cards import Card
from localai_app.gui.styling import button, label, set_spacing
from localai_app.gui.tasks import run_in_background
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.empty_state import EmptyState
from localai_app.gui.widgets.error_banner import ErrorBanner
from localai_app.gui.widgets.page_parts import centered_column
from localai_app.services.app_services import AppServices
from localai_app.services.compare.loss_state import LossStatus
from localai_app.services.compare.loss_words import measurements
from localai_app.services.events import Event, InstalledFitsChanged, LossChanged

COLUMN_WIDTH = 1000
QUESTION = "What does the smaller file lose?"
EXPLANATION = (
    "Both files read the same text, and at every token their probabilities for the next one are compared. That tells more "
    "than perplexity alone.")


class LossView(QWidget):
    """Choices and progress in one card, the result in another."""

    page_requested = Signal(str)
    model_requested = Signal(str)
    """The repository whose variants are to be seen."""

    def __init__(self, services: AppServices, theme: ThemeState, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services, self._theme = services, theme
        self._losses = services.compare.losses
        self._wanted_key, self._wants_dialog = "", False
        self._told: set[AppError] = set()
        """Errors that were seen: one that was dismissed stays away."""
        self._shown_state: tuple[LossStatus, int] | None = None
        self.empty = EmptyState(
            theme, "compare", "No model on this computer yet",
            "With two variants of one model you see what the smaller file loses.", "Find a model")
        self.empty.button_pressed.connect(lambda: self.page_requested.emit("models"))
        self.empty.hide()
        self.banner = ErrorBanner(theme)
        self.banner.remedy_requested.connect(lambda _remedy: self.page_requested.emit("models"))
        self.setup = LossSetup(services, theme)
        self.start_button = button("Measure", "primary")
        self.start_button.clicked.connect(self._on_start_clicked)
        self.progress = ProgressRow(theme, "Progress of the measurement")
        self.progress.stop_requested.connect(self._losses.stop)
        self.making = ProgressRow(theme, "Progress of the smaller file")
        self.making.stop_requested.connect(self._losses.requantizing.stop)
        self.made = label("", "body", wrap=True, selectable=True)
        self.results = LossResults(theme)
        self.results.forget_requested.connect(self._on_forget_requested)
        self._lay_out()
        self.feed = LossFeed(services, bridge, self)
        self._told.update(error for error, _variant in self._errors())
        self.feed.changed.connect(self._on_feed_changed)
        self.feed.failed.connect(self._show_error)
        self.setup.changed.connect(self._show_buttons)
        self.setup.failed.connect(self._show_error)
        self.setup.requantize_requested.connect(self.open_requantize)
        self.setup.download_requested.connect(self._on_download_requested)
        bridge.event_published.connect(self._on_event)
        self._show_state()

    def show_model(self, model_key: str, *, requantize: bool = False) -> None:
        """Ask what the files of an installed model lose, or what is to be made of it."""
        self._wanted_key, self._wants_dialog = model_key, requantize
        self._follow_wish()

    def open_requantize(self, model_key: str) -> None:
        """Choose what is to be made, then make it."""
        from localai_app.gui.compare.requantize_dialog import RequantizeDialog

        dialog = RequantizeDialog(self._services, self._theme, self.feed.models, model_key, self)
        dialog.accepted.connect(lambda: self._make(dialog.source_key, dialog.target_label))
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def _lay_out(self) -> None:
        card = Card("Smaller files", QUESTION)
        start = QHBoxLayout()
        set_spacing(start, SPACE_4)
        start.addWidget(label(EXPLANATION, "caption", wrap=True), 1)
        start.addWidget(self.start_button)
        card.body.addWidget(self.setup)
        for row in (self.banner, self.progress, self.making, self.made):
            card.body.addWidget(row)
        card.body.addLayout(start)
        column = QVBoxLayout()
        column.setSpacing(SPACE_4)
        column.addWidget(card)
        column.addWidget(self.results)
        column.addStretch(1)
        self._scroll = QScrollArea()
        centered_column(self._scroll, column, COLUMN_WIDTH, (SPACE_6, SPACE_3, SPACE_6, SPACE_8))
        layout = QVBoxLayout(self)
        set_spacing(layout, 0)
        layout.addWidget(self.empty, 1)
        layout.addWidget(self._scroll, 1)

    @Slot()
    def _on_feed_changed(self) -> None:
        self.setup.show_choices(self.feed.choices, self.feed.facts)
        self._show_results()
        self._follow_wish()

    def _follow_wish(self) -> None:
        """Do what another page asked for, once what is installed is known."""
        if not self._wanted_key or not self.feed.is_read:
            return
        key, self._wanted_key = self._wanted_key, ""
        self.setup.choose(key)
        if self._wants_dialog:
            self.open_requantize(key)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, LossChanged):
            self._show_state()
        elif isinstance(event, InstalledFitsChanged):
            self.setup.show_expected()

    def _show_state(self) -> None:
        state, making = self._losses.state, self._losses.requantizing.state
        self.progress.show_progress(
            state.fraction if state.is_running else None, measuring_words(state, self.feed.title_of))
        self.making.show_progress(making.fraction if making.is_running else None, making_words(making))
        self.made.setText(made_words(making))
        self.made.setVisible(bool(self.made.text()))
        self.setup.set_locked(state.is_running)
        self._show_buttons()
        if self._shown_state != (state.status, len(state.results)):
            is_news = self._shown_state is not None and len(state.results) > 0
            self._shown_state = (state.status, len(state.results))
            self._show_results(newest=is_news)
        if state.is_running:
            self.banner.clear()
        for error, variant in self._errors():
            if error not in self._told:
                self._told.add(error)
                self._show_error(failed_words(error, variant))

    def _errors(self) -> list[tuple[AppError, str]]:
        """What went wrong with the last measurement, each with what its variant is called, and with what was made last."""
        state, making = self._losses.state, self._losses.requantizing.state
        found = [(failure.error, self.feed.title_of(failure.variant_key)) for failure in state.failures]
        if state.error is not None and not found:
            found.append((state.error, ""))
        if making.error is not None:
            found.append((making.error, ""))
        return found

    @Slot()
    def _show_buttons(self) -> None:
        is_measuring, is_making = self._losses.state.is_running, self._losses.requantizing.state.is_running
        self.start_button.setVisible(not is_measuring)
        self.start_button.setEnabled(self.setup.request is not None and not is_making)
        self.setup.requantize_button.setEnabled(not is_measuring and not is_making)

    def _show_results(self, *, newest: bool = False) -> None:
        """Read what is kept. Not at every step of a measurement: there may be hundreds."""
        try:
            results = self._losses.results()
        except AppError as error:
            self._show_error(error)
            return
        found = measurements(results)
        self.setup.show_earlier(results)
        self.results.show_measurements(found, self.feed.facts, newest=newest)
        is_empty = self.feed.is_read and not self.feed.choices and not found
        self.empty.setVisible(is_empty)
        self._scroll.setVisible(not is_empty)

    def _show_error(self, error: AppError) -> None:
        self.banner.show_error(error, offer_remedy=error.remedy is Remedy.CHOOSE_MODEL)

    @Slot()
    def _on_start_clicked(self) -> None:
        request = self.setup.request
        if request is None:
            return
        self.banner.clear()
        try:
            self._losses.start(request.reference_key, request.variant_keys, request.text, max_tokens=request.max_tokens)
        except AppError as error:
            self._show_error(error)

    def _make(self, source_key: str, target_label: str) -> None:
        self.banner.clear()
        run_in_background(
            self, lambda: self._losses.requantizing.start(source_key, target_label), lambda _plan: None, self._show_error)

    def _on_forget_requested(self, ids: Sequence[int]) -> None:
        try:
            for loss_id in ids:
                self._losses.forget(loss_id)
        except AppError as error:
            self._show_error(error)
        self._show_results()

    def _on_download_requested(self, repo_id: str) -> None:
        if repo_id:
            self.model_requested.emit(repo_id)
        else:
            self.page_requested.emit("models")

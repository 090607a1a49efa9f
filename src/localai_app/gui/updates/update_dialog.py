"""A newer version: what is new in it, how large it is, and the buttons that download it and hand it to the system."""

from __future__ import annotations

from PySide6.QtCore import QUrl, Signal, Slot
from PySide6.QtWidgets import QDialog, QFrame, QHBoxLayout, QProgressBar, QScrollArea, QVBoxLayout, QWidget

from localai_app.errors import AppError
from localai_app.gui.bridge import Bridge
from localai_app.gui.chat.lexer_finder import LexerFinder
from localai_app.gui.chat.links import ask_to_open
from localai_app.gui.chat.markdown_view import MarkdownView
from localai_app.gui.metrics import SPACE_2, SPACE_4, SPACE_6
from localai_app.gui.styling import button, label, set_role, set_spacing
from localai_app.gui.tasks import run_in_background
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.error_banner import ErrorBanner
from localai_app.services.events import UpdatesChanged
from localai_app.services.update_install import InstallStarted, plan_words
from localai_app.services.update_steps import UpdateState, UpdateStatus
from localai_app.services.update_words import offer_facts, progress_words
from localai_app.services.updates import UpdateService

SIZE = (620, 520)
NO_NOTES = "The publishers wrote no notes for this version."


class UpdateDialog(QDialog):
    """Nothing happens in it but by its buttons. `said` carries a sentence for later; `quit_requested` ends the program."""

    said = Signal(str)
    quit_requested = Signal()

    def __init__(self, updates: UpdateService, theme: ThemeState, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._updates = updates
        self._shown_version = ""
        self._is_installing = False
        set_role(self, "sheet")
        self.setWindowTitle("Newer version")
        self._title = label("", "heading", wrap=True)
        self._facts = label("", "muted", wrap=True)
        self.notes = MarkdownView(theme, LexerFinder(self))
        self.notes.link_clicked.connect(self._on_link_clicked)
        self.banner = ErrorBanner(theme)
        self.banner.close_button.hide()
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setRange(0, 1000)
        self._bar.setAccessibleName("Download")
        self._plan = label("", "muted", wrap=True, selectable=True)
        self.skip_button = button("Skip this version", "ghost")
        self.skip_button.clicked.connect(self._on_skip_clicked)
        self.later_button = button("Not now")
        self.later_button.clicked.connect(self._on_later_clicked)
        self.cancel_button = button("Cancel download")
        self.cancel_button.clicked.connect(updates.cancel)
        self.go_button = button("", "primary")
        self.go_button.clicked.connect(self._on_go_clicked)
        self._lay_out()
        self._fit(theme, parent)
        bridge.event_published.connect(self._on_event)
        self._show()

    def _lay_out(self) -> None:
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setAccessibleName("What is new")
        holder = QWidget()
        column = QVBoxLayout(holder)
        set_spacing(column, 0, (0, 0, SPACE_2, 0))
        column.addWidget(self.notes)
        column.addStretch(1)
        self._scroll.setWidget(holder)
        buttons = QHBoxLayout()
        set_spacing(buttons, SPACE_2)
        buttons.addWidget(self.skip_button)
        buttons.addStretch(1)
        for part in (self.later_button, self.cancel_button, self.go_button):
            buttons.addWidget(part)
        layout = QVBoxLayout(self)
        set_spacing(layout, SPACE_4, (SPACE_6, SPACE_6, SPACE_6, SPACE_6))
        head = QVBoxLayout()
        set_spacing(head, SPACE_2)
        head.addWidget(self._title)
        head.addWidget(self._facts)
        layout.addLayout(head)
        layout.addWidget(self._scroll, 1)
        layout.addWidget(self._bar)
        layout.addWidget(self._plan)
        layout.addWidget(self.banner)
        layout.addLayout(buttons)

    def _fit(self, theme: ThemeState, parent: QWidget | None) -> None:
        width, height = (theme.sizes.grown(side) for side in SIZE)
        if parent is not None:
            width, height = min(width, parent.width() - SPACE_6), min(height, parent.height() - SPACE_6)
        self.resize(width, height)

    def reject(self) -> None:
        """Close it, but not while a file is handed to the system: what came of that is said here."""
        if not self._is_installing:
            super().reject()

    @Slot(object)
    def _on_event(self, event: object) -> None:
        if isinstance(event, UpdatesChanged):
            self._show()

    def _show(self) -> None:
        state = self._updates.state
        offer = state.offer
        if offer is None:
            self.reject()
            return
        if offer.version != self._shown_version:
            self._shown_version = offer.version
            self._title.setText(f"Local AI {offer.version}")
            self.notes.set_text(offer.notes.strip() or NO_NOTES)
        self._facts.setText(progress_words(state) or offer_facts(offer, self._updates.source.installed_version))
        is_loading, is_there = state.status is UpdateStatus.DOWNLOADING, state.file is not None
        self._bar.setVisible(is_loading)
        self._bar.setValue(round(state.progress.fraction * 1000))
        self._plan.setText(plan_words(self._updates.source.installation.kind, state.file) if state.file is not None else "")
        self._plan.setVisible(is_there)
        self._show_problem(state)
        self.cancel_button.setVisible(is_loading)
        self.later_button.setVisible(not is_loading)
        self.skip_button.setVisible(not is_loading and not is_there)
        self.go_button.setText("Install" if is_there else "Download")
        self._enable_buttons()
        # It stays while a download runs, so that no click at its end that was meant for *Cancel* hits *Install*.
        self.go_button.setVisible(offer.artefact is not None)

    def _enable_buttons(self) -> None:
        """Not while something else is under way, beside which a click would do nothing."""
        is_busy = self._updates.state.status in (UpdateStatus.CHECKING, UpdateStatus.DOWNLOADING)
        self.go_button.setEnabled(not self._is_installing and not is_busy)
        self.later_button.setEnabled(not self._is_installing)

    def _show_problem(self, state: UpdateState) -> None:
        problem = state.error or (state.offer.obstacle if state.offer is not None else None)
        if problem is None:
            self.banner.clear()
        elif problem is not self.banner.error:
            self.banner.show_error(problem, offer_remedy=False)  # The button below does it.

    @Slot()
    def _on_go_clicked(self) -> None:
        if self._updates.state.file is None:
            self._updates.start_download()
            return
        self._is_installing = True
        self._enable_buttons()
        run_in_background(self, self._updates.install, self._on_install_started, self._on_install_failed)

    def _on_install_started(self, started: InstallStarted) -> None:
        self._is_installing = False
        self._enable_buttons()
        self.said.emit(started.sentence)
        self.accept()
        if started.ends_program:
            self.quit_requested.emit()

    def _on_install_failed(self, error: AppError) -> None:
        self._is_installing = False
        self._enable_buttons()
        self.banner.show_error(error, offer_remedy=False)

    @Slot()
    def _on_skip_clicked(self) -> None:
        self._updates.skip()
        self.reject()

    @Slot()
    def _on_later_clicked(self) -> None:
        self._updates.hide()
        self.reject()

    @Slot(QUrl)
    def _on_link_clicked(self, url: QUrl) -> None:
        ask_to_open(url, self)

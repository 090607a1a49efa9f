"""The Answers tab: prompt, columns, differences and votes, over one session."""

from __future__ import annotations

from functools import partial

import msgspec
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QHideEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from localai_app.compare.prompts import PromptSet
from localai_app.errors import AppError, Remedy
from localai_app.gui.bridge import Bridge
from localai_app.gui.chat.links import ask_to_open
from localai_app.gui.compare.columns_control import ColumnsControl
from localai_app.gui.compare.columns_view import ColumnsView
from localai_app.gui.compare.compare_session import CompareSession
from localai_app.gui.compare.contestant_choice import ContestantChoice
from localai_app.gui.compare.differences_view import DifferencesView
from localai_app.gui.compare.prompt_card import PromptCard
from localai_app.gui.compare.runs import Runs
from localai_app.gui.compare.schedule_plan import SchedulePlan
from localai_app.gui.compare.schedule_words import schedule_words
from localai_app.gui.compare.tools_row import ToolsRow
from localai_app.gui.compare.vote_bar import ALL_BAD, TIE, VoteBar
from localai_app.gui.compare.votes import Votes
from localai_app.gui.metrics import SPACE_3, SPACE_4, SPACE_6
from localai_app.gui.styling import set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.empty_state import EmptyState
from localai_app.gui.widgets.error_banner import ErrorBanner
from localai_app.services.app_services import AppServices
from localai_app.services.compare.drafts import CompareDraft

SHOWN_REMEDIES = (Remedy.OPEN_SETTINGS, Remedy.CHOOSE_MODEL)


class AnswersView(QWidget):
    """Shows the session and hands on what is asked for."""

    page_requested = Signal(str)
    schedule_changed = Signal(str)
    """The line of the header."""
    refreshed = Signal()

    def __init__(self, services: AppServices, theme: ThemeState, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        comparisons = services.compare.comparisons
        self.session = CompareSession(services, bridge, self)
        self.choice = ContestantChoice(services, theme, bridge, self.session, self)
        self.prompt = PromptCard(theme)
        self.tools = ToolsRow(theme)
        self.error = ErrorBanner(theme)
        self.columns = ColumnsView(theme)
        self.differences = DifferencesView(theme)
        self.bar = VoteBar(theme)
        self.empty = EmptyState(
            theme, "compare", "No model to compare yet",
            "Models are compared on this computer. Get one first; one model in two settings can be compared, too.",
            "See suggestions")
        self.runs = Runs(comparisons, self.session)
        self.votes = Votes(comparisons, self.session, self.bar)
        self._plan = SchedulePlan(comparisons, self.session)
        self._control = ColumnsControl(self.columns, self.session, self.choice, self.runs, services.downloads)
        self._waits = False
        """Run as soon as the downloads are there."""
        self._lay_out()
        self._connect()
        self._add_keys()
        self._show_draft()

    def _lay_out(self) -> None:
        self._stack = QStackedWidget()
        for part in (self.columns, self.differences, self.empty):
            self._stack.addWidget(part)
        top = QVBoxLayout()
        set_spacing(top, SPACE_3, (SPACE_6, SPACE_3, SPACE_6, 0))
        top.addWidget(self.prompt)
        top.addWidget(self.error)
        column = QVBoxLayout(self)
        set_spacing(column, SPACE_3, (0, 0, 0, SPACE_4))
        column.addLayout(top)
        column.addWidget(self._stack, 1)
        column.addWidget(self.bar)

    def _connect(self) -> None:
        session = self.session
        session.lineup_changed.connect(self._show_draft)
        session.lineup_changed.connect(self.refresh)
        session.changed.connect(self.refresh)
        session.shown.connect(lambda _id: self.prompt.adopt(session.comparison))
        self.choice.changed.connect(self.refresh)
        self.choice.downloaded.connect(self._on_downloaded)
        self._plan.changed.connect(self._show_schedule)
        for part in (session, self.choice, self.runs, self.votes):
            part.failed.connect(self._on_failed)
        for changed in (self.prompt.draft_changed, self.tools.draft_changed):
            changed.connect(self._on_draft_changed)
        self.prompt.run_requested.connect(self.run)
        self.prompt.stop_requested.connect(self.stop)
        self.prompt.resume_requested.connect(self.runs.resume)
        self.columns.link_clicked.connect(lambda url: ask_to_open(url, self))
        self.tools.turned.connect(session.turn_to)
        self.tools.add_requested.connect(lambda: self.choice.choose(len(session.lineup.entries)))
        self.tools.new_requested.connect(session.start_anew)
        self.bar.differences_toggled.connect(lambda _is_on: self.refresh())
        self.differences.closed.connect(lambda: self.bar.differences.setChecked(False))
        self.error.remedy_requested.connect(self._on_remedy_requested)
        self.empty.button_pressed.connect(lambda: self.page_requested.emit("models"))

    def _add_keys(self) -> None:
        """Letters and digits are those of a text where the cursor is in one."""
        keys = {
            "Ctrl+Return": self.run, "Ctrl+Enter": self.run, "Esc": self._on_escape, "0": lambda: self.votes.vote_for(TIE),
            "X": lambda: self.votes.vote_for(ALL_BAD), "Ctrl+Z": self.votes.take_back, "N": self.votes.turn_to_next,
            "D": self.bar.differences.click, "Ctrl+PgUp": lambda: self.tools.pager.step(-1),
            "Ctrl+PgDown": lambda: self.tools.pager.step(1)}
        keys |= {str(column + 1): partial(self.votes.vote_for, column) for column in range(len(self.bar.best))}
        for key, slot in keys.items():
            QShortcut(QKeySequence(key), self, slot, context=Qt.ShortcutContext.WidgetWithChildrenShortcut)

    def run(self) -> None:
        """Compare, or as soon as all models are downloaded."""
        if self._problem() or self.session.state.is_running:
            return
        self.error.clear()
        self.bar.differences.setChecked(False)
        self._waits = bool(self.session.draft.waits_for)
        if not self._waits:
            self.runs.start(self.prompt.prompt_set)
        self.refresh()
        # Away from the text: digits are votes from now on.
        self.columns.setFocus()

    def stop(self) -> None:
        """End the run, or the wait for it."""
        self._waits = False
        self.runs.stop()
        self.refresh()

    def choose_set(self, prompt_set: PromptSet) -> None:
        """Ask the prompts of a set."""
        self.prompt.show_set(prompt_set)
        self.refresh()

    def set_blind(self, is_blind: bool) -> None:
        """Whether the next run hides names."""
        self._on_draft_changed(msgspec.structs.replace(self.session.draft, is_blind=is_blind))

    def refresh(self) -> None:
        """Show everything as it is now."""
        session = self.session
        self._control.show()
        self.votes.show()
        self._show_buttons()
        is_empty = self.choice.is_empty and not session.draft.chosen
        shows_differences = self.bar.differences.isChecked() and self.votes.can_compare
        self._stack.setCurrentWidget(
            self.empty if is_empty else self.differences if shows_differences else self.columns)
        self.prompt.setVisible(not is_empty)
        self.tools.show_session(session)
        if shows_differences:
            self.differences.show_answers(self.votes.names, self._control.texts())
        self._show_schedule()
        self.refreshed.emit()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to compare yet."""
        return self._stack.currentWidget() is self.empty

    def hideEvent(self, event: QHideEvent) -> None:
        """Another page, or the end: remember what was set."""
        super().hideEvent(event)
        self.session.keeper.keep()

    def _show_draft(self) -> None:
        draft = self.session.draft
        self.prompt.show_draft(draft)
        self.tools.show_draft(draft)
        self.columns.set_scrolls_together(draft.scrolls_together)
        self._plan.plan_soon()

    def _show_buttons(self) -> None:
        comparison = self.session.comparison
        self.prompt.set_running(
            is_running=self.session.is_running or self._waits, has_run=comparison is not None,
            can_resume=self.runs.can_resume(comparison), problem=self._problem())
        self.prompt.show_asked(comparison, self.session.prompt)

    def _show_schedule(self) -> None:
        self.schedule_changed.emit(
            "" if self.is_empty else schedule_words(self.session, self._plan.planned, waits=self._waits))

    def _problem(self) -> str:
        """Why nothing can be run now; empty where it can."""
        session = self.session
        if session.state.is_running:
            return "Another comparison runs."
        if len(session.draft.chosen) < len(session.lineup.entries):
            return "Choose a model in every column first."
        if self.prompt.prompt_set is None and not self.prompt.prompt:
            return "Write a prompt first."
        return ""

    def _on_draft_changed(self, draft: CompareDraft) -> None:
        self.session.keeper.set(draft, self.session.lineup.drafts)
        self._show_draft()
        self._show_buttons()
        self.refreshed.emit()

    def _on_escape(self) -> None:
        """Stop what runs; else leave the differences."""
        if self.session.is_running or self._waits:
            self.stop()
        else:
            self.bar.differences.setChecked(False)

    def _on_downloaded(self) -> None:
        if self._waits and not self.session.draft.waits_for:
            self._waits = False
            self.run()

    def _on_failed(self, error: AppError) -> None:
        self._waits = False
        self.error.show_error(error, offer_remedy=error.remedy in SHOWN_REMEDIES)
        self.refresh()

    def _on_remedy_requested(self, remedy: Remedy) -> None:
        self.page_requested.emit("models" if remedy is Remedy.CHOOSE_MODEL else "settings")

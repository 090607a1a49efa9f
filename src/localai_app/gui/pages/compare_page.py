"""The Compare page: which model answers best, on the user's own prompts."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QHideEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QBoxLayout, QButtonGroup, QHBoxLayout, QPushButton, QStackedWidget, QVBoxLayout, QWidget

from localai_app.compare.prompts import PromptSet
from localai_app.gui.bridge import Bridge
from localai_app.gui.compare.answers_view import AnswersView
from localai_app.gui.compare.parts import ANSWERS, EXPORT, HISTORY, LEADERBOARD, LOSS, PROMPT_SETS, RESULTS, make_part
from localai_app.gui.metrics import SPACE_2, SPACE_3, SPACE_6
from localai_app.gui.styling import button, label, set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.elided_label import ElidedLabel
from localai_app.services.app_services import AppServices

TABS = (ANSWERS, RESULTS, LEADERBOARD, LOSS, HISTORY)


class ComparePage(QWidget):
    """A toolbar over tabs; what a tab shows is built when it is first looked at."""

    page_requested = Signal(str)
    model_requested = Signal(str)
    names_hidden = Signal(bool)
    """Whether whose answers are on screen must not be told anywhere."""

    def __init__(self, services: AppServices, theme: ThemeState, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services, self._theme, self._bridge = services, theme, bridge
        set_role(self, "page")
        self._views: dict[str, QWidget] = {}
        self._shown_id: int | None = None
        self._tabs: dict[str, QPushButton] = {}
        self.schedule = ElidedLabel("", "muted")
        self.blind_button = button("Blind")
        self.blind_button.setCheckable(True)
        self.blind_button.setToolTip("Hide whose answers they are until you have voted; the next run begins so")
        self.answers = AnswersView(services, theme, bridge)
        self._views[ANSWERS] = self.answers
        self.kept_clear = (self.answers.bar,)
        """What messages of the window are not to cover."""
        self.sets_button = button(PROMPT_SETS)
        self.sets_button.clicked.connect(self._on_sets_clicked)
        self.export_button = make_part(EXPORT, services, theme, bridge)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.answers)
        self._lay_out()
        self._connect()
        self.show_tab(ANSWERS)
        self.answers.refresh()

    def _lay_out(self) -> None:
        toolbar = set_role(QWidget(), "toolbar")
        line = QHBoxLayout(toolbar)
        set_spacing(line, SPACE_3, (SPACE_6, 0, SPACE_6, 0))
        line.addWidget(label("Compare", "lead"))
        line.addWidget(self.schedule, 1)
        line.addWidget(self.blind_button)
        line.addWidget(self.sets_button)
        line.addWidget(self.export_button)
        layout = QVBoxLayout(self)
        set_spacing(layout, 0)
        layout.addWidget(toolbar)
        layout.addLayout(self._tab_line())
        layout.addWidget(self._stack, 1)

    def _tab_line(self) -> QBoxLayout:
        """The tabs, and beside them what belongs to the answers, or below where the text is large."""
        tabs = QHBoxLayout()
        set_spacing(tabs, SPACE_2)
        group = QButtonGroup(self)
        for name in TABS:
            tab = self._tabs[name] = button(name, "tab")
            tab.setCheckable(True)
            tab.clicked.connect(lambda _checked=False, name=name: self.show_tab(name))
            group.addButton(tab)
            tabs.addWidget(tab)
        tabs.addStretch(1)
        line = self._line = QBoxLayout(QBoxLayout.Direction.LeftToRight)
        set_spacing(line, SPACE_2, (SPACE_6, SPACE_3, SPACE_6, 0))
        line.addLayout(tabs, 1)
        line.addWidget(self.answers.tools, 0, Qt.AlignmentFlag.AlignRight)
        return line

    def _connect(self) -> None:
        answers = self.answers
        answers.page_requested.connect(self.page_requested)
        answers.schedule_changed.connect(self.schedule.setText)
        answers.session.shown.connect(self._on_comparison_shown)
        answers.refreshed.connect(self._on_refreshed)
        self.blind_button.clicked.connect(answers.set_blind)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """What stands beside the tabs goes below them where there is no room."""
        super().resizeEvent(event)
        needed = sum(tab.sizeHint().width() + SPACE_2 for tab in self._tabs.values()) + self.answers.tools.sizeHint().width()
        is_wide = needed + 2 * SPACE_6 <= self.width()
        self._line.setDirection(QBoxLayout.Direction.LeftToRight if is_wide else QBoxLayout.Direction.TopToBottom)

    def add_model(self, model_key: str) -> None:
        """Put an installed model among the contestants."""
        self.show_tab(ANSWERS)
        self.answers.choice.add(model_key)

    def open_comparison(self, comparison_id: int) -> None:
        """Show a comparison that was run before."""
        self.show_tab(ANSWERS)
        self.answers.session.open(comparison_id)

    def show_loss(self, model_key: str, *, requantize: bool = False) -> None:
        """Ask what the files of an installed model lose, or make a smaller one of it."""
        self.show_tab(LOSS)
        self.view(LOSS).show_model(model_key, requantize=requantize)  # type: ignore[attr-defined]

    @property
    def current_tab(self) -> str:
        """The tab that is shown."""
        return next(name for name, view in self._views.items() if view is self._stack.currentWidget())

    def view(self, name: str) -> QWidget:
        """What a tab shows, built now if it was never looked at."""
        if name not in self._views:
            view = self._views[name] = make_part(name, self._services, self._theme, self._bridge)
            self._stack.addWidget(view)
            if name == RESULTS:
                view.cell_chosen.connect(self._on_cell_chosen)  # type: ignore[attr-defined]
                if self._shown_id is not None:
                    view.show_comparison(self._shown_id)  # type: ignore[attr-defined]
            if name == LOSS:
                view.page_requested.connect(self.page_requested)  # type: ignore[attr-defined]
                view.model_requested.connect(self.model_requested)  # type: ignore[attr-defined]
            if name in (RESULTS, LEADERBOARD, HISTORY):
                view.answers_requested.connect(lambda: self.show_tab(ANSWERS))  # type: ignore[attr-defined]
            if name == HISTORY:
                view.comparison_chosen.connect(self.open_comparison)  # type: ignore[attr-defined]
        return self._views[name]

    def show_tab(self, name: str) -> None:
        """Show one of the tabs."""
        self._stack.setCurrentWidget(self.view(name))
        self._tabs[name].setChecked(True)
        self._show_tools()
        self._tell_veil()

    def showEvent(self, event: QShowEvent) -> None:
        """Names are hidden only while this page is."""
        super().showEvent(event)
        self._tell_veil()

    def hideEvent(self, event: QHideEvent) -> None:
        """Another page tells what it likes."""
        super().hideEvent(event)
        self.names_hidden.emit(False)

    def _tell_veil(self) -> None:
        names = self.answers.session.names
        self.names_hidden.emit(
            self.isVisible() and self.current_tab != LOSS and names is not None and not names.all_revealed)

    def _on_comparison_shown(self, comparison_id: int) -> None:
        self._shown_id = comparison_id
        if RESULTS in self._views:
            self._views[RESULTS].show_comparison(comparison_id)  # type: ignore[attr-defined]

    def _on_cell_chosen(self, prompt: int, repeat: int) -> None:
        self.show_tab(ANSWERS)
        self.answers.session.turn_to(prompt, repeat)

    def _show_tools(self) -> None:
        self.answers.tools.setVisible(self.current_tab == ANSWERS and not self.answers.is_empty)
        self.export_button.setVisible(self.current_tab in (ANSWERS, RESULTS))

    def _on_refreshed(self) -> None:
        self._show_tools()
        self._tell_veil()
        session = self.answers.session
        self.export_button.show_comparison(session.shown_id)  # type: ignore[attr-defined]
        self.blind_button.setChecked(session.draft.is_blind)
        self.blind_button.setEnabled(not session.is_running)

    def _on_sets_clicked(self) -> None:
        dialog = make_part(PROMPT_SETS, self._services, self._theme, self._bridge)
        dialog.setParent(self, dialog.windowFlags())
        dialog.set_chosen.connect(self._on_set_chosen)  # type: ignore[attr-defined]
        dialog.open()  # type: ignore[attr-defined]

    def _on_set_chosen(self, prompt_set: PromptSet) -> None:
        self.show_tab(ANSWERS)
        self.answers.choose_set(prompt_set)

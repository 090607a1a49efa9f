"""The Compare page: which model answers best, on the user's own prompts."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QPushButton, QStackedWidget, QVBoxLayout, QWidget

from localai_app.gui.bridge import Bridge
from localai_app.gui.compare.parts import ANSWERS, EXPORT, HISTORY, LEADERBOARD, LOSS, PROMPT_SETS, RESULTS, has_part, make_part
from localai_app.gui.metrics import SPACE_2, SPACE_3, SPACE_6
from localai_app.gui.styling import button, label, set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.elided_label import ElidedLabel
from localai_app.services.app_services import AppServices

TABS = (ANSWERS, RESULTS, LEADERBOARD, LOSS, HISTORY)


class ComparePage(QWidget):
    """A toolbar over tabs; what a tab shows is built when it is first looked at."""

    page_requested = Signal(str)

    def __init__(self, services: AppServices, theme: ThemeState, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services, self._theme, self._bridge = services, theme, bridge
        set_role(self, "page")
        self._views: dict[str, QWidget] = {}
        self._tabs: dict[str, QPushButton] = {}
        self.schedule = ElidedLabel("", "muted")
        self.blind_button = button("Blind")
        self.blind_button.setCheckable(True)
        self.sets_button = button(PROMPT_SETS)
        self.sets_button.clicked.connect(self._on_sets_clicked)
        self._stack = QStackedWidget()
        self._lay_out()
        self.show_tab(ANSWERS)

    def _lay_out(self) -> None:
        toolbar = set_role(QWidget(), "toolbar")
        line = QHBoxLayout(toolbar)
        set_spacing(line, SPACE_3, (SPACE_6, 0, SPACE_6, 0))
        line.addWidget(label("Compare", "lead"))
        line.addWidget(self.schedule, 1)
        line.addWidget(self.blind_button)
        if has_part(PROMPT_SETS):
            line.addWidget(self.sets_button)
        if has_part(EXPORT):
            self.export_button = make_part(EXPORT, self._services, self._theme, self._bridge)
            line.addWidget(self.export_button)
        tabs = QHBoxLayout()
        set_spacing(tabs, SPACE_2, (SPACE_6, SPACE_3, SPACE_6, 0))
        group = QButtonGroup(self)
        for name in TABS:
            if name != ANSWERS and not has_part(name):
                continue
            tab = self._tabs[name] = button(name, "tab")
            tab.setCheckable(True)
            tab.clicked.connect(lambda _checked=False, name=name: self.show_tab(name))
            group.addButton(tab)
            tabs.addWidget(tab)
        tabs.addStretch(1)
        layout = QVBoxLayout(self)
        set_spacing(layout, 0)
        layout.addWidget(toolbar)
        layout.addLayout(tabs)
        layout.addWidget(self._stack, 1)

    @property
    def current_tab(self) -> str:
        """The tab that is shown."""
        return next(name for name, view in self._views.items() if view is self._stack.currentWidget())

    def view(self, name: str) -> QWidget:
        """What a tab shows, built now if it was never looked at."""
        if name not in self._views:
            view = QWidget() if name == ANSWERS else make_part(name, self._services, self._theme, self._bridge)
            self._views[name] = view
            self._stack.addWidget(view)
        return self._views[name]

    def show_tab(self, name: str) -> None:
        """Show one of the tabs."""
        self._stack.setCurrentWidget(self.view(name))
        self._tabs[name].setChecked(True)

    def _on_sets_clicked(self) -> None:
        dialog = make_part(PROMPT_SETS, self._services, self._theme, self._bridge)
        dialog.setParent(self, dialog.windowFlags())
        dialog.open()  # type: ignore[attr-defined]

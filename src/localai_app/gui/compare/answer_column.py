"""One contestant: who it is and what it does, its answer, and its figures."""

from __future__ import annotations

from dataclasses import dataclass, field

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAction, QGuiApplication
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QMenu, QVBoxLayout, QWidget

from localai_app.compare.checks import CheckResult
from localai_app.gui.chat.lexer_finder import LexerFinder
from localai_app.gui.compare.answer_body import AnswerBody
from localai_app.gui.compare.column_words import SHARED_HELP, SHARED_WORDS, Figures
from localai_app.gui.metrics import RADIUS_CARD, SPACE_1, SPACE_2, SPACE_3, SPACE_4
from localai_app.gui.styling import button, divider, icon_button, label, set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.badge import Badge
from localai_app.gui.widgets.elided_label import ElidedLabel
from localai_app.gui.widgets.flow_layout import FlowLayout

MINIMUM_WIDTH = 236
"""Four columns fit beside each other in a window of 1,280 pixels."""


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """What a column shows besides its text. `can_edit`: it stands for the next run, not only for an answer."""

    name: str
    caption: str = ""
    pill: tuple[str, str] = ("", "neutral")
    figures: Figures = field(default_factory=Figures)
    note: str = ""
    error: str = ""
    can_edit: bool = True
    can_rerun: bool = False
    can_remove: bool = True
    can_add: bool = True
    is_first: bool = False
    is_last: bool = False
    is_winner: bool = False
    checks: tuple[CheckResult, ...] = ()


class AnswerColumn(QFrame):
    """Keeps nothing but what it shows; says what is asked of its contestant."""

    choose_requested = Signal()
    settings_requested = Signal()
    duplicate_requested = Signal()
    move_requested = Signal(int)
    remove_requested = Signal()
    rerun_requested = Signal()

    def __init__(self, theme: ThemeState, lexers: LexerFinder, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        set_role(self, "card")
        self._facts = ColumnFacts("")
        self.name = ElidedLabel("", "strong")
        self.caption = ElidedLabel("", "caption")
        self.pill = Badge()
        self.choose_button = button("Choose a model", "primary", compact=True)
        self.choose_button.clicked.connect(self.choose_requested)
        self.menu_button = icon_button("dots", "Actions", theme, size=16)
        self.menu_button.clicked.connect(self._on_menu_clicked)
        self.body = AnswerBody(theme, lexers)
        self.speed = label("", "stat")
        self.unit = label("tok/s", "caption")
        self.first = label("", "caption")
        self.first.setToolTip("Time from the question to the first token of the answer")
        self.shared = label(SHARED_WORDS, "badge-warn")
        self.shared.setToolTip(SHARED_HELP)
        self.checks = Badge()
        self.rerun_button = button("Run again", compact=True)
        self.rerun_button.clicked.connect(self.rerun_requested)
        self._rest: list[QLabel] = []
        self._rest_row = QWidget()
        self._flow = FlowLayout(self._rest_row, across=SPACE_3, down=0)
        self._lay_out()
        self.show_facts(ColumnFacts(""))

    def _lay_out(self) -> None:
        names = QVBoxLayout()
        set_spacing(names, 1)
        names.addWidget(self.name)
        names.addWidget(self.caption)
        head = QHBoxLayout()
        set_spacing(head, SPACE_2, (SPACE_4, SPACE_2 + 2, SPACE_2, SPACE_2 + 2))
        head.addLayout(names, 1)
        head.addWidget(self.pill, 0, Qt.AlignmentFlag.AlignVCenter)
        head.addWidget(self.menu_button, 0, Qt.AlignmentFlag.AlignVCenter)
        figures = QHBoxLayout()
        set_spacing(figures, SPACE_1 + 2)
        figures.addWidget(self.speed, 0, Qt.AlignmentFlag.AlignBaseline)
        figures.addWidget(self.unit, 0, Qt.AlignmentFlag.AlignBaseline)
        figures.addStretch(1)
        figures.addWidget(self.first, 0, Qt.AlignmentFlag.AlignBaseline)
        foot = self._foot = QWidget()
        lines = QVBoxLayout(foot)
        set_spacing(lines, SPACE_1, (SPACE_4, SPACE_2, SPACE_4, SPACE_2 + 2))
        lines.addLayout(figures)
        lines.addWidget(self._rest_row)
        badges = QHBoxLayout()
        set_spacing(badges, SPACE_2)
        for badge in (self.checks, self.shared):
            badges.addWidget(badge)
        badges.addStretch(1)
        lines.addLayout(badges)
        column = self._column = QVBoxLayout(self)
        set_spacing(column, 0, (1, 1, 1, 1))
        column.addLayout(head)
        column.addWidget(divider())
        column.addWidget(self.body, 1)
        buttons = QWidget()
        actions = FlowLayout(buttons, across=SPACE_2, down=SPACE_2)
        for control in (self.rerun_button, self.choose_button):
            actions.addWidget(control)
        self._actions = QWidget()
        around = QVBoxLayout(self._actions)
        set_spacing(around, 0, (SPACE_4, 0, SPACE_4, SPACE_4))
        around.addWidget(buttons)
        column.addWidget(self._actions)
        self._foot_line = divider()
        column.addWidget(self._foot_line)
        column.addWidget(foot)

    @property
    def facts(self) -> ColumnFacts:
        """What is shown."""
        return self._facts

    def show_facts(self, facts: ColumnFacts) -> None:
        """Show who this is, what it does and its figures; the text comes by `body`."""
        self._facts = facts
        self.setAccessibleName(f"{facts.name}, {facts.pill[0]}" if facts.pill[0] else facts.name)
        self.name.setText(facts.name or "No model yet")
        set_role(self.name, "strong" if facts.name else "muted")
        for part in (self.name, self.caption):
            # What was told on hover of another name would stay until the next time that it is painted.
            part.setToolTip("")
        self.caption.setText(facts.caption)
        self.caption.setVisible(bool(facts.caption))
        self.pill.show_text(*facts.pill)
        self.pill.setVisible(bool(facts.pill[0]))
        self.menu_button.setAccessibleName(f"Actions for {facts.name or 'this contestant'}")
        self.choose_button.setVisible((not facts.name or bool(facts.error)) and facts.can_edit)
        self.choose_button.setText("Another model…" if facts.name else "Choose a model")
        set_role(self.choose_button, "" if facts.name else "primary")
        self.rerun_button.setVisible(bool(facts.error) and facts.can_rerun)
        self._actions.setVisible(not self.choose_button.isHidden() or not self.rerun_button.isHidden())
        self.body.setAccessibleName(f"Answer of {facts.name}")
        self.body.show_note(facts.note)
        self.body.show_error(facts.error)
        self._show_checks(facts.checks)
        self.show_figures(facts.figures)
        set_role(self, "card-accent" if facts.is_winner else "card")

    def show_figures(self, figures: Figures) -> None:
        """Show the footer alone, for figures that move."""
        has_any = bool(figures.speed or figures.first or figures.rest or self._facts.checks)
        self._foot.setVisible(has_any)
        self._foot_line.setVisible(has_any)
        # The text must not lie over the rounded corners.
        self._column.setContentsMargins(1, 1, 1, 1 if has_any else RADIUS_CARD)
        for part, words in ((self.speed, figures.speed), (self.first, figures.first)):
            part.setText(words)
            part.setVisible(bool(words))
        self.unit.setVisible(bool(figures.speed))
        self.shared.setVisible(figures.is_shared)
        while len(self._rest) < len(figures.rest):
            part = label("", "caption")
            self._rest.append(part)
            self._flow.addWidget(part)
        for index, part in enumerate(self._rest):
            part.setVisible(index < len(figures.rest))
            if index < len(figures.rest):
                part.setText(figures.rest[index])
        self._rest_row.setVisible(bool(figures.rest))
        self._foot.setToolTip(figures.help)

    def _show_checks(self, checks: tuple[CheckResult, ...]) -> None:
        n_passed = sum(check.passed for check in checks)
        self.checks.setVisible(bool(checks))
        if checks:
            words, tone = ("passed", "good") if n_passed == len(checks) else ("not passed", "bad")
            self.checks.show_text(words if len(checks) == 1 else f"{n_passed} of {len(checks)} checks", tone)
            self.checks.setAccessibleName(f"Checks {words}")
            self.checks.setToolTip("\n".join(check.words for check in checks if check.words) or f"Checks {words}")

    def copy_answer(self) -> None:
        """Put the answer without its thinking on the clipboard, as Markdown."""
        QGuiApplication.clipboard().setText(self.body.answer.strip())

    def build_menu(self) -> QMenu:
        """What can be done with this contestant now; it deletes itself when closed."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        facts = self._facts
        if facts.can_edit:
            self._add(menu, "Change the model…" if facts.name else "Choose a model…", self.choose_requested.emit)
            self._add(menu, "Settings…", self.settings_requested.emit, is_on=bool(facts.name))
            self._add(menu, "Duplicate", self.duplicate_requested.emit, is_on=bool(facts.name) and facts.can_add)
            menu.addSeparator()
            self._add(menu, "Move left", lambda: self.move_requested.emit(-1), is_on=not facts.is_first)
            self._add(menu, "Move right", lambda: self.move_requested.emit(1), is_on=not facts.is_last)
            menu.addSeparator()
        self._add(menu, "Run again", self.rerun_requested.emit, is_on=facts.can_rerun)
        self._add(menu, "Copy the answer", self.copy_answer, is_on=bool(self.body.answer.strip()))
        if facts.can_edit:
            menu.addSeparator()
            self._add(menu, "Remove", self.remove_requested.emit, is_on=facts.can_remove)
        return menu

    def _on_menu_clicked(self) -> None:
        menu = self.build_menu()
        menu.popup(self.menu_button.mapToGlobal(self.menu_button.rect().bottomLeft()))

    @staticmethod
    def _add(menu: QMenu, words: str, slot: object, *, is_on: bool = True) -> QAction:
        action = menu.addAction(words)
        action.triggered.connect(lambda _checked=False: slot())  # type: ignore[operator]
        action.setEnabled(is_on)
        return action

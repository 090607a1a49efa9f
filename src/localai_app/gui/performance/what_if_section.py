"""What if: choose other hardware and see which models become possible, and how fast."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QTimer
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QVBoxLayout, QWidget

from localai_app.errors import AppError
from localai_app.gui.bridge import Bridge
from localai_app.gui.metrics import SPACE_1, SPACE_4, SPACE_6
from localai_app.gui.models.wording import KIND_WORDS, speed_words
from localai_app.gui.performance.cards import Card
from localai_app.gui.performance.machine_picker import MachinePicker
from localai_app.gui.performance.possible_table import PossibleTable
from localai_app.gui.styling import button, label, set_spacing
from localai_app.gui.tasks import BackgroundTask, run_in_background
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.badge import Badge
from localai_app.gui.widgets.elided_label import ElidedLabel
from localai_app.services.app_services import AppServices
from localai_app.services.discovery_service import FIT_SETTINGS
from localai_app.services.events import Event, SettingChanged, SuggestionsChanged
from localai_app.services.machine_file import machine_words, read_machine, write_machine
from localai_app.services.views import Suggestion
from localai_app.services.what_if import MachineSpec, WhatIfAnswer, answer_for, newly_possible
from localai_app.units import format_context, format_gib

DELAY_MS = 150
NOTE = (
    "Calculated for an idle computer with its usual main memory. Speeds are ranges: about 20% around the formula on GPUs, "
    "30% on processors.")
FILE_FILTER = "Computers (*.json)"
FIRST_ROWS = 8
N_CARDS = 3


class WhatIfSection(Card):
    """Computes off the window's thread, from the first time it is shown; only the latest choice is answered."""

    def __init__(self, services: AppServices, theme: ThemeState, bridge: Bridge) -> None:
        super().__init__("What if", "Other hardware, and what it could run")
        self._services = services
        self._answer: WhatIfAnswer | None = None
        self._task: BackgroundTask | None = None
        self._asked = 0
        self._shows_all = False
        self._delay = QTimer(self)
        self._delay.setSingleShot(True)
        self._delay.setInterval(DELAY_MS)
        self._delay.timeout.connect(self._ask)
        self.picker = MachinePicker(services.what_if.gpus())
        self.picker.machine_changed.connect(self._on_machine_changed)
        self.open_button = button("Open…", "link")
        self.open_button.setToolTip("Open a computer that was saved here, or what `localai-app hardware --json` printed")
        self.open_button.clicked.connect(self._on_open_clicked)
        self.save_button = button("Save…", "link")
        self.save_button.setToolTip("Save this computer to a file, which the command line takes as well")
        self.save_button.clicked.connect(self._on_save_clicked)
        self.summary = label("Computing what it could run…", "strong", wrap=True)
        self.essences = [SuggestionEssence() for _ in range(N_CARDS)]
        self.table = PossibleTable(theme)
        self.more_button = button("", "link")
        self.more_button.clicked.connect(self._on_more_clicked)
        self._note = label(NOTE, "caption", wrap=True)
        self._lay_out()
        bridge.event_published.connect(self._on_event)

    def _lay_out(self) -> None:
        cards = QHBoxLayout()
        set_spacing(cards, SPACE_6)
        for essence in self.essences:
            essence.hide()
            cards.addWidget(essence, 1)
        more = QHBoxLayout()
        set_spacing(more, 0)
        more.addWidget(self.more_button)
        more.addStretch(1)
        files = QHBoxLayout()
        set_spacing(files, SPACE_4)
        files.addStretch(1)
        for control in (self.open_button, self.save_button):
            files.addWidget(control)
        self.body.addWidget(self.picker)
        self.body.addLayout(files)
        self.body.addSpacing(SPACE_1)
        self.body.addWidget(self.summary)
        self.body.addLayout(cards)
        self.body.addWidget(self.table)
        self.body.addLayout(more)
        self.body.addWidget(self._note)
        self.table.hide()
        self.more_button.hide()

    @property
    def is_computing(self) -> bool:
        """Whether an answer is under way."""
        return self._task is not None or self._delay.isActive()

    def showEvent(self, event: QShowEvent) -> None:
        """Compute when it is seen for the first time."""
        super().showEvent(event)
        if self._answer is None and not self.is_computing:
            self._delay.start()

    def _on_machine_changed(self, _spec: MachineSpec) -> None:
        report = self.picker.report
        self.save_button.setEnabled(report is None)
        self._note.setText(NOTE if report is None else f"In the file: {machine_words(report)}. {NOTE.partition('. ')[2]}")
        self._delay.start()

    def _on_open_clicked(self) -> None:
        name, _filter = QFileDialog.getOpenFileName(self, "Open a computer", str(Path.home()), FILE_FILTER)
        if name:
            self.open_file(Path(name))

    def open_file(self, path: Path) -> None:
        """Show what the computer in a file could run; what is wrong with the file is said instead."""
        try:
            report = read_machine(path, self._services.what_if.gpus())
        except AppError as error:
            self._on_failed(error)
            return
        self.picker.show_file(path.name, report)

    def _on_save_clicked(self) -> None:
        name, _filter = QFileDialog.getSaveFileName(self, "Save this computer", str(Path.home() / "computer.json"), FILE_FILTER)
        if name:
            self.save_file(Path(name))

    def save_file(self, path: Path) -> None:
        """Write the chosen computer to a file."""
        try:
            write_machine(path, self.picker.spec)
        except AppError as error:
            self._on_failed(error)

    def _ask(self) -> None:
        self._asked += 1
        asked = self._asked
        if self._task is not None:
            self._task.drop()
            self._task = None
        service, task = self._services.what_if, self._services.discovery.task
        try:
            machine = self.picker.report or service.machine(self.picker.spec)
        except AppError as error:
            self._on_failed(error)
            return
        self._task = run_in_background(
            self, lambda: service.answer(machine, task, is_wanted=lambda: asked == self._asked, at_ease=True),
            self._on_answered, self._on_failed)

    def _on_answered(self, answer: WhatIfAnswer | None) -> None:
        self._task = None
        if answer is not None:
            self._answer = answer
            self._show_answer()

    def _on_failed(self, error: AppError) -> None:
        self._task = None
        self.summary.setText(f"{error.message} {error.action}")

    def _show_answer(self) -> None:
        answer = self._answer
        if answer is None:
            return
        here = self._services.discovery.rows()
        new_ids = newly_possible(answer.rows, here)
        self.summary.setText(summary_words(answer, len(new_ids), is_here_known=bool(here)))
        for index, essence in enumerate(self.essences):
            essence.setVisible(index < len(answer.suggestions.cards))
            if index < len(answer.suggestions.cards):
                essence.show_suggestion(answer.suggestions.cards[index])
        runnable = answer.suggestions.runnable_count
        self.table.show_rows(answer.rows, new_ids, None if self._shows_all else FIRST_ROWS)
        self.table.setVisible(runnable > 0)
        self.more_button.setVisible(runnable > FIRST_ROWS)
        self.more_button.setText(f"Show only the first {FIRST_ROWS}" if self._shows_all else f"Show all {runnable} models")

    def _on_more_clicked(self) -> None:
        self._shows_all = not self._shows_all
        self._show_answer()

    def _on_event(self, event: Event) -> None:
        match event:
            case SuggestionsChanged():
                self._show_answer()
            case SettingChanged(key="task") if self._answer is not None:
                self._answer = answer_for(self._answer.report, self._answer.rows, self._services.discovery.task)
                self._show_answer()
            case SettingChanged(key=key) if key in FIT_SETTINGS and self._answer is not None:
                self._delay.start()
            case _:
                pass


class SuggestionEssence(QWidget):
    """A suggestion in five lines, without a box around it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._kind = label("", "overline")
        self._name = ElidedLabel("", "strong")
        self._badge = Badge()
        self._need = ElidedLabel("", "caption")
        self._speed = label("", "caption-strong")
        layout = QVBoxLayout(self)
        set_spacing(layout, SPACE_1)
        for part in (self._kind, self._name, self._badge, self._need, self._speed):
            layout.addWidget(part)
        layout.addStretch(1)

    def show_suggestion(self, suggestion: Suggestion) -> None:
        """Show another suggestion."""
        fit = suggestion.fit
        self._kind.setText(KIND_WORDS[suggestion.kind])
        self._name.setText(suggestion.model.name)
        self._badge.show_verdict(fit.verdict)
        self._need.setText(f"{suggestion.file.label} · {format_gib(fit.total_bytes)} · {format_context(fit.ctx)} context")
        self._speed.setText(speed_words(fit.speed))
        self.setToolTip(suggestion.reason)
        self.setAccessibleName(f"{KIND_WORDS[suggestion.kind].capitalize()}: {suggestion.model.name}. {suggestion.reason}")


def summary_words(answer: WhatIfAnswer, new_count: int, *, is_here_known: bool) -> str:
    """How many models would run, and how many of them do not run here."""
    found = answer.suggestions
    if found.runnable_count == 0:
        return "None of the known models would run on it."
    words = f"It could run {found.runnable_count} of {found.total_count} models"
    if not is_here_known:
        return f"{words}."
    return f"{words}, {new_count} of them newly possible." if new_count else f"{words}, none that this computer cannot run."



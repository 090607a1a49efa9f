"""What is asked, and how: the prompt or a set of prompts, the options, and the button that runs it."""

from __future__ import annotations

import msgspec
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from localai_app.compare.comparison import Comparison, Way
from localai_app.compare.prompts import PromptSet
from localai_app.gui.chat.prompt_edit import PromptEdit
from localai_app.gui.chat.quiet_button import QuietButton
from localai_app.gui.compare.run_options import RunOptions
from localai_app.gui.metrics import SPACE_2, SPACE_3, SPACE_4
from localai_app.gui.styling import button, label, set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.services.compare.drafts import CompareDraft

ASKED_CHARACTERS = 400
RUN, AGAIN, GO_ON, STOP = "Run", "Run again", "Go on", "Stop"


class PromptCard(QFrame):
    """Announces a changed draft as a whole. `run_requested` has the typed prompt or nothing where a set was chosen."""

    draft_changed = Signal(object)
    run_requested = Signal()
    stop_requested = Signal()
    resume_requested = Signal()

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        set_role(self, "card")
        self._draft = CompareDraft()
        self.prompt_set: PromptSet | None = None
        self.edit = PromptEdit()
        self.edit.setPlaceholderText("Ask all of them the same…")
        self.edit.setAccessibleName("Prompt for all contestants")
        self.edit.setAccessibleDescription("Enter runs, Shift and Enter begins a new line")
        self.edit.textChanged.connect(self._on_text_changed)
        self.edit.send_requested.connect(self.run_requested)
        self.set_words = label("", "body")
        self.set_help = label("", "caption", wrap=True)
        self.asked = label("", "muted", wrap=True, selectable=True)
        self.leave_set_button = button("Type a prompt instead", "link", compact=True)
        self.leave_set_button.clicked.connect(lambda: self.show_set(None))
        self.summary = QuietButton("", "caret-right", theme)
        self.summary.setCheckable(True)
        self.summary.setToolTip("Seed, temperature, length, repeats, and how contestants run")
        self.summary.toggled.connect(self._on_summary_toggled)
        self.run_button = button(RUN, "primary")
        self.run_button.clicked.connect(self.run_requested)
        self.run_button.setToolTip("Run (Ctrl+Enter)")
        self.resume_button = button(GO_ON)
        self.resume_button.setToolTip("Ask for the answers that are missing, and keep those that are there")
        self.resume_button.clicked.connect(self.resume_requested)
        self.stop_button = button(STOP)
        self.stop_button.setToolTip("Stop (Esc). What is finished is kept, and can be gone on with")
        self.stop_button.clicked.connect(self.stop_requested)
        self.options = RunOptions(theme)
        self.options.draft_changed.connect(self._on_options_changed)
        self._lay_out()
        self.set_running(is_running=False)
        self.show_set(None)

    def _lay_out(self) -> None:
        self._set_part = QWidget()
        words = QVBoxLayout(self._set_part)
        set_spacing(words, 2)
        line = QHBoxLayout()
        set_spacing(line, SPACE_2)
        line.addWidget(self.set_words)
        line.addWidget(self.leave_set_button)
        line.addStretch(1)
        words.addLayout(line)
        words.addWidget(self.set_help)
        row = QHBoxLayout()
        set_spacing(row, SPACE_3)
        row.addWidget(self.edit, 1, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self._set_part, 1)
        for control in (self.summary, self.stop_button, self.resume_button, self.run_button):
            row.addWidget(control, 0, Qt.AlignmentFlag.AlignVCenter)
        column = QVBoxLayout(self)
        set_spacing(column, SPACE_3, (SPACE_4, SPACE_3, SPACE_4, SPACE_3))
        column.addLayout(row)
        column.addWidget(self.asked)
        column.addWidget(self.options)

    @property
    def prompt(self) -> str:
        """What is typed."""
        return str(self.edit.toPlainText()).strip()

    def show_draft(self, draft: CompareDraft) -> None:
        """Show what is set, without announcing it."""
        self._draft = draft
        if self.edit.toPlainText() != draft.prompt and not self.edit.hasFocus():
            self.edit.blockSignals(True)
            self.edit.setPlainText(draft.prompt)
            self.edit.blockSignals(False)
            self.edit.textChanged.emit()
        self.options.show_draft(draft)
        words = options_words(draft)
        self.summary.setText(words)
        self.summary.setAccessibleName(f"Options: {words}")
        self.summary.setChecked(draft.shows_options)
        self.options.setVisible(draft.shows_options)

    def show_set(self, prompt_set: PromptSet | None) -> None:
        """Ask the prompts of a set in place of a typed one; None: the typed one again."""
        self.prompt_set = prompt_set
        self._set_part.setVisible(prompt_set is not None)
        self.edit.setVisible(prompt_set is None)
        if prompt_set is not None:
            self.set_words.setText(f"{prompt_set.name} · {_counted(len(prompt_set.prompts), 'prompt')}")
            self.set_help.setText(prompt_set.description)
            self.set_help.setVisible(bool(prompt_set.description))
        elif self.isVisible():
            self.edit.setFocus()

    def adopt(self, comparison: Comparison | None) -> None:
        """Ask again what a comparison asked, where that was a set."""
        if comparison is None:
            return
        spec = comparison.spec
        if spec.set_name or len(spec.prompts) > 1:
            self.show_set(PromptSet(name=spec.set_name or "Several prompts", prompts=spec.prompts))
        elif self.prompt_set is not None:
            self.show_set(None)

    def show_asked(self, comparison: Comparison | None, prompt: int) -> None:
        """What the answers on screen are to, where it is not what is typed."""
        text = comparison.spec.prompts[prompt].text.strip() if comparison is not None else ""
        is_typed = self.prompt_set is None and text == self.prompt
        words = " ".join(text.split())
        is_cut = len(words) > ASKED_CHARACTERS
        self.asked.setText(f"Asked: {words[:ASKED_CHARACTERS]}{'…' if is_cut else ''}")
        self.asked.setToolTip(text if is_cut else "")
        self.asked.setVisible(bool(text) and not is_typed)

    def set_running(self, *, is_running: bool, has_run: bool = False, can_resume: bool = False, problem: str = "") -> None:
        """Which buttons make sense. `problem`: why it cannot be run now."""
        for control, is_shown in (
            (self.stop_button, is_running), (self.run_button, not is_running),
            (self.resume_button, can_resume and not is_running),
        ):
            control.setVisible(is_shown)
        self.run_button.setText(AGAIN if has_run else RUN)
        self.run_button.setEnabled(not problem)
        self.run_button.setToolTip(problem or "Run (Ctrl+Enter)")
        self.options.setEnabled(not is_running)

    def _on_text_changed(self) -> None:
        self._change(prompt=self.edit.toPlainText())

    def _on_summary_toggled(self, is_open: bool) -> None:
        self.summary.set_icon_name("caret-down" if is_open else "caret-right")
        self.options.setVisible(is_open)
        self._change(shows_options=is_open)

    def _on_options_changed(self, draft: CompareDraft) -> None:
        self._change(**{field: getattr(draft, field) for field in RunOptions.FIELDS})

    def _change(self, **changes: object) -> None:
        changed = msgspec.structs.replace(self._draft, **changes)
        if changed != self._draft:
            self._draft = changed
            self.draft_changed.emit(changed)


def options_words(draft: CompareDraft) -> str:
    """same seed 42 · temperature 0.7 · 2 repeats: what is not as usual, and whether the seed is the same."""
    parts = [f"same seed {draft.seed}" if draft.same_seed else "a seed for each"]
    if draft.temperature is not None:
        parts.append(f"temperature {draft.temperature:g}")
    if draft.max_tokens is not None:
        parts.append(f"at most {_counted(draft.max_tokens, 'token')}")
    if draft.repeats > 1:
        parts.append(f"{draft.repeats} repeats")
    if draft.way is not None:
        parts.append("in turn" if draft.way is Way.IN_TURN else "side by side")
    return " · ".join(parts)


def _counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"

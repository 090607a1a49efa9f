"""The line under an answer: its figures, and what can be done with it."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QHBoxLayout, QSizePolicy, QWidget

from localai_app.engine.protocol import GenerationStats
from localai_app.gui import metrics
from localai_app.gui.chat.quiet_button import QuietButton
from localai_app.gui.styling import label, set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.services.context_words import explanation as cut_explanation
from localai_app.services.context_words import summary as cut_summary
from localai_app.services.energy_words import energy_parts, energy_words
from localai_app.store.records import AnswerCut, MessageState, MessageStats
from localai_app.units import format_count, format_duration, format_speed

COPIED_SHOWN_MS = 1500
GAP = "     "
"""Between two figures."""

FIGURES = "Answer speed, answer length, time until the first token, and how fast the prompt was read"
SLOW = 0.8
"""Below this share of the least that was predicted it is worth a question."""

_REASONS = {
    "context": ("context full", "The context is full: the model could not write any further."),
    "length": ("length limit", "The answer reached the longest length that the settings allow."),
}


class AnswerFooter(QWidget):
    """Figures at the left, Copy, Continue and Again at the right."""

    copy_requested = Signal()
    retry_requested = Signal()
    continue_requested = Signal()
    why_slow_requested = Signal()

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._figures = label("", "caption")
        self._figures.setMinimumWidth(1)
        self._parts: tuple[str, ...] = ()
        self._figures.setToolTip(FIGURES)
        self._reason = label("", "badge-neutral")
        self._reason.hide()
        self._cut = label("", "badge-warn")
        self._cut.hide()
        self._copy = QuietButton("Copy", "copy", theme)
        self._copy.setAccessibleName("Copy the answer")
        self._copy.setToolTip("Copy the answer without its thinking")
        self._copy.clicked.connect(self.copy_requested)
        self._continue = QuietButton("Continue", "arrow-right", theme)
        self._continue.setAccessibleName("Continue the answer")
        self._continue.setToolTip("Go on with the answer; something else of the chat is left out to make room")
        self._continue.clicked.connect(self.continue_requested)
        self._again = QuietButton("Again", "retry", theme)
        self._again.setAccessibleName("Answer again")
        self._again.setToolTip("Answer the question again")
        self._again.clicked.connect(self.retry_requested)
        self._why_slow = QuietButton("Why slow?", "performance", theme)
        self._why_slow.setAccessibleName("Why was the answer slow?")
        self._why_slow.clicked.connect(self.why_slow_requested)
        self._why_slow.hide()
        self._copied_timer = QTimer(self, singleShot=True, interval=COPIED_SHOWN_MS)
        self._copied_timer.timeout.connect(lambda: self._copy.setText("Copy"))
        self._lay_out()
        # Else a transcript could not become narrower than all of it in one line.
        self.setMinimumWidth(1)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def _lay_out(self) -> None:
        """Figures and badges, then actions: in one line, or in two where it is narrow."""
        facts, actions = QHBoxLayout(), QHBoxLayout()
        for layout in (facts, actions):
            set_spacing(layout, metrics.SPACE_2)
        for widget in (self._figures, *self._badges):
            facts.addWidget(widget)
        facts.addStretch()
        actions.addStretch()
        for widget in self._actions:
            actions.addWidget(widget)
        self._lines = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        set_spacing(self._lines, metrics.SPACE_1)
        self._lines.addLayout(facts, 1)
        self._lines.addLayout(actions)

    @property
    def _badges(self) -> tuple[QWidget, ...]:
        return self._reason, self._cut

    @property
    def _actions(self) -> tuple[QWidget, ...]:
        return self._why_slow, self._copy, self._continue, self._again

    @property
    def figures(self) -> str:
        """All figures, also those that there is no room for."""
        return GAP.join(self._parts)

    @property
    def reason(self) -> str:
        """Why the answer ended early, or empty."""
        return self._reason.text()

    @property
    def cut_words(self) -> str:
        """What the answer was given without, or empty."""
        return self._cut.text()

    @property
    def can_continue(self) -> bool:
        """Whether the answer can be gone on with."""
        return not self._continue.isHidden()

    def show_live(self, stats: GenerationStats) -> None:
        """The figures of an answer that streams."""
        self._show_parts(figure_parts(stats.tps, stats.completion_tokens, stats.ttft_s, stats.prompt_tps))
        self._figures.show()

    def show_final(self, stats: MessageStats | None, state: MessageState, cut: AnswerCut | None = None) -> None:
        """The figures as stored, why it ended, and what it was given without."""
        if stats is not None:
            self._show_stats(stats)
        self._figures.setVisible(bool(self.figures))
        expected = stats.expected_tps if stats is not None and stats.tps > 0 else None
        is_slow = expected is not None and stats is not None and stats.tps < SLOW * expected
        self._why_slow.setVisible(is_slow)
        self._why_slow.setToolTip(f"At least {format_speed(expected)} was predicted" if expected is not None else "")
        word, explanation = ("stopped", "You stopped this answer.") if state is MessageState.STOPPED else _REASONS.get(
            stats.finish_reason if stats is not None else "", ("", ""))
        self._reason.setText(word)
        self._reason.setToolTip(explanation)
        self._reason.setVisible(bool(word))
        set_role(self._reason, "badge-warn" if word in ("context full", "length limit") else "badge-neutral")
        self._cut.setText(cut_summary(cut) if cut is not None else "")
        self._cut.setToolTip(cut_explanation(cut) if cut is not None else "")
        self._cut.setVisible(cut is not None)
        self._fit()

    def _show_stats(self, stats: MessageStats) -> None:
        """The stored figures, with the energy where it is known."""
        parts = figure_parts(stats.tps, stats.completion_tokens, stats.ttft_s, stats.prompt_tps)
        energy = energy_parts(stats.gpu_j, stats.processor_j)
        words = energy_words(stats.gpu_j, stats.processor_j, stats.completion_tokens)
        self._figures.setToolTip(f"{FIGURES}\n{words}" if words else FIGURES)
        self._show_parts((*parts, energy) if energy else parts)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Leave out what does not fit."""
        super().resizeEvent(event)
        self._fit()

    def _show_parts(self, parts: tuple[str, ...]) -> None:
        self._parts = parts
        self._fit()

    def _fit(self) -> None:
        """As many figures as there is room for beside the rest; two lines where badges leave no room for one."""
        letters = self._figures.fontMetrics()
        room = self.width() - metrics.SPACE_2 - _width_of(self._badges)
        first = letters.horizontalAdvance(self._parts[0]) if self._parts else 0
        has_badges = any(not widget.isHidden() for widget in self._badges)
        is_stacked = has_badges and first + _width_of(self._actions) > room
        self._lines.setDirection(QBoxLayout.Direction.TopToBottom if is_stacked else QBoxLayout.Direction.LeftToRight)
        if not is_stacked:
            room -= _width_of(self._actions)
        shown = self._parts
        while len(shown) > 1 and letters.horizontalAdvance(GAP.join(shown)) > room:
            shown = shown[:-1]
        self._figures.setText(GAP.join(shown))

    def set_actions_visible(self, *, can_copy: bool, can_retry: bool, can_continue: bool = False) -> None:
        """Which actions make sense now."""
        self._copy.setVisible(can_copy)
        self._continue.setVisible(can_continue)
        self._again.setVisible(can_retry)
        self._fit()

    def confirm_copied(self) -> None:
        """Say for a moment that it was copied."""
        self._copy.setText("Copied")
        self._copied_timer.start()


def _width_of(widgets: Sequence[QWidget]) -> int:
    """Pixels that those take that are not hidden, with a gap beside each."""
    return sum(widget.sizeHint().width() + metrics.SPACE_2 for widget in widgets if not widget.isHidden())


def figure_parts(tps: float, tokens: int, ttft_s: float, prompt_tps: float) -> tuple[str, ...]:
    """61 tok/s, 412 tokens, first after 0.21 s, prompt 1,840 tok/s: the most important first; what is unknown is left out."""
    parts = []
    if tps > 0:
        parts.append(format_speed(tps))
    if tokens > 0:
        parts.append(f"{format_count(tokens)} token{'' if tokens == 1 else 's'}")
    if ttft_s > 0:
        parts.append(f"first after {format_duration(ttft_s)}")
    if prompt_tps > 0:
        parts.append(f"prompt {format_speed(prompt_tps)}")
    return tuple(parts)

"""What a load would mean: verdict, speed, memory on each device, why, and what would help."""

from __future__ import annotations

from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from localai_app.fit.result import Basis, FitResult, Verdict, slowdown_words
from localai_app.gui.metrics import SPACE_1, SPACE_3, SPACE_4, SPACE_5
from localai_app.gui.models.wording import BASIS_WORDS, ZERO_WIDTH_SPACE, breakable, speed_words
from localai_app.gui.styling import label, set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.badge import Badge
from localai_app.gui.widgets.flow_layout import FlowLayout
from localai_app.gui.widgets.memory_bars import MemoryBars

BASIS_NOTES = {
    Basis.DRY_RUN: "Memory as planned by llama.cpp.",
    Basis.HEADER: "Memory calculated from the file's header.",
    Basis.CATALOG: "Memory calculated from the model's dimensions.",
}
ASKING = "Memory calculated from the file's header; llama.cpp is being asked…"


class FitView(QFrame):
    """Empty but for a word until the first fit arrives; then it changes in place."""

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        set_role(self, "card")
        self.badge = Badge()
        self._speed = label("", "strong")
        self.bars = MemoryBars(theme)
        self._basis = label("", "caption", wrap=True)
        self._why = label("Why?", "strong")
        self._reasons = label("", "muted", wrap=True, selectable=True)
        self._help = label("What would help", "strong")
        self._remedies = label("", "body", wrap=True, selectable=True)
        for words in (self._reasons, self._remedies):
            words.setMinimumWidth(1)  # A word of a hundred letters is no reason to widen the card.
        head = QWidget()
        flow = FlowLayout(head, across=SPACE_3)
        flow.addWidget(self.badge)
        flow.addWidget(self._speed)
        layout = QVBoxLayout(self)
        set_spacing(layout, SPACE_4, (SPACE_5, SPACE_4, SPACE_5, SPACE_5))
        layout.addWidget(head)
        layout.addWidget(self.bars)
        for title, words in ((self._why, self._reasons), (self._help, self._remedies)):
            block = QVBoxLayout()
            set_spacing(block, SPACE_1)
            block.addWidget(title)
            block.addWidget(words)
            layout.addLayout(block)
        foot = QHBoxLayout()
        foot.addWidget(self._basis)
        layout.addStretch(1)
        layout.addLayout(foot)
        self.show_waiting()

    @property
    def reasons(self) -> str:
        """The sentences of "Why?"."""
        return self._reasons.text().replace(ZERO_WIDTH_SPACE, "")

    @property
    def speed(self) -> str:
        """The speed in words."""
        return self._speed.text()

    @property
    def remedies(self) -> str:
        """What would make it fit, or fit better."""
        return self._remedies.text() if self._remedies.isVisibleTo(self) else ""

    @property
    def basis(self) -> str:
        """Where the figures are from."""
        return self._basis.text()

    def show_waiting(self) -> None:
        """Say that the first fit is being worked out."""
        self.badge.show_text("Being worked out…", "neutral")
        for part in (self._speed, self.bars, self._why, self._reasons, self._help, self._remedies, self._basis):
            part.hide()

    def show_fit(self, fit: FitResult, *, is_final: bool) -> None:
        """Show a fit; `is_final` false: llama.cpp's own figures follow."""
        self.badge.show_verdict(fit.verdict)
        runs = fit.verdict not in (Verdict.NO, Verdict.UNKNOWN)
        self._speed.setText(speed_words(fit.speed))
        self._speed.setToolTip(BASIS_WORDS[fit.speed.basis])
        self._speed.setVisible(runs)
        self.bars.setVisible(any(device.total_bytes > 0 for device in fit.devices))
        self.bars.show_devices(fit.devices)
        self._reasons.setText(breakable(" ".join(fit.reasons)))
        self._remedies.setText("\n".join(fit.remedies))
        for part in (self._why, self._reasons):
            part.setVisible(bool(fit.reasons))
        for part in (self._help, self._remedies):
            part.setVisible(bool(fit.remedies))
        is_asking = not is_final and fit.basis is not Basis.DRY_RUN
        words = ASKING if is_asking else BASIS_NOTES[fit.basis]
        speed = f" Speed: {BASIS_WORDS[fit.speed.basis][0].lower()}{BASIS_WORDS[fit.speed.basis][1:]}" if runs else ""
        self._basis.setText(f"{words}{speed} {slowdown_words(fit.speed) if runs else ''}".rstrip())
        self._basis.setVisible(fit.verdict is not Verdict.UNKNOWN)
        self.setAccessibleName(f"{self.badge.text()}{f', {self._speed.text()}' if runs else ''}")

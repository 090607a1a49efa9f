"""Why a variant fits or not: the sum against free memory on each device, the reasons, and what would help."""

from __future__ import annotations

from PySide6.QtWidgets import QFrame, QVBoxLayout, QWidget

from localai_app.fit.result import FitResult, Verdict
from localai_app.gui.metrics import SPACE_1, SPACE_3, SPACE_4, SPACE_5
from localai_app.gui.models.wording import FIGURE_WORDS, breakable
from localai_app.gui.styling import label, set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.memory_bars import MemoryBars
from localai_app.units import format_count

TITLES = {
    Verdict.GPU: "Why it runs fully on the GPU",
    Verdict.GPU_PARTIAL: "Why it runs only partly on the GPU",
    Verdict.CPU: "Why it runs on the CPU",
    Verdict.NO: "Why it will not run",
    Verdict.UNKNOWN: "Why nothing can be said",
}


class WhyCard(QFrame):
    """The figures behind one verdict."""

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        set_role(self, "card")
        self._title = label("", "strong", wrap=True)
        self._basis = label("", "caption")
        self._reasons = label("", "muted", wrap=True, selectable=True)
        self._remedies = label("", "body", wrap=True, selectable=True)
        self.bars = MemoryBars(theme)
        layout = QVBoxLayout(self)
        set_spacing(layout, SPACE_3, (SPACE_5, SPACE_4, SPACE_5, SPACE_4))
        head = QVBoxLayout()
        set_spacing(head, SPACE_1)
        head.addWidget(self._title)
        head.addWidget(self._basis)
        layout.addLayout(head)
        for part in (self._reasons, self.bars, self._remedies):
            layout.addWidget(part)

    @property
    def title(self) -> str:
        """Which verdict of which variant is explained."""
        return self._title.text()

    def show_fit(self, label_words: str, fit: FitResult) -> None:
        """Show the fit of the variant called `label_words`."""
        self._title.setText(f"{TITLES[fit.verdict]}: {label_words} at {format_count(fit.ctx)} tokens")
        self._basis.setText(f"Figures: {FIGURE_WORDS[fit.basis]}")
        self._basis.setVisible(fit.verdict is not Verdict.UNKNOWN)
        self._reasons.setText(breakable(" ".join(fit.reasons)))
        self.bars.setVisible(any(device.total_bytes > 0 for device in fit.devices))
        self.bars.show_devices(fit.devices)
        self._remedies.setText(" ".join(fit.remedies))
        self._remedies.setVisible(bool(fit.remedies))

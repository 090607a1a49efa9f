"""A word in a pill, and the words of every verdict."""

from __future__ import annotations

from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from localai_app.fit.result import Verdict
from localai_app.gui.styling import set_role

_VERDICTS: dict[Verdict, tuple[str, str, str]] = {
    Verdict.GPU: ("good", "Runs fully on the GPU", "GPU"),
    Verdict.GPU_PARTIAL: ("warn", "Runs partly on the GPU, slower", "partly GPU"),
    Verdict.CPU: ("neutral", "Runs on the CPU", "CPU"),
    Verdict.NO: ("bad", "Will not run", "will not run"),
    Verdict.UNKNOWN: ("neutral", "Not known whether it runs", "unknown"),
}


def verdict_words(verdict: Verdict) -> str:
    """A verdict as a whole phrase."""
    return _VERDICTS[verdict][1]


def verdict_short(verdict: Verdict) -> str:
    """A verdict for tight places such as table cells."""
    return _VERDICTS[verdict][2]


def verdict_tone(verdict: Verdict) -> str:
    """good, warn, bad or neutral: the colours of a verdict's badge."""
    return _VERDICTS[verdict][0]


class Badge(QLabel):
    """A word in a coloured pill. `tone` is good, warn, bad, neutral or accent."""

    def __init__(self, text: str = "", tone: str = "neutral", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.show_text(text, tone)

    def show_text(self, text: str, tone: str) -> None:
        """Show another word in another tone."""
        self.setText(text)
        set_role(self, f"badge-{tone}")

    def show_verdict(self, verdict: Verdict, *, short: bool = False) -> None:
        """Show a verdict; the short form tells the whole phrase on hover and to screen readers."""
        words = verdict_words(verdict)
        self.show_text(verdict_short(verdict) if short else words, verdict_tone(verdict))
        self.setToolTip(words if short else "")
        self.setAccessibleName(words)

"""Why a variant fits or not: the sum against free memory, the reasons, and what would help."""

from __future__ import annotations

from PySide6.QtWidgets import QFrame, QVBoxLayout, QWidget

from localai_app.fit.result import FitResult, Verdict
from localai_app.gui.metrics import SPACE_2, SPACE_4, SPACE_5
from localai_app.gui.models.wording import main_device
from localai_app.gui.styling import label, set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.meter import Meter, Segment
from localai_app.units import format_count, format_gib

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
        self._title = label("", "strong")
        self._reasons = label("", "muted", wrap=True, selectable=True)
        self._meter = Meter(theme, height=12)
        self._sum = label("", "caption", wrap=True)
        self._remedies = label("", "body", wrap=True)
        layout = QVBoxLayout(self)
        set_spacing(layout, SPACE_2, (SPACE_5, SPACE_4, SPACE_5, SPACE_4))
        for part in (self._title, self._reasons, self._meter, self._sum, self._remedies):
            layout.addWidget(part)

    def show_fit(self, label_words: str, fit: FitResult) -> None:
        """Show the fit of the variant called `label_words`."""
        self._title.setText(f"{TITLES[fit.verdict]}: {label_words} at {format_count(fit.ctx)} tokens")
        self._reasons.setText(" ".join(fit.reasons))
        device = main_device(fit)
        self._meter.setVisible(device is not None)
        if device is not None:
            self._meter.set_segments(
                [Segment(device.weights_bytes, "gpu", "weights"), Segment(device.kv_bytes, "gpu_light", "context"),
                 Segment(device.compute_bytes, "ram", "working memory")],
                max(device.free_bytes, device.total_bytes))
        self._sum.setText(
            f"Weights {format_gib(fit.weights_bytes)}   Context {format_gib(fit.kv_bytes)}   "
            f"Working memory {format_gib(fit.compute_bytes)}   Together {format_gib(fit.total_bytes)}")
        self._remedies.setText(" ".join(fit.remedies))
        self._remedies.setVisible(bool(fit.remedies))

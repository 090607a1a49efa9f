"""Who drafts tokens for a model: nobody, the conversation itself, or a smaller model of the same vocabulary."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from localai_app.fit.result import DRAFT_BY_LOOKUP
from localai_app.gui.metrics import SPACE_1, SPACE_2
from localai_app.gui.styling import combo_box, label, set_spacing
from localai_app.gui.widgets.wheel_guard import ignore_wheel_unless_focused
from localai_app.services.views import InstalledModel

HELP = "Drafted tokens are verified several at once, while that is measured to be faster; the model still chooses every token"
HINTS = {
    "": "Every token is made alone.",
    DRAFT_BY_LOOKUP: "Faster where an answer repeats what was said: summaries, corrections, code. Takes no memory.",
}
MODEL_HINT = "Faster where the smaller model is quick and guesses well. Its memory is counted."


class DraftField(QWidget):
    """`value` is a `LoadSettings.draft`."""

    value_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.box = combo_box()
        self.box.setAccessibleName("Draft tokens")
        self.box.setToolTip(HELP)
        self.box.addItem("Off", "")
        self.box.addItem("From the conversation", DRAFT_BY_LOOKUP)
        self.box.activated.connect(self._on_chosen)
        ignore_wheel_unless_focused(self.box)
        self._hint = label(HINTS[""], "caption", wrap=True)
        head = QHBoxLayout()
        set_spacing(head, SPACE_2)
        head.addWidget(label("Draft tokens", "strong"))
        head.addStretch(1)
        head.addWidget(self.box)
        layout = QVBoxLayout(self)
        set_spacing(layout, SPACE_1)
        layout.addLayout(head)
        layout.addWidget(self._hint)

    @property
    def value(self) -> str | None:
        """Who was chosen; None: nobody."""
        return str(self.box.currentData()) or None

    @property
    def hint(self) -> str:
        """What is said below."""
        return self._hint.text()

    def show_models(self, models: Sequence[InstalledModel]) -> None:
        """Offer these besides; what was chosen stays."""
        chosen = self.value
        while self.box.count() > len(HINTS):
            self.box.removeItem(len(HINTS))
        for model in models:
            has_label = bool(model.label) and model.label not in model.name
            self.box.addItem(f"{model.name} · {model.label}" if has_label else model.name, model.key)
        self.show_value(chosen)

    def show_value(self, value: str | None) -> None:
        """Show what is chosen, also a model that is not offered, without announcing it."""
        index = self.box.findData(value or "")
        if index < 0:
            self.box.addItem(str(value), value)
            index = self.box.count() - 1
        self.box.setCurrentIndex(index)
        self._hint.setText(HINTS.get(value or "", MODEL_HINT))

    def _on_chosen(self, _index: int) -> None:
        self.show_value(self.value)
        self.value_changed.emit()

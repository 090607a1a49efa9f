"""One suggestion: what it is good at, what it needs, how fast it is, and one button."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QStackedWidget, QVBoxLayout, QWidget

from localai_app.gui.metrics import SPACE_1, SPACE_2, SPACE_3, SPACE_4, SPACE_5
from localai_app.gui.models.download_progress import DownloadProgress
from localai_app.gui.models.wording import BASIS_WORDS, KIND_WORDS, main_device, memory_words, speed_words
from localai_app.gui.styling import button, divider, label, set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.badge import Badge
from localai_app.gui.widgets.meter import Meter, Segment
from localai_app.services.views import DownloadView, Suggestion, SuggestionKind
from localai_app.units import format_count, format_file_size


class SuggestionCard(QFrame):
    """Shows a suggestion, and its download once it runs. The owner does what the signals ask."""

    download_requested = Signal(object)
    chat_requested = Signal(str)

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._suggestion: Suggestion | None = None
        self._model_key = ""
        set_role(self, "card")
        self._kind = label("", "overline")
        self._name = label("", "name", wrap=True)
        self._summary = label("", "muted", wrap=True)
        self._badge = Badge()
        self._memory_value = label("", "caption-strong")
        self._meter = Meter(theme)
        self._speed_value = label("", "caption-strong")
        self._download_value = label("", "caption-strong")
        self.action_button = button("Download and chat")
        self.action_button.clicked.connect(self._on_action_clicked)
        self.progress = DownloadProgress(theme)
        self._bottom = QStackedWidget()
        self._bottom.addWidget(self.action_button)
        self._bottom.addWidget(self.progress)
        self._lay_out()

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        set_spacing(layout, 0, (SPACE_5, SPACE_5, SPACE_5, SPACE_5))
        layout.addWidget(self._kind)
        layout.addSpacing(SPACE_3)
        layout.addWidget(self._name)
        layout.addSpacing(SPACE_1)
        layout.addWidget(self._summary)
        layout.addStretch(1)
        layout.addSpacing(SPACE_3)
        layout.addWidget(self._badge)
        layout.addSpacing(SPACE_3)
        layout.addLayout(_pair("Memory", self._memory_value))
        layout.addSpacing(SPACE_1)
        layout.addWidget(self._meter)
        layout.addSpacing(SPACE_4)
        for title, value in (("Speed", self._speed_value), ("Download", self._download_value)):
            layout.addLayout(_pair(title, value))
            layout.addSpacing(SPACE_2)
            layout.addWidget(divider())
            layout.addSpacing(SPACE_2)
        layout.addSpacing(SPACE_3)
        layout.addWidget(self._bottom)

    @property
    def suggestion(self) -> Suggestion | None:
        """What is shown."""
        return self._suggestion

    def show_suggestion(self, suggestion: Suggestion, download_words: str) -> None:
        """Show a suggestion; `download_words` is its size and expected time."""
        self._suggestion = suggestion
        model, fit = suggestion.model, suggestion.fit
        self._kind.setText(KIND_WORDS[suggestion.kind])
        self._name.setText(model.name)
        self._summary.setText(model.summary)
        self._summary.setToolTip(suggestion.reason)
        self._badge.show_verdict(fit.verdict)
        self._badge.setToolTip("\n".join(fit.reasons))
        device = main_device(fit)
        if device is not None:
            token = "gpu" if device.kind == "gpu" else "ram"
            self._memory_value.setText(memory_words(device))
            self._meter.set_segments([Segment(device.total_bytes, token, "needed")], max(device.free_bytes, device.total_bytes))
            self._meter.setToolTip(f"{device.name}, at a context of {format_count(fit.ctx)} tokens")
        self._speed_value.setText(speed_words(fit.speed))
        self._speed_value.setToolTip(BASIS_WORDS[fit.speed.basis])
        self._download_value.setText(download_words)
        self._download_value.setToolTip(f"{suggestion.file.label}: {format_file_size(suggestion.file.size_bytes)}")
        set_role(self.action_button, "primary" if suggestion.kind is SuggestionKind.BALANCED else "")
        self.setAccessibleName(f"{KIND_WORDS[suggestion.kind].capitalize()}: {model.name}")
        self.action_button.setAccessibleName(f"{self.action_button.text()}: {model.name}")

    def show_state(self, download: DownloadView | None, model_key: str) -> None:
        """Show the download under way, or that the model is installed (`model_key` not empty), or the offer."""
        self._model_key = model_key
        if download is not None:
            self.progress.show_view(download)
            self._bottom.setCurrentWidget(self.progress)
            return
        self._bottom.setCurrentWidget(self.action_button)
        self.action_button.setText("Chat" if model_key else "Download and chat")

    def _on_action_clicked(self) -> None:
        if self._model_key:
            self.chat_requested.emit(self._model_key)
        elif self._suggestion is not None:
            self.download_requested.emit(self._suggestion)


def _pair(title: str, value: QLabel) -> QHBoxLayout:
    line = QHBoxLayout()
    set_spacing(line, SPACE_2)
    line.addWidget(label(title, "caption"))
    line.addStretch(1)
    line.addWidget(value)
    return line

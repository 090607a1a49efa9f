"""One suggestion: what it is good at, what it needs, how fast it is, and one button."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QSizePolicy, QStackedWidget, QVBoxLayout, QWidget

from localai_app.gui.metrics import SPACE_1, SPACE_2, SPACE_3, SPACE_5
from localai_app.gui.models.download_progress import DownloadProgress
from localai_app.gui.models.skeleton import Skeleton
from localai_app.gui.models.wording import BASIS_WORDS, KIND_WORDS, main_device, memory_words, size_words, speed_words
from localai_app.gui.styling import button, divider, label, set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.badge import Badge
from localai_app.gui.widgets.meter import Meter, Segment
from localai_app.services.views import DownloadView, Suggestion
from localai_app.units import format_count

SKELETON, CONTENT = 0, 1
TEXT_MARGINS = 2 * (SPACE_5 + 1)
"""What a card's margins and border take from its width."""


class SuggestionCard(QFrame):
    """Shows grey bars until there is a suggestion, then it, then its download. The owner does what the signals ask."""

    download_requested = Signal(object)
    chat_requested = Signal(str)

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._suggestion: Suggestion | None = None
        self._model_key = ""
        set_role(self, "card")
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._kind = label("", "overline")
        self.name_label = label("", "name", wrap=True)
        self.summary_label = label("", "muted", wrap=True)
        for text in self.text_labels:
            text.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        self._badge = Badge()
        self._memory_title = label("Memory", "caption")
        self._memory_value = label("", "caption-strong")
        self._meter = Meter(theme)
        self._speed_value = label("", "caption-strong")
        self._size_value = label("", "caption-strong")
        self._time_value = label("", "caption-strong")
        self.action_button = button("Download and chat")
        self.action_button.clicked.connect(self._on_action_clicked)
        self.progress = DownloadProgress(theme)
        self._lower = QStackedWidget()
        self._lower.addWidget(self._offer())
        self._lower.addWidget(_at_top(self.progress))
        self._pages = QStackedWidget()
        self._pages.addWidget(Skeleton(theme))
        self._pages.addWidget(self._content())
        layout = QVBoxLayout(self)
        set_spacing(layout, 0, (SPACE_5, SPACE_5, SPACE_5, SPACE_5))
        layout.addWidget(self._pages)

    def _content(self) -> QWidget:
        content = QWidget()
        layout = QVBoxLayout(content)
        set_spacing(layout, 0)
        layout.addWidget(self._kind)
        layout.addSpacing(SPACE_2)
        layout.addWidget(self.name_label)
        layout.addSpacing(SPACE_1)
        layout.addWidget(self.summary_label)
        layout.addSpacing(SPACE_3)
        layout.addWidget(self._badge)
        layout.addSpacing(SPACE_3)
        layout.addLayout(_pair(self._memory_title, self._memory_value))
        layout.addSpacing(SPACE_1)
        layout.addWidget(self._meter)
        layout.addSpacing(SPACE_3)
        _add_line(layout, "Speed", self._speed_value)
        _add_line(layout, "Size", self._size_value)
        layout.addWidget(self._lower)
        layout.addStretch(1)
        return content

    def _offer(self) -> QWidget:
        """Expected time and the button; the progress of the download takes their place."""
        offer = QWidget()
        layout = QVBoxLayout(offer)
        set_spacing(layout, 0)
        _add_line(layout, "Download", self._time_value)
        layout.addSpacing(SPACE_3)
        layout.addWidget(self.action_button)
        layout.addStretch(1)
        return offer

    @property
    def suggestion(self) -> Suggestion | None:
        """What is shown."""
        return self._suggestion

    @property
    def text_labels(self) -> tuple[QLabel, QLabel]:
        """The texts of several lines: cards side by side give them the same height, so that their rows line up."""
        return self.name_label, self.summary_label

    def show_suggestion(self, suggestion: Suggestion, time_words: str, *, is_first_choice: bool = False) -> None:
        """Show a suggestion; `time_words` is the expected time of its download. The first choice has the accented button."""
        self._suggestion = suggestion
        model, fit, file = suggestion.model, suggestion.fit, suggestion.file
        self._kind.setText(KIND_WORDS[suggestion.kind])
        self.name_label.setText(model.name)
        self.summary_label.setText(model.summary)
        self.summary_label.setToolTip(suggestion.reason)
        self._badge.show_verdict(fit.verdict)
        self._badge.setToolTip("\n".join(fit.reasons))
        device = main_device(fit)
        if device is not None:
            is_gpu = device.kind == "gpu"
            self._memory_title.setText("GPU memory" if is_gpu else "Memory")
            self._memory_value.setText(memory_words(device))
            self._meter.set_segments(
                [Segment(device.total_bytes, "gpu" if is_gpu else "ram", "needed")],
                max(device.free_bytes, device.total_bytes))
            self._meter.setAccessibleName(f"Needed of the free memory of {device.name}")
            self._meter.setToolTip(f"{device.name}, at a context of {format_count(fit.ctx)} tokens")
        self._speed_value.setText(speed_words(fit.speed))
        self._speed_value.setToolTip(BASIS_WORDS[fit.speed.basis])
        self._size_value.setText(size_words(file.size_bytes, is_exact=file.is_exact))
        self._size_value.setToolTip(f"Variant {file.label}")
        self._time_value.setText(time_words)
        set_role(self.action_button, "primary" if is_first_choice else "")
        self.setAccessibleName(f"{KIND_WORDS[suggestion.kind].capitalize()}: {model.name}")
        self._name_button()
        self._pages.setCurrentIndex(CONTENT)

    def show_state(self, download: DownloadView | None, model_key: str) -> None:
        """Show the download under way, or that the model is installed (`model_key` not empty), or the offer."""
        self._model_key = model_key
        if download is not None:
            self.progress.show_view(download)
        self._lower.setCurrentIndex(1 if download is not None else 0)
        self.action_button.setText("Chat" if model_key else "Download and chat")
        if model_key:
            self._time_value.setText("done")
        self._name_button()

    def _name_button(self) -> None:
        name = self._suggestion.model.name if self._suggestion is not None else ""
        self.action_button.setAccessibleName(f"{self.action_button.text()}: {name}")

    def _on_action_clicked(self) -> None:
        if self._model_key:
            self.chat_requested.emit(self._model_key)
        elif self._suggestion is not None:
            self.download_requested.emit(self._suggestion)


def _pair(title: QLabel, value: QLabel) -> QHBoxLayout:
    line = QHBoxLayout()
    set_spacing(line, SPACE_2)
    line.addWidget(title)
    line.addStretch(1)
    line.addWidget(value)
    return line


def _add_line(layout: QVBoxLayout, title: str, value: QLabel) -> None:
    layout.addLayout(_pair(label(title, "caption"), value))
    layout.addSpacing(SPACE_2)
    layout.addWidget(divider())
    layout.addSpacing(SPACE_2)


def _at_top(widget: QWidget) -> QWidget:
    holder = QWidget()
    layout = QVBoxLayout(holder)
    set_spacing(layout, 0, (0, SPACE_2, 0, 0))
    layout.addWidget(widget)
    layout.addStretch(1)
    return holder

"""What one contestant has of its own: instructions, thinking, sampling, context and its precision."""

from __future__ import annotations

import msgspec
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QDialog, QFrame, QHBoxLayout, QPlainTextEdit, QScrollArea, QVBoxLayout, QWidget

from localai_app.compare.contestant import Contestant, ContestantSettings
from localai_app.engine.load_options import KvType
from localai_app.engine.sampling_values import SamplingValues
from localai_app.gui.chat_panel.sampling_form import SamplingForm
from localai_app.gui.load.context_field import ContextField
from localai_app.gui.metrics import SPACE_2, SPACE_4, SPACE_5, SPACE_6, TypeSizes
from localai_app.gui.models.context_card import KV_WORDS
from localai_app.gui.styling import button, combo_box, divider, label, set_role, set_spacing
from localai_app.gui.tasks import run_in_background
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.wheel_guard import ignore_wheel_unless_focused
from localai_app.services.app_services import AppServices
from localai_app.services.chat_format_words import THINKING_LABELS
from localai_app.services.chat_settings import ChatSettings
from localai_app.services.sampling_service import EffectiveSampling

WIDTH, HEIGHT = 440, 640
PROMPT_HEIGHT = 88


class ContestantDialog(QDialog):
    """`settings_chosen` has all settings when they are to be used; nothing is announced where it is closed otherwise."""

    settings_chosen = Signal(object)

    def __init__(self, services: AppServices, theme: ThemeState, contestant: Contestant, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._key = contestant.model_key
        self._settings = contestant.settings
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        set_role(self, "sheet")
        self.setWindowTitle("Settings of a contestant")
        self.prompt = QPlainTextEdit()
        self.prompt.setAccessibleName("System prompt")
        self.prompt.setFixedHeight(PROMPT_HEIGHT)
        self.prompt.setTabChangesFocus(True)
        default = services.settings.text("system_prompt").strip()
        self.prompt.setPlaceholderText(f"As in the settings: {default}" if default else "Instructions for the model")
        self.thinking = combo_box()
        self.thinking.setAccessibleName("Thinking")
        self.thinking.setToolTip("The nearest that the model offers is used")
        self.thinking.addItem("As the model does", None)
        for value, words in THINKING_LABELS.items():
            self.thinking.addItem(words, value)
        self.context = ContextField()
        self.kv_box = combo_box()
        self.kv_box.setAccessibleName("Precision of the context")
        self.kv_box.addItem("As the program chooses", None)
        for kv_type, words in KV_WORDS.items():
            self.kv_box.addItem(words, kv_type.value)
        for box in (self.thinking, self.kv_box):
            ignore_wheel_unless_focused(box)
        self.form = SamplingForm(theme)
        self.form.value_chosen.connect(self._on_value_chosen)
        self.reset_button = button("Reset all", "link")
        self.reset_button.clicked.connect(lambda: self._show(ContestantSettings()))
        self.use_button = button("Use these", "primary")
        self.use_button.clicked.connect(self._on_use_clicked)
        self._lay_out(contestant)
        growth = max(1.0, theme.sizes.body / TypeSizes().body)
        room = parent.window().height() - SPACE_6 if parent is not None else HEIGHT
        self.resize(round(WIDTH * growth), min(round(HEIGHT * growth), room))
        self._show(contestant.settings)

    def _lay_out(self, contestant: Contestant) -> None:
        content = set_role(QWidget(), "page")
        column = QVBoxLayout(content)
        set_spacing(column, SPACE_5, (SPACE_5, SPACE_4, SPACE_5, SPACE_4))
        for title, part in (("System prompt", self.prompt), ("Thinking", self.thinking)):
            column.addWidget(_part(title, part))
        column.addWidget(self.context)
        column.addWidget(_part("Precision of the context", self.kv_box))
        column.addWidget(label("Sampling", "strong"))
        column.addWidget(self.form)
        column.addStretch(1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setWidget(content)
        cancel = button("Cancel")
        cancel.clicked.connect(self.reject)
        buttons = QHBoxLayout()
        set_spacing(buttons, SPACE_2, (SPACE_5, SPACE_4, SPACE_5, SPACE_4))
        buttons.addWidget(self.reset_button)
        buttons.addStretch(1)
        buttons.addWidget(cancel)
        buttons.addWidget(self.use_button)
        head = QVBoxLayout()
        set_spacing(head, 2, (SPACE_5, SPACE_4, SPACE_5, SPACE_4))
        head.addWidget(label(contestant.name, "lead", wrap=True))
        head.addWidget(label("What is not set here is as in the comparison, the settings and the model.", "caption", wrap=True))
        whole = QVBoxLayout(self)
        set_spacing(whole, 0, (1, 1, 1, 1))
        whole.addLayout(head)
        whole.addWidget(divider())
        whole.addWidget(area, 1)
        whole.addWidget(divider())
        whole.addLayout(buttons)

    @property
    def settings(self) -> ContestantSettings:
        """As they are set now."""
        typed, kv_type = self.prompt.toPlainText(), self.kv_box.currentData()
        return msgspec.structs.replace(
            self._settings, system_prompt=typed if typed.strip() else None, thinking=self.thinking.currentData(),
            ctx=self.context.value, kv_type=KvType(kv_type) if kv_type is not None else None)

    def _show(self, settings: ContestantSettings) -> None:
        self._settings = settings
        self.prompt.setPlainText(settings.system_prompt or "")
        self.thinking.setCurrentIndex(max(0, self.thinking.findData(settings.thinking)))
        self.context.show_value(settings.ctx, self._services.settings.integer("context_tokens"))
        self.kv_box.setCurrentIndex(max(0, self.kv_box.findData(settings.kv_type.value if settings.kv_type else None)))
        self._show_sampling()

    def _show_sampling(self) -> None:
        """What holds where nothing is set may have to be read from the model's file."""
        own = ChatSettings(sampling=self._settings.sampling, thinking=self._settings.thinking)

        def show(effective: EffectiveSampling) -> None:
            if own.sampling == self._settings.sampling:
                self.form.show_sampling(effective)

        run_in_background(self, lambda: self._services.sampling.effective(self._key, own), show, lambda _error: None)

    def _on_value_chosen(self, key: str, value: float | None) -> None:
        sampling: SamplingValues = self._settings.sampling.with_number(key, value)
        self._settings = msgspec.structs.replace(self._settings, sampling=sampling)
        self._show_sampling()

    def _on_use_clicked(self) -> None:
        self.settings_chosen.emit(self.settings)
        self.accept()


def _part(title: str, widget: QWidget) -> QWidget:
    part = QWidget()
    column = QVBoxLayout(part)
    set_spacing(column, SPACE_2)
    column.addWidget(label(title, "strong"))
    column.addWidget(widget)
    return part

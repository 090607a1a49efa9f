"""What is set for one chat, as controls: instructions, sampling, thinking, a full context, seed. No services here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QIntValidator
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from localai_app.engine.sampling import SEED_BOUND, LogitBias, bias_text, parse_bias
from localai_app.engine.sampling_values import SamplingValues
from localai_app.gui.chat_panel.fold import Fold
from localai_app.gui.chat_panel.preset_row import PresetRow
from localai_app.gui.chat_panel.sampling_form import SamplingForm
from localai_app.gui.chat_panel.shape_field import ShapeField
from localai_app.gui.chat_panel.token_list import TokenList
from localai_app.gui.metrics import SPACE_2, SPACE_3, SPACE_4, SPACE_5, TypeSizes
from localai_app.gui.styling import (
    add_clear_button,
    button,
    combo_box,
    divider,
    icon_button,
    label,
    set_role,
    set_spacing,
)
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.wheel_guard import ignore_wheel_unless_focused
from localai_app.services.chat_format_words import THINKING_LABELS
from localai_app.services.chat_settings import ChatSettings
from localai_app.services.sampling_service import EffectiveSampling, Preset
from localai_app.settings.declaration import SPECS

PANEL_WIDTH = 304
GROWTH_SHARE = 0.6
"""Of the growth of the text."""
PROMPT_HEIGHT = 88
STOP_HEIGHT = 56
WRITE_DELAY_MS = 600
"""Text is stored when nothing was typed for this long, and before anything else is shown in its place."""


@dataclass(frozen=True, slots=True)
class PanelFacts:
    """What the panel shows besides the chat's own settings."""

    effective: EffectiveSampling
    presets: Sequence[Preset]
    model_name: str
    """Empty: no model is chosen."""
    default_prompt: str
    default_overflow: str
    thinking: Sequence[str] = ()
    """What the model offers, its own choice first in `default_thinking`."""
    default_thinking: str = ""


class ChatPanel(QFrame):
    """Shows settings and announces changed ones as a whole; what is announced is shown again by its owner."""

    settings_changed = Signal(object)
    keep_for_model_requested = Signal()
    close_requested = Signal()

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        set_role(self, "sidebar")
        self._theme = theme
        theme.changed.connect(self._fit)
        self._fit()
        self._settings = ChatSettings()
        self.close_button = icon_button("x", "Close the panel", theme)
        self.close_button.clicked.connect(self.close_requested)
        self.prompt = _text_field("System prompt", PROMPT_HEIGHT)
        self.presets = PresetRow(theme)
        self.presets.preset_chosen.connect(self._on_preset_chosen)
        self.form = SamplingForm(theme)
        self.form.value_chosen.connect(self._on_value_chosen)
        self.keep_button = button("Use for this model", compact=True)
        self.keep_button.setToolTip("All chats with this model begin with these values")
        self.keep_button.clicked.connect(self.keep_for_model_requested)
        self.reset_button = button("Reset all", "link", compact=True)
        self.reset_button.clicked.connect(lambda: self._change(sampling=SamplingValues()))
        self.recommendation = label("", "caption", wrap=True)
        self.thinking_box = self._choice_box("Thinking", "thinking")
        self.overflow_box = self._choice_box("When the context is full", "overflow")
        self.seed = QLineEdit()
        self.seed.setAccessibleName("Seed")
        self.seed.setPlaceholderText("Random")
        self.seed.setToolTip("The same seed and the same questions give the same answers")
        self.seed.setValidator(QIntValidator(0, min(SEED_BOUND - 1, 2**31 - 1), self.seed))
        self.seed.editingFinished.connect(self._on_seed_edited)
        add_clear_button(self.seed, "Take a random seed", theme)
        self.shape = ShapeField()
        self.shape.changed.connect(self._on_shape_changed)
        self.stop = _text_field("Texts that end an answer", STOP_HEIGHT)
        self.stop.setPlaceholderText("One text a line")
        self.biases = _text_field("Token biases", STOP_HEIGHT)
        self.biases.setPlaceholderText("word=-5, one a line")
        self.biases.setToolTip("Above 0 makes a token likelier, below 0 rarer, -100 forbids it; a number names a token itself")
        self.bias_note = label("", "caption-bad", wrap=True)
        self.bias_note.hide()
        self.tokens = TokenList()
        self.tokens.wanted_changed.connect(lambda wanted: self._change(logprobs=wanted))
        self._thinking_part = QWidget()
        self._timer = QTimer(self, singleShot=True, interval=WRITE_DELAY_MS)
        self._timer.timeout.connect(self.write_texts)
        for field in (self.prompt, self.stop, self.biases):
            field.textChanged.connect(self._timer.start)
        self._lay_out(theme)

    def _fit(self) -> None:
        """Wider with the text, though less so: the chat beside it needs the room as well."""
        growth = max(1.0, self._theme.sizes.body / TypeSizes().body)
        self.setFixedWidth(round(PANEL_WIDTH * (1 + GROWTH_SHARE * (growth - 1))))

    def _lay_out(self, theme: ThemeState) -> None:
        head = set_role(QFrame(), "toolbar")
        row = QHBoxLayout(head)
        set_spacing(row, SPACE_2, (SPACE_4, 0, SPACE_3, 0))
        row.addWidget(label("This chat", "lead"), 1)
        row.addWidget(self.close_button)
        self.area = QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.area.setWidget(self._build_content(theme))
        parts = QVBoxLayout()
        set_spacing(parts, 0)
        parts.addWidget(head)
        parts.addWidget(self.area, 1)
        layout = QHBoxLayout(self)
        set_spacing(layout, 0)
        layout.addWidget(divider(vertical=True))
        layout.addLayout(parts, 1)

    def _build_content(self, theme: ThemeState) -> QWidget:
        content = QWidget()
        column = QVBoxLayout(content)
        set_spacing(column, SPACE_5, (SPACE_4, SPACE_4, SPACE_4, SPACE_4))
        column.addWidget(_part("System prompt", self.prompt))
        thinking = QVBoxLayout(self._thinking_part)
        set_spacing(thinking, 0)
        thinking.addWidget(_part("Thinking", self.thinking_box))
        column.addWidget(self._thinking_part)
        column.addWidget(_part("Preset", self.presets, self.recommendation))
        column.addWidget(self.form)
        buttons = QHBoxLayout()
        set_spacing(buttons, SPACE_2)
        buttons.addWidget(self.keep_button)
        buttons.addWidget(self.reset_button)
        buttons.addStretch(1)
        column.addLayout(buttons)
        column.addWidget(_part("Seed", self.seed))
        column.addWidget(_part("When the context is full", self.overflow_box))
        fold = Fold("Shape of the answer", theme)
        fold.add(self.shape)
        fold.add(_part("Texts that end an answer", self.stop))
        fold.add(_part("Token biases", self.biases, self.bias_note))
        self.shape_fold = fold
        column.addWidget(fold)
        self.token_fold = Fold("Token probabilities", theme)
        self.token_fold.add(self.tokens)
        column.addWidget(self.token_fold)
        column.addStretch(1)
        return content

    def show_settings(self, settings: ChatSettings, facts: PanelFacts) -> None:
        """Show what is set and what holds where nothing is, without announcing it."""
        before = self._settings
        if self._timer.isActive():
            self.write_texts()
            if self._settings is not before:
                # Shown once it is stored.
                return
        self._settings = settings
        _show_text(self.prompt, settings.system_prompt or "")
        default = facts.default_prompt.strip()
        self.prompt.setPlaceholderText(f"As in the settings: {default}" if default else "Instructions for the model")
        _show_text(self.stop, "\n".join(settings.sampling.stop or ()))
        biases = settings.sampling.logit_bias
        self._show_biases(biases or (), is_same=biases == before.sampling.logit_bias)
        self.presets.show_presets(facts.presets, SamplingValues(numbers=settings.sampling.numbers))
        self.form.show_sampling(facts.effective)
        recommendation = facts.effective.recommendation
        self.recommendation.setText(recommendation.words if recommendation is not None else "Nothing is recommended for it.")
        self.recommendation.setToolTip(recommendation.source if recommendation is not None else "")
        has_own = bool(settings.sampling.numbers)
        self.recommendation.setVisible(bool(facts.model_name) and not has_own)
        self.keep_button.setVisible(has_own and bool(facts.model_name))
        self.reset_button.setVisible(has_own)
        self.seed.setText("" if settings.seed is None else str(settings.seed))
        self._show_thinking(facts)
        self._show_overflow(facts.default_overflow)
        sampling = settings.sampling
        self.shape.show_shape(sampling.json_schema or "", sampling.grammar or "")
        self.tokens.show_wanted(settings.logprobs)
        if settings.logprobs is not None:
            self.token_fold.open()
        if sampling.json_schema or sampling.grammar or sampling.stop or sampling.logit_bias:
            self.shape_fold.open()

    def forget_unused(self) -> None:
        """What is written with a mistake belongs to a chat that is no longer shown."""
        self.shape.forget()
        self.bias_note.hide()

    def write_texts(self) -> None:
        """Announce what was typed, now."""
        self._timer.stop()
        typed = self.prompt.toPlainText()
        stop = tuple(line for line in self.stop.toPlainText().split("\n") if line)
        values = msgspec.structs.replace(self._settings.sampling, stop=stop or None, logit_bias=self._typed_biases())
        self._change(system_prompt=typed if typed.strip() else None, sampling=values)

    def _typed_biases(self) -> tuple[LogitBias, ...] | None:
        """What is written, or what was set before where a line makes no sense, which is told."""
        lines = [line for line in self.biases.toPlainText().split("\n") if line.strip()]
        biases = [parse_bias(line) for line in lines]
        wrong = next((line for line, bias in zip(lines, biases, strict=True) if bias is None), "")
        self.bias_note.setText(f"Not used yet: “{wrong}” is not of the form word=-5.")
        self.bias_note.setVisible(bool(wrong))
        return self._settings.sampling.logit_bias if wrong else tuple(bias for bias in biases if bias is not None) or None

    def _show_biases(self, biases: Sequence[LogitBias], *, is_same: bool) -> None:
        """A text with a mistake stays until it is mended or other biases are set."""
        if self.bias_note.isHidden() or not is_same:
            self.bias_note.hide()
            _show_text(self.biases, "\n".join(bias_text(entry) for entry in biases))

    def _show_thinking(self, facts: PanelFacts) -> None:
        usual = THINKING_LABELS.get(facts.default_thinking, facts.default_thinking).lower()
        own = f"As the model does ({usual})" if usual else "As the model does"
        choices = [(None, own), *((name, THINKING_LABELS.get(name, name)) for name in facts.thinking)]
        _fill(self.thinking_box, choices, self._settings.thinking)
        self._thinking_part.setVisible(len(facts.thinking) > 1)

    def _show_overflow(self, default: str) -> None:
        policies = [(choice.value, choice.label) for choice in SPECS["context_policy"].choices]
        own = next((words for value, words in policies if value == default), default)
        _fill(self.overflow_box, [(None, "As in the settings"), *policies], self._settings.overflow)
        self.overflow_box.setToolTip(f"In the settings: {own[:1].lower()}{own[1:]}")

    def _choice_box(self, name: str, field: str) -> QComboBox:
        box = combo_box()
        box.setAccessibleName(name)
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        box.setMinimumContentsLength(12)
        box.activated.connect(lambda _index: self._change(**{field: box.currentData()}))
        ignore_wheel_unless_focused(box)
        return box

    def _on_value_chosen(self, key: str, value: float | None) -> None:
        self._change(sampling=self._settings.sampling.with_number(key, value))

    def _on_preset_chosen(self, values: SamplingValues) -> None:
        own = self._settings.sampling
        self._change(sampling=msgspec.structs.replace(own, numbers=dict(values.numbers)))

    def _on_shape_changed(self, schema: str, grammar: str) -> None:
        self._change(sampling=msgspec.structs.replace(
            self._settings.sampling, json_schema=schema or None, grammar=grammar or None))

    def _on_seed_edited(self) -> None:
        text = self.seed.text().strip()
        self._change(seed=int(text) if text.isdecimal() else None)

    def _change(self, **changes: object) -> None:
        changed = msgspec.structs.replace(self._settings, **changes)
        if changed != self._settings:
            self._settings = changed
            self.settings_changed.emit(changed)


def _text_field(name: str, height: int) -> QPlainTextEdit:
    field = QPlainTextEdit()
    field.setAccessibleName(name)
    field.setFixedHeight(height)
    field.setTabChangesFocus(True)
    return field


def _show_text(field: QPlainTextEdit, text: str) -> None:
    if field.toPlainText() != text and not field.hasFocus():
        field.blockSignals(True)
        field.setPlainText(text)
        field.blockSignals(False)


def _fill(box: QComboBox, choices: Sequence[tuple[str | None, str]], current: str | None) -> None:
    box.clear()
    for value, words in choices:
        box.addItem(words, value)
        box.setItemData(box.count() - 1, words, Qt.ItemDataRole.ToolTipRole)
    box.setCurrentIndex(max(0, next((index for index, (value, _words) in enumerate(choices) if value == current), 0)))


def _part(title: str, *widgets: QWidget) -> QWidget:
    part = QWidget()
    column = QVBoxLayout(part)
    set_spacing(column, SPACE_2)
    words: QLabel = label(title, "strong")
    column.addWidget(words)
    for widget in widgets:
        column.addWidget(widget)
    return part

"""How a comparison runs: seed, temperature, length, repeats, way, and what stays hidden."""

from __future__ import annotations

import msgspec
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from localai_app.compare.comparison import Way
from localai_app.engine.sampling import SPEC_OF
from localai_app.gui.metrics import SPACE_1, SPACE_2, SPACE_3, SPACE_5
from localai_app.gui.settings.spin_boxes import OpenDoubleSpinBox, OpenSpinBox
from localai_app.gui.styling import combo_box, label, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.flow_layout import FlowLayout
from localai_app.gui.widgets.switch import Switch
from localai_app.gui.widgets.wheel_guard import ignore_wheel_unless_focused
from localai_app.services.compare.drafts import CompareDraft

WAYS = ((None, "Automatic"), (Way.SIDE_BY_SIDE, "Side by side"), (Way.IN_TURN, "In turn"))
MOST_TOKENS, MOST_REPEATS, MOST_SEED = 32_768, 20, 2**31 - 1


class RunOptions(QWidget):
    """Announces a draft with the fields in `FIELDS` as they are set here."""

    draft_changed = Signal(object)
    FIELDS = ("seed", "same_seed", "temperature", "max_tokens", "repeats", "way", "hides_speed")

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._draft = CompareDraft()
        self._is_showing = False
        self.same_seed = _switch(
            theme, "Same seed for all",
            "Each repeat is sampled with one seed by all, so that chance is the same for everybody; otherwise every answer has "
            "a seed of its own")
        self.seed = _spin(0, MOST_SEED, "Seed", "Also decides in which order the contestants run")
        self.temperature = OpenDoubleSpinBox()
        spec = SPEC_OF["temperature"]
        self.temperature.setRange(spec.minimum - spec.step, spec.maximum)
        self.temperature.setSingleStep(spec.step)
        self.temperature.setDecimals(2)
        self.temperature.setSpecialValueText("Each model's own")
        _prepare(self.temperature, "Temperature", "For all; what a contestant has set itself goes before")
        self.max_tokens = _spin(0, MOST_TOKENS, "Longest answer in tokens", "Answers end after this many tokens")
        self.max_tokens.setSpecialValueText("As in the settings")
        self.max_tokens.setSingleStep(64)
        self.repeats = _spin(1, MOST_REPEATS, "Repeats", "How often each contestant answers each prompt")
        self.way = combo_box()
        self.way.setAccessibleName("How contestants run")
        self.way.setToolTip("Automatic: side by side where all fit into memory and it is not slower, else in turn")
        for way, words in WAYS:
            self.way.addItem(words, way)
        ignore_wheel_unless_focused(self.way)
        self.hides_speed = _switch(
            theme, "Hide speed until the vote",
            "In a blind comparison answers appear at once when all are ready, and figures after the vote: who is faster could "
            "tell who it is")
        for control, width in (
            (self.seed, 104), (self.temperature, 156), (self.max_tokens, 156), (self.repeats, 76), (self.way, 132)
        ):
            control.setMinimumWidth(theme.sizes.grown(width))
            control.setMaximumWidth(theme.sizes.grown(width))
        for spin in (self.seed, self.max_tokens, self.repeats, self.temperature):
            spin.valueChanged.connect(self._on_changed)
        for switch in (self.same_seed, self.hides_speed):
            switch.toggled.connect(self._on_changed)
        self.way.activated.connect(self._on_changed)
        hides = _row(self.hides_speed, label("hide speed", "caption"))
        hides.setMinimumHeight(self.seed.sizeHint().height())
        self._hides_part = _below("Until the vote", hides)
        flow = FlowLayout(self, across=SPACE_5, down=SPACE_3)
        for part in (
            _below("Seed", _row(self.same_seed, label("same for all", "caption"), self.seed)),
            _below("Temperature", self.temperature),
            _below("Longest answer", self.max_tokens),
            _below("Repeats", self.repeats),
            _below("How they run", self.way),
            self._hides_part,
        ):
            flow.addWidget(part)

    def show_draft(self, draft: CompareDraft) -> None:
        """Show what is set, without announcing it."""
        self._draft, self._is_showing = draft, True
        self.same_seed.setChecked(draft.same_seed)
        self.seed.setValue(draft.seed)
        low = self.temperature.minimum()
        self.temperature.setValue(low if draft.temperature is None else draft.temperature)
        self.max_tokens.setValue(draft.max_tokens or 0)
        self.repeats.setValue(draft.repeats)
        self.way.setCurrentIndex(next(index for index, (way, _words) in enumerate(WAYS) if way == draft.way))
        self.hides_speed.setChecked(draft.hides_speed)
        self._is_showing = False
        self._hides_part.setVisible(draft.is_blind)

    def _on_changed(self, _value: object = None) -> None:
        if self._is_showing:
            return
        low = self.temperature.minimum()
        value = self.temperature.value()
        # Qt hands a StrEnum back as a plain text.
        way = self.way.currentData()
        self._draft = msgspec.structs.replace(
            self._draft, same_seed=self.same_seed.isChecked(), seed=self.seed.value(),
            temperature=None if value <= low else round(value, 2), max_tokens=self.max_tokens.value() or None,
            repeats=self.repeats.value(), way=Way(way) if way is not None else None, hides_speed=self.hides_speed.isChecked())
        self.draft_changed.emit(self._draft)


def _switch(theme: ThemeState, name: str, words: str) -> Switch:
    switch = Switch(theme)
    switch.setAccessibleName(name)
    switch.setToolTip(words)
    return switch


def _spin(low: int, high: int, name: str, words: str) -> OpenSpinBox:
    spin = OpenSpinBox()
    spin.setRange(low, high)
    _prepare(spin, name, words)
    return spin


def _prepare(spin: OpenSpinBox | OpenDoubleSpinBox, name: str, words: str) -> None:
    spin.setAccessibleName(name)
    spin.setToolTip(words)
    spin.setKeyboardTracking(False)
    spin.lineEdit().setTextMargins(SPACE_2 + 1, 0, 0, 0)
    ignore_wheel_unless_focused(spin)


def _row(*parts: QWidget) -> QWidget:
    row = QWidget()
    layout = QHBoxLayout(row)
    set_spacing(layout, SPACE_2)
    for part in parts:
        layout.addWidget(part)
    return row


def _below(title: str, part: QWidget) -> QWidget:
    whole = QWidget()
    layout = QVBoxLayout(whole)
    set_spacing(layout, SPACE_1)
    layout.addWidget(label(title, "caption"))
    layout.addWidget(part)
    return whole

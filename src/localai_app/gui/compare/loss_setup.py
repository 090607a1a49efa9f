"""What is to be measured: model, reference, variants, text and length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QLayout, QMenu, QSizePolicy, QVBoxLayout, QWidget

from localai_app.compare.loss import LossResult, TextSource
from localai_app.fit.result import SpeedRange
from localai_app.gui.compare.loss_text_field import LossTextField
from localai_app.gui.compare.variant_chips import VariantChips, variant_title
from localai_app.gui.metrics import SPACE_1, SPACE_2, SPACE_3, SPACE_4
from localai_app.gui.styling import button, combo_box, label, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.wheel_guard import ignore_wheel_unless_focused
from localai_app.services.app_services import AppServices
from localai_app.services.compare.loss_choices import FileFacts, LossChoice, reference_words
from localai_app.services.compare.loss_time import expected_s, expected_words
from localai_app.services.views import InstalledModel
from localai_app.units import format_count, format_file_size

LENGTHS = (2_048, 8_192, 32_768, 131_072)
DEFAULT_LENGTH = 8_192
CHARS_PER_TOKEN = 4.0
"""Of English text; only for saying how long a text is."""


@dataclass(frozen=True, slots=True)
class LossRequest:
    """Everything that a measurement is started with."""

    reference_key: str
    variant_keys: tuple[str, ...]
    text: TextSource
    max_tokens: int


class LossSetup(QWidget):
    """The choices, and in words how long that takes."""

    changed = Signal()
    requantize_requested = Signal(str)
    download_requested = Signal(str)
    """The repository of the model, or empty."""
    failed = Signal(object)

    def __init__(self, services: AppServices, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._choices: tuple[LossChoice, ...] = ()
        self._added: dict[str, list[InstalledModel]] = {}
        """By the first key of a choice: what was added to it by hand."""
        self._facts: dict[str, FileFacts] = {}
        self._named_reference = ""
        """The one that was chosen by hand."""
        self._earlier: tuple[LossResult, ...] = ()
        self.models = _list_box("Model")
        self.models.currentIndexChanged.connect(self._on_model_changed)
        self.references = _list_box("Measured against")
        self.references.currentIndexChanged.connect(self._on_reference_changed)
        self.references.activated.connect(self._on_reference_activated)
        self.reason = label("", "caption", wrap=True)
        self.chips = VariantChips()
        self.chips.changed.connect(self.show_expected)
        self.alone = label("", "muted", wrap=True)
        self.add_button = button("Add a file…", compact=True)
        self.add_button.setToolTip("Measure an installed file that is not listed with this model")
        self.add_button.clicked.connect(self._on_add_clicked)
        self.requantize_button = button("Re-quantize…", compact=True)
        self.requantize_button.setToolTip("Make a smaller file of an installed one")
        self.requantize_button.clicked.connect(lambda: self.requantize_requested.emit(self.reference_key))
        self.download_button = button("Download another…", compact=True)
        self.download_button.clicked.connect(lambda: self.download_requested.emit(self._repo_id()))
        self.text_field = LossTextField(services, theme)
        self.text_field.changed.connect(self.show_expected)
        self.text_field.failed.connect(self.failed)
        self.length = _list_box("Length")
        self.length.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.length.setMinimumContentsLength(0)
        self.length.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        for tokens in LENGTHS:
            self.length.addItem(f"{format_count(tokens)} tokens", tokens)
        self.length.setCurrentIndex(LENGTHS.index(DEFAULT_LENGTH))
        self.length.setToolTip("Four times the length halves the errors")
        self.length.currentIndexChanged.connect(self.show_expected)
        self.expected = label("", "caption", wrap=True)
        self._lay_out()

    @property
    def reference_key(self) -> str:
        """What is measured against; empty where nothing is installed."""
        return str(self.references.currentData() or "")

    @property
    def request(self) -> LossRequest | None:
        """What would be measured now; None while something is missing."""
        text, variants = self.text_field.text, self.chips.chosen
        if text is None or not variants or not self.reference_key:
            return None
        return LossRequest(self.reference_key, variants, text, int(self.length.currentData()))

    def show_choices(self, choices: Sequence[LossChoice], facts: dict[str, FileFacts]) -> None:
        """Offer these; the choice is kept where it still can be."""
        chosen = self._choice()
        self._choices, self._facts = tuple(choices), dict(facts)
        self.models.blockSignals(True)
        self.models.clear()
        for choice in choices:
            n = len(choice.models)
            self.models.addItem(choice.name if n == 1 else f"{choice.name} · {n} variants")
        kept = [index for index, choice in enumerate(choices) if chosen is not None and set(choice.keys) & set(chosen.keys)]
        self.models.setCurrentIndex(kept[0] if kept else 0 if choices else -1)
        self.models.blockSignals(False)
        self._show_choice()

    def show_earlier(self, results: Sequence[LossResult]) -> None:
        """What was measured before tells how long it takes."""
        self._earlier = tuple(results)
        self.show_expected()

    def choose(self, model_key: str) -> None:
        """Choose the model that an installed file belongs to, with that file among what is measured."""
        index = next((index for index, choice in enumerate(self._choices) if model_key in choice.keys), -1)
        if index >= 0:
            self.models.setCurrentIndex(index)

    def set_locked(self, locked: bool) -> None:
        """Nothing can be changed while it is measured."""
        for part in (self.models, self.references, self.chips, self.add_button, self.text_field, self.length):
            part.setEnabled(not locked)

    def _lay_out(self) -> None:
        actions = QHBoxLayout()
        set_spacing(actions, SPACE_2)
        for action in (self.requantize_button, self.download_button, self.add_button):
            actions.addWidget(action)
        actions.addStretch(1)
        variants = QVBoxLayout()
        set_spacing(variants, SPACE_2)
        variants.addWidget(self.chips)
        variants.addWidget(self.alone)
        variants.addLayout(actions)
        reference = QVBoxLayout()
        set_spacing(reference, SPACE_1)
        reference.addWidget(self.references)
        reference.addWidget(self.reason)
        text = QHBoxLayout()
        set_spacing(text, SPACE_3)
        text.addWidget(self.text_field, 1)
        text.addWidget(self.length)
        grid = QGridLayout(self)
        set_spacing(grid, SPACE_3)
        grid.setHorizontalSpacing(SPACE_4)
        grid.setColumnStretch(1, 1)
        parts: tuple[QWidget | QLayout, ...] = (self.models, reference, variants, text)
        for row, (name, part) in enumerate(zip(("Model", "Measured against", "Variants", "Text"), parts, strict=True)):
            caption = label(name, "muted")
            caption.setContentsMargins(0, 0 if part is variants else SPACE_2, 0, 0)
            grid.addWidget(caption, row, 0, Qt.AlignmentFlag.AlignTop)
            if isinstance(part, QWidget):
                grid.addWidget(part, row, 1)
            else:
                grid.addLayout(part, row, 1)
        grid.addWidget(self.expected, 4, 1)

    def _choice(self) -> LossChoice | None:
        index = self.models.currentIndex()
        return self._choices[index] if 0 <= index < len(self._choices) else None

    def _offered(self) -> list[InstalledModel]:
        """The models of the choice, and what was added to it."""
        choice = self._choice()
        return [] if choice is None else [*choice.models, *self._added.get(choice.keys[0], [])]

    def _show_choice(self) -> None:
        choice, offered = self._choice(), self._offered()
        keys = [model.key for model in offered]
        best = choice.reference_key if choice is not None else ""
        reference_key = self._named_reference if self._named_reference in keys else best
        self.references.blockSignals(True)
        self.references.clear()
        for model in offered:
            title = variant_title(model, offered)
            self.references.addItem(f"{title} · {format_file_size(model.size_bytes)}", model.key)
        self.references.setCurrentIndex(keys.index(reference_key) if reference_key in keys else 0 if keys else -1)
        self.references.blockSignals(False)
        self._on_reference_changed()

    @Slot()
    def _on_model_changed(self) -> None:
        self._show_choice()

    @Slot()
    def _on_reference_activated(self) -> None:
        self._named_reference = self.reference_key

    @Slot()
    def _on_reference_changed(self) -> None:
        choice, offered = self._choice(), self._offered()
        others = [model for model in offered if model.key != self.reference_key]
        known = [self._facts[model.key] for model in offered if model.key in self._facts]
        self.reason.setText(reference_words(self.reference_key, known, choice.reference_key if choice else ""))
        self.reason.setVisible(bool(self.reason.text()) and len(offered) > 1)
        self.chips.setVisible(bool(others))
        self.alone.setVisible(not others)
        if not others and offered:
            name = offered[0].label or "one file"
            self.alone.setText(
                f"Only {name} of it is installed. Make a smaller file of it, or download another variant, to see what is lost.")
        self.chips.show_models(others)

    @Slot()
    def show_expected(self) -> None:
        """Say how long it would take, by what is known now."""
        request = self.request
        words = ""
        if request is not None:
            readable = round(len(request.text.text) / CHARS_PER_TOKEN)
            n_tokens = min(request.max_tokens, readable)
            span = expected_s(
                request.reference_key, request.variant_keys, n_tokens, self._earlier, self._speed_of)
            words = expected_words(span)
            if readable < request.max_tokens:
                words += f" The text is shorter than that: about {format_count(readable)} tokens."
            words += " What is loaded now is unloaded first."
        elif self._offered() and not self.chips.chosen:
            words = "Choose at least one variant to measure." if self.chips.isVisibleTo(self) else ""
        self.expected.setText(words)
        self.expected.setVisible(bool(words))
        self.changed.emit()

    def _speed_of(self, key: str) -> SpeedRange | None:
        fit = self._services.installed_fits.fit(key)
        return fit.speed if fit is not None else None

    def _repo_id(self) -> str:
        offered = self._offered()
        return next((model.repo_id for model in offered if model.repo_id), "")

    def build_add_menu(self) -> QMenu:
        """Installed files that are not offered."""
        menu = QMenu(self)
        offered = {model.key for model in self._offered()}
        for choice in self._choices:
            for model in choice.models:
                if model.key not in offered:
                    title = f"{model.name} · {model.label}" if model.label and model.label not in model.name else model.name
                    menu.addAction(title.replace("&", "&&")).triggered.connect(
                        lambda _checked=False, model=model: self.add_model(model))
        if not menu.actions():
            menu.addAction("No other file is installed").setEnabled(False)
        return menu

    def add_model(self, model: InstalledModel) -> None:
        """Offer a file beside those of the chosen model."""
        choice = self._choice()
        if choice is not None:
            self._added.setdefault(choice.keys[0], []).append(model)
            self._show_choice()

    def _on_add_clicked(self) -> None:
        menu = self.build_add_menu()
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(self.add_button.mapToGlobal(self.add_button.rect().bottomLeft()))


def _list_box(name: str) -> QComboBox:
    box = combo_box()
    box.setAccessibleName(name)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    box.setMinimumContentsLength(8)
    box.setSizeAdjustPolicy(box.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    ignore_wheel_unless_focused(box)
    return box

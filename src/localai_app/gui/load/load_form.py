"""Everything that can be chosen about a load, as controls."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QFrame, QHBoxLayout, QVBoxLayout, QWidget

from localai_app.engine.protocol import KvType, LoadOptions
from localai_app.fit.result import FitResult, Request, Verdict
from localai_app.gui.load.context_field import ContextField
from localai_app.gui.load.count_field import CountField
from localai_app.gui.load.draft_field import DraftField
from localai_app.gui.load.shared_layers import SharedLayers
from localai_app.gui.load.template_field import TemplateField
from localai_app.gui.metrics import SPACE_2, SPACE_4, SPACE_5
from localai_app.gui.models.context_card import KV_WORDS
from localai_app.gui.styling import combo_box, label, set_role, set_spacing
from localai_app.gui.widgets.gauge import short_gpu_name
from localai_app.gui.widgets.wheel_guard import ignore_wheel_unless_focused
from localai_app.services.load_previews import LoadFacts, LoadGpu
from localai_app.services.load_settings import LoadSettings
from localai_app.units import format_gib

CONTROL_WIDTH = 184
LAYERS_HELP = "How many layers run on the GPU; 0 uses the processor alone"
EXPERTS_HELP = "Blocks whose experts stay in main memory, so that the rest of the model fits on the GPU"


class LoadForm(QFrame):
    """Controls show the defaults until somebody changes one; `settings` holds only what was changed."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        set_role(self, "card")
        self._facts: LoadFacts | None = None
        self._default = Request()
        self._kv_type: KvType | None = None
        self.context = ContextField()
        self.context.value_changed.connect(self.changed)
        self.kv_box = combo_box()
        self.kv_box.setAccessibleName("Context precision")
        self.kv_box.setToolTip("How finely the context is kept: fewer bits take less memory and lose a little")
        for kv_type, words in KV_WORDS.items():
            self.kv_box.addItem(words, kv_type.value)
        self.kv_box.activated.connect(self._on_kv_chosen)
        ignore_wheel_unless_focused(self.kv_box)
        self.layers = CountField("Layers on the GPU", LAYERS_HELP)
        self.layers.value_changed.connect(self.changed)
        self.experts = CountField("Experts in main memory", EXPERTS_HELP)
        self.experts.value_changed.connect(self.changed)
        self.template = TemplateField()
        self.template.value_changed.connect(self.changed)
        self.draft = DraftField()
        self.draft.value_changed.connect(self.changed)
        self.measured = label("", "caption", wrap=True)
        self.shared = SharedLayers()
        self.shared.changed.connect(self.changed)
        self.gpu_boxes: dict[str, QCheckBox] = {}
        self._gpus = QWidget()
        self._gpu_column = QVBoxLayout(self._gpus)
        set_spacing(self._gpu_column, SPACE_2)
        self._gpu_column.addWidget(label("GPUs to use", "strong"))
        self._lay_out()

    def _lay_out(self) -> None:
        memory = QWidget()
        row = QHBoxLayout(memory)
        set_spacing(row, SPACE_2)
        row.addWidget(label("Context precision", "strong"))
        row.addStretch(1)
        row.addWidget(self.kv_box)
        layout = QVBoxLayout(self)
        set_spacing(layout, SPACE_5, (SPACE_5, SPACE_4, SPACE_5, SPACE_5))
        of_gpus = (self.layers, self.experts, self._gpus, self.shared)
        for part in (self.context, memory, *of_gpus, self.template, self.draft, self.measured):
            layout.addWidget(part)
        layout.addStretch(1)
        for part in (self.layers, self.experts, self._gpus, self.shared, self.measured):
            part.hide()
        spins = (self.context.spin, self.layers.spin, self.experts.spin)
        for control in (*spins, self.kv_box, self.shared.main_box, self.shared.parts, self.template.box, self.draft.box):
            control.setMinimumWidth(CONTROL_WIDTH)

    @property
    def settings(self) -> LoadSettings:
        """What was changed."""
        has_gpus, has_more = bool(self.gpu_boxes), len(self.gpu_boxes) > 1
        return LoadSettings(
            ctx=self.context.value, kv_type=self._kv_type, gpu_layers=self.layers.value if has_gpus else None,
            experts_on_cpu=self.experts.value if has_gpus else None,
            without_devices=tuple(name for name, box in self.gpu_boxes.items() if not box.isChecked()),
            main_device=self.shared.main_device if has_more else "", tensor_split=self.shared.tensor_split if has_more else (),
            chat_template=self.template.value, draft=self.draft.value)

    def show_model(self, facts: LoadFacts, gpus: Sequence[LoadGpu], default: Request) -> None:
        """Offer what this model and this computer have. What only a GPU needs is left out where there is none."""
        self._facts, self._default = facts, default
        self.context.show_limits(facts.ctx_train)
        self.layers.show_limit(facts.layers)
        self.experts.show_limit(facts.blocks_with_experts)
        self.template.show_own(facts.chat_template, is_known=facts.problem is None)
        self.draft.show_models(facts.draft_models)
        self._show_gpus(gpus)
        self.layers.setVisible(bool(gpus))
        self.experts.setVisible(bool(gpus) and facts.blocks_with_experts > 0)

    def show_defaults(self, default: Request) -> None:
        """What the program's settings ask for, while nothing is known of the model."""
        self._default = default
        self.show_settings(LoadSettings())

    def show_settings(self, settings: LoadSettings) -> None:
        """Show these, without announcing them."""
        self._kv_type = settings.kv_type
        self.context.show_value(settings.ctx, self._default.default_ctx)
        self.kv_box.setCurrentIndex(self.kv_box.findData((settings.kv_type or self._default.kv_type).value))
        self.template.show_value(settings.chat_template)
        self.draft.show_value(settings.draft)
        self.layers.show_value(settings.gpu_layers)
        self.experts.show_value(settings.experts_on_cpu)
        self.shared.show_values(settings.main_device, settings.tensor_split)
        for name, box in self.gpu_boxes.items():
            box.blockSignals(True)
            box.setChecked(name not in settings.without_devices)
            box.blockSignals(False)

    def show_measured(self, sentence: str) -> None:
        """Say how the model was measured to run fastest here; nothing where it was not."""
        self.measured.setText(sentence)
        self.measured.setVisible(bool(sentence))

    def show_fit(self, fit: FitResult) -> None:
        """Say beside each control what the fit makes of it."""
        self.context.show_fit(fit)
        if self._facts is not None:
            is_out_of_reach = fit.verdict is Verdict.NO and bool(self.layers.value)
            self.layers.show_hint(
                f"Out of reach: {self.layers.value} do not fit on the GPU now." if is_out_of_reach
                else self._layers_words(fit.load_options, self._facts.layers), is_out_of_reach=is_out_of_reach)
            self.experts.show_hint(self._experts_words(fit.load_options, self._facts.blocks_with_experts))

    def _layers_words(self, options: LoadOptions | None, layers: int) -> str:
        default = self._default.gpu_layers
        if self.layers.value is None and default is not None:
            return f"As in the settings: {default}"
        if self.layers.value is None and options is not None and layers:
            return f"Chosen now: {options.gpu_layers} of {layers}"
        return f"{layers} in all" if layers else ""

    def _experts_words(self, options: LoadOptions | None, blocks: int) -> str:
        if self.experts.value is None and options is not None:
            return f"Chosen now: {options.cpu_expert_blocks} of {blocks} blocks"
        return f"{blocks} blocks in all"

    def _show_gpus(self, gpus: Sequence[LoadGpu]) -> None:
        if [gpu.id for gpu in gpus] != list(self.gpu_boxes):
            for box in self.gpu_boxes.values():
                self._gpu_column.removeWidget(box)
                box.hide()
                box.deleteLater()
            self.gpu_boxes = {gpu.id: self._make_box() for gpu in gpus}
        names = [gpu.name for gpu in gpus]
        for gpu in gpus:
            twin = f" ({gpu.id})" if names.count(gpu.name) > 1 else ""
            self.gpu_boxes[gpu.id].setText(f"{short_gpu_name(gpu.name)}{twin}, {format_gib(gpu.free_bytes)} free")
            self.gpu_boxes[gpu.id].setToolTip(gpu.name)
        self._gpus.setVisible(bool(gpus))
        self.shared.show_gpus(gpus)

    def _make_box(self) -> QCheckBox:
        box = QCheckBox()
        box.setChecked(True)
        box.toggled.connect(lambda _is_on: self.changed.emit())
        self._gpu_column.addWidget(box)
        return box

    def _on_kv_chosen(self, _index: int) -> None:
        self._kv_type = KvType(self.kv_box.currentData())
        self.changed.emit()



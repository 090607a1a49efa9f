"""All numbers of the sampling: the usual ones in sight, the others folded by subject."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from localai_app.engine.sampling import SAMPLING_SPECS, SamplingGroup
from localai_app.gui.chat_panel.fold import Fold
from localai_app.gui.chat_panel.number_field import NumberField
from localai_app.gui.metrics import SPACE_3
from localai_app.gui.styling import set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.services.sampling_service import EffectiveSampling, Origin


class SamplingForm(QWidget):
    """Shows the values in force and says what is chosen; keeps nothing."""

    value_chosen = Signal(str, object)

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.fields: dict[str, NumberField] = {}
        self.folds: dict[SamplingGroup, Fold] = {}
        column = QVBoxLayout(self)
        set_spacing(column, SPACE_3)
        for spec in SAMPLING_SPECS:
            field = self.fields[spec.key] = NumberField(spec)
            field.value_chosen.connect(self.value_chosen)
            if spec.group is SamplingGroup.BASIC:
                column.addWidget(field)
                continue
            if spec.group not in self.folds:
                self.folds[spec.group] = Fold(spec.group.value, theme)
                column.addWidget(self.folds[spec.group])
            self.folds[spec.group].add(field)

    def show_sampling(self, effective: EffectiveSampling) -> None:
        """Show each value with where it comes from; a fold that holds something set for the chat is opened."""
        for key, field in self.fields.items():
            is_own = effective.origins[key] is Origin.CHAT
            value, instead = getattr(effective.sampling, key), getattr(effective.below_chat, key)
            field.show_value(value, effective.words(key), is_own=is_own, instead=instead)
            if is_own and field.spec.group in self.folds:
                self.folds[field.spec.group].open()

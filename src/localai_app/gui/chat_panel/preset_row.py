"""Presets: values under a name, chosen, saved and removed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QInputDialog, QMenu, QWidget

from localai_app.engine.sampling_values import SamplingValues
from localai_app.gui.metrics import SPACE_2
from localai_app.gui.styling import combo_box, icon_button, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.wheel_guard import ignore_wheel_unless_focused
from localai_app.services.sampling_service import Preset

NOTHING = "As recommended"
OWN = "Own values"


class PresetRow(QWidget):
    """`preset_chosen` has the values of a preset; empty ones for the recommendation."""

    preset_chosen = Signal(object)
    save_requested = Signal(str)
    remove_requested = Signal(str)

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._presets: tuple[Preset, ...] = ()
        self.box = combo_box()
        self.box.setAccessibleName("Preset")
        self.box.activated.connect(self._on_activated)
        ignore_wheel_unless_focused(self.box)
        self.menu_button = icon_button("dots", "Save or remove presets", theme)
        self.menu_button.clicked.connect(self._on_menu_clicked)
        row = QHBoxLayout(self)
        set_spacing(row, SPACE_2)
        row.addWidget(self.box, 1)
        row.addWidget(self.menu_button)

    def show_presets(self, presets: Sequence[Preset], values: SamplingValues) -> None:
        """Offer these, and mark the one whose values are set."""
        self._presets = tuple(presets)
        self.box.clear()
        self.box.addItem(NOTHING, None)
        for preset in presets:
            self.box.addItem(preset.name, preset.name)
        current = next((preset.name for preset in presets if preset.values == values), None)
        if values.is_empty or current is not None:
            self.box.setCurrentIndex(self.box.findData(current) if current is not None else 0)
            return
        self.box.addItem(OWN, OWN)
        self.box.setCurrentIndex(self.box.count() - 1)

    def _on_activated(self, _index: int) -> None:
        chosen = self.box.currentData()
        if chosen is None:
            self.preset_chosen.emit(SamplingValues())
        preset = next((preset for preset in self._presets if preset.name == chosen), None)
        if preset is not None:
            self.preset_chosen.emit(preset.values)

    def _on_menu_clicked(self) -> None:
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        menu.addAction("Save these values as a preset…", self._on_save_triggered)
        for preset in self._presets:
            if not preset.is_built_in:
                menu.addAction(f"Remove “{preset.name}”", partial(self.remove_requested.emit, preset.name))
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(self.menu_button.mapToGlobal(self.menu_button.rect().bottomLeft()))

    def _on_save_triggered(self) -> None:
        name, is_accepted = QInputDialog.getText(self, "Save as a preset", "Name of the preset:")
        if is_accepted and name.strip():
            self.save_requested.emit(name)

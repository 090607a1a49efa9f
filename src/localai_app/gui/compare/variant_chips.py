"""Chips for the variants that are to be measured."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QPushButton, QWidget

from localai_app.gui.metrics import SPACE_2
from localai_app.gui.styling import button
from localai_app.gui.widgets.flow_layout import FlowLayout
from localai_app.services.views import InstalledModel
from localai_app.units import format_file_size


class VariantChips(QWidget):
    """One chip for each variant, checked at first; what was unchecked stays so while the list changes."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._chips: dict[str, QPushButton] = {}
        self._unchecked: set[str] = set()
        self._flow = FlowLayout(self, across=SPACE_2, down=SPACE_2)

    @property
    def chosen(self) -> tuple[str, ...]:
        """Keys of the checked ones."""
        return tuple(key for key, chip in self._chips.items() if chip.isChecked())

    def chip(self, key: str) -> QPushButton:
        """The chip of a model; KeyError where it has none."""
        return self._chips[key]

    def show_models(self, models: Sequence[InstalledModel]) -> None:
        """Offer these."""
        while (item := self._flow.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        self._chips.clear()
        for model in models:
            title = variant_title(model, models)
            chip = button(f"{title} · {format_file_size(model.size_bytes)}".replace("&", "&&"), "chip")
            chip.setCheckable(True)
            chip.setChecked(model.key not in self._unchecked)
            chip.setToolTip(f"{model.name}\n{model.paths[0]}")
            chip.setAccessibleName(f"Measure {title}")
            chip.toggled.connect(lambda checked, key=model.key: self._on_toggled(key, checked))
            self._chips[model.key] = chip
            self._flow.addWidget(chip)
        self.updateGeometry()
        self.changed.emit()

    def _on_toggled(self, key: str, checked: bool) -> None:
        if checked:
            self._unchecked.discard(key)
        else:
            self._unchecked.add(key)
        self.changed.emit()


def variant_title(model: InstalledModel, others: Sequence[InstalledModel]) -> str:
    """The label, with what tells it apart where several of them have the same."""
    title = model.label or model.name
    if sum((other.label or other.name) == title for other in others if other.key != model.key) == 0:
        return title
    publisher = model.repo_id.partition("/")[0] if model.repo_id else model.paths[0].stem
    same = [other for other in others if other.key != model.key and other.repo_id.partition("/")[0] == publisher]
    return f"{title} ({publisher})" if not same else f"{title} ({model.paths[0].stem})"

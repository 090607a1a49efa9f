"""The variants of one model: size, loss, memory, verdict, speed, longest context, and a download button each."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QPushButton, QWidget

from localai_app.gui.metrics import SPACE_2, SPACE_3, SPACE_5
from localai_app.gui.models.wording import BASIS_WORDS, speed_words
from localai_app.gui.styling import button, divider, label, set_role, set_spacing
from localai_app.gui.widgets.badge import Badge
from localai_app.services.views import DownloadView, VariantRow
from localai_app.units import format_context, format_file_size, format_gib

HEADER = ("Variant", "Size", "Quality loss", "Needs", "Here", "Speed", "Longest context", "")
BUTTON_COLUMN = len(HEADER) - 1


class VariantsTable(QFrame):
    """A card with one line for each variant."""

    download_requested = Signal(str)
    chat_requested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        set_role(self, "card")
        self._grid = QGridLayout(self)
        set_spacing(self._grid, 0, (SPACE_5, SPACE_3, SPACE_5, SPACE_2))
        self._grid.setHorizontalSpacing(SPACE_5)
        self._grid.setColumnStretch(BUTTON_COLUMN - 1, 1)
        self._buttons: dict[str, QPushButton] = {}
        self._keys: Mapping[str, str] = {}

    def show_rows(self, rows: tuple[VariantRow, ...], recommended: str) -> None:
        """Show these variants; the recommended one gets the accented button."""
        self._clear()
        for column, title in enumerate(HEADER):
            self._grid.addWidget(label(title, "caption"), 0, column)
        for index, row in enumerate(rows):
            line = 2 * index + 1
            self._grid.addWidget(divider(), line, 0, 1, len(HEADER))
            for column, cell in enumerate(self._cells(row)):
                self._grid.addWidget(cell, line + 1, column)
            self._grid.addWidget(self._button(row, row.label == recommended), line + 1, BUTTON_COLUMN)
            self._grid.setRowMinimumHeight(line + 1, 40)

    def show_states(self, downloads: Mapping[str, DownloadView], installed_keys: Mapping[str, str]) -> None:
        """Say on each button whether its variant is being downloaded or already here (label to key)."""
        self._keys = installed_keys
        for name, control in self._buttons.items():
            view = downloads.get(name)
            if name in installed_keys:
                control.setText("Chat")
            elif view is not None:
                share = view.done_bytes / view.total_bytes if view.total_bytes else 0.0
                control.setText(f"{share:.0%}")
            else:
                control.setText("Download")
            control.setEnabled(view is None or name in installed_keys)
            control.setAccessibleName(f"{control.text()} {name}")

    def _cells(self, row: VariantRow) -> list[QWidget]:
        size = ("" if row.size_is_exact else "about ") + format_file_size(row.size_bytes)
        cells: list[QWidget] = [label(row.label, "strong"), label(size), label(row.loss_words or "unknown", "muted")]
        fit = row.fit
        if fit is None:
            return [*cells, label("unknown", "muted"), label(""), label(""), label("")]
        badge = Badge()
        badge.show_verdict(fit.verdict, short=True)
        speed = label(speed_words(fit.speed))
        speed.setToolTip(BASIS_WORDS[fit.speed.basis])
        longest = fit.max_ctx.get(fit.kv_type, 0)
        context = label(format_context(longest) if longest else "none", "body" if longest else "muted")
        context.setToolTip("\n".join(f"{kv}: {ctx:,} tokens" for kv, ctx in fit.max_ctx.items()))
        return [*cells, label(format_gib(fit.total_bytes)), badge, speed, context]

    def _button(self, row: VariantRow, is_recommended: bool) -> QPushButton:
        control = button("Download", "primary" if is_recommended else "", compact=True)
        control.setMinimumWidth(96)
        control.clicked.connect(lambda: self._on_clicked(row.label))
        self._buttons[row.label] = control
        return control

    def _on_clicked(self, name: str) -> None:
        key = self._keys.get(name)
        if key is not None:
            self.chat_requested.emit(key)
        else:
            self.download_requested.emit(name)

    def _clear(self) -> None:
        self._buttons.clear()
        while self._grid.count():
            item = self._grid.takeAt(0)
            widget = item.widget() if item is not None else None
            if widget is not None:
                widget.hide()
                widget.deleteLater()

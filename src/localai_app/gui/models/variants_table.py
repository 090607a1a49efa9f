"""The variants of one model: size, quality, memory, verdict, speed, longest context, and a download button each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtCore import QEvent, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QButtonGroup,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from localai_app.fit.result import Verdict
from localai_app.gui.metrics import RADIUS_SMALL, SPACE_1, SPACE_2, SPACE_3, SPACE_4
from localai_app.gui.models.wording import BASIS_WORDS, need_details, need_words, size_words, speed_figures
from localai_app.gui.styling import button, divider, label, set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.badge import Badge, verdict_words
from localai_app.gui.widgets.elided_label import ElidedLabel
from localai_app.services.views import DownloadView, VariantRow
from localai_app.units import format_context

HEADER = ("Variant", "Size", "Quality loss", "Needs", "Here", "tok/s", "Max context", "")
BUTTON_WIDTH = 88
ROW_HEIGHT = 41
MINIMUM_WIDTH = 300
NAME_WIDTH = 150
"""A name that is longer is shortened: it would take the room of the figures."""
GIVEN_UP = (6, 2, 3, 1)
"""Columns that are left out one after the other where it is narrow: max context, quality loss, needs, size."""
SHORT_LOSS = {
    "practically the original": "hardly any", "good": "small", "noticeable loss": "noticeable", "reduced": "clear",
    "strongly reduced": "large",
}
"""The words of `fit.quality` as an amount of loss, for the column; the long ones are told on hover."""


class VariantLine(QAbstractButton):
    """One variant. Checking the line chooses it; its button downloads it or opens a chat."""

    download_requested = Signal(str)
    chat_requested = Signal(str)

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._row: VariantRow | None = None
        self._key = ""
        self.setCheckable(True)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self._name = ElidedLabel("", "strong")
        self._name.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        self._size = label("")
        self._loss = label("", "muted")
        self._need = label("")
        self._badge = Badge()
        self._speed = label("")
        self._context = label("")
        self.action_button = button("Download", compact=True)
        self.action_button.setMinimumWidth(BUTTON_WIDTH)
        self.action_button.clicked.connect(self._on_action_clicked)
        self.grid = QGridLayout(self)
        _shape(self.grid)
        cells = (self._name, self._size, self._loss, self._need, _at_left(self._badge), self._speed, self._context,
                 self.action_button)
        for column, cell in enumerate(cells):
            self.grid.addWidget(cell, 0, column)
        self.setMinimumHeight(ROW_HEIGHT)

    @property
    def row(self) -> VariantRow | None:
        """What is shown."""
        return self._row

    def show_row(self, row: VariantRow, *, is_recommended: bool) -> None:
        """Show a variant; the recommended one gets the accented button."""
        self._row = row
        self._name.setText(row.label)
        self._size.setText(size_words(row.size_bytes, is_exact=row.size_is_exact))
        self._size.setToolTip("" if row.size_is_exact else "Calculated from the number of weights")
        self._loss.setText(SHORT_LOSS.get(row.loss_words, row.loss_words or "unknown"))
        self._loss.setToolTip(row.loss_words)
        set_role(self.action_button, "primary" if is_recommended else "")
        self._show_fit(row)
        verdict = verdict_words(row.fit.verdict) if row.fit is not None else ""
        said = (row.label, self._size.text(), row.loss_words, f"needs {self._need.text()}", verdict,
                self._speed.text() and f"{self._speed.text()} tok/s")
        self.setAccessibleName(", ".join(part for part in said if part))
        self.updateGeometry()

    def _show_fit(self, row: VariantRow) -> None:
        fit = row.fit
        self._badge.setVisible(fit is not None)
        if fit is None:
            for cell in (self._need, self._speed, self._context):
                cell.setText("")
            self._need.setText("…" if row.is_refining else "unknown")
            self._need.setToolTip("What the file says of itself is being read" if row.is_refining else "")
            return
        self._need.setText(need_words(fit))
        self._need.setToolTip(need_details(fit))
        self._badge.show_verdict(fit.verdict, short=True)
        self._speed.setText(speed_figures(fit))
        self._speed.setToolTip(BASIS_WORDS[fit.speed.basis])
        longest = fit.max_ctx.get(fit.kv_type, 0)
        self._context.setText(format_context(longest) if longest else "" if fit.verdict is Verdict.UNKNOWN else "none")
        set_role(self._context, "body" if longest else "muted")
        self._context.setToolTip("\n".join(
            f"{ctx:,} tokens with a context precision of {kv}" for kv, ctx in fit.max_ctx.items()))

    def show_state(self, download: DownloadView | None, model_key: str, *, can_download: bool) -> None:
        """Say on the button whether the variant is being downloaded or already here."""
        self._key = model_key
        text = "Download"
        if model_key:
            text = "Chat"
        elif download is not None:
            text = f"{download.done_bytes / download.total_bytes:.0%}" if download.total_bytes else "Waiting"
        self.action_button.setText(text)
        if self.action_button.hasFocus() and not model_key and download is not None:
            self.setFocus()  # Qt would give the keyboard to whatever comes next in the window.
        self.action_button.setEnabled(bool(model_key) or download is None)
        self.action_button.setVisible(can_download or bool(model_key))
        self.action_button.setAccessibleName(f"{text} {self._name.text()}")

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw the line below, and behind it whether it is chosen, hovered or focused."""
        painter = QPainter(self)
        palette = self._theme.palette
        painter.fillRect(0, self.height() - 1, self.width(), 1, palette.color("line"))
        if self.isChecked() or self.underMouse():
            painter.fillRect(
                0, 0, self.width(), self.height() - 1, palette.color("accent_soft" if self.isChecked() else "hover"))
        if self.hasFocus():
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(palette.color("focus"))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -1.5), RADIUS_SMALL, RADIUS_SMALL)

    def event(self, event: QEvent) -> bool:
        """Repaint when the pointer comes or goes."""
        if event.type() in (QEvent.Type.Enter, QEvent.Type.Leave):
            self.update()
        return super().event(event)

    def _on_action_clicked(self) -> None:
        if self._key:
            self.chat_requested.emit(self._key)
        elif self._row is not None:
            self.download_requested.emit(self._row.label)


class VariantsTable(QFrame):
    """A card with one line for each variant; one line is chosen."""

    download_requested = Signal(str)
    chat_requested = Signal(str)
    variant_chosen = Signal(str)

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        set_role(self, "card")
        self._lines: list[VariantLine] = []
        self._hidden_columns: frozenset[int] = frozenset()
        self._group = QButtonGroup(self)
        self._group.buttonClicked.connect(self._on_line_clicked)
        head = QWidget()
        self._head_grid = QGridLayout(head)
        _shape(self._head_grid)
        for column, title in enumerate(HEADER[:-1]):
            self._head_grid.addWidget(label(title, "caption"), 0, column)
        self._above_buttons = QWidget()
        self._head_grid.addWidget(self._above_buttons, 0, len(HEADER) - 1)
        self._note = label("", "caption", wrap=True)
        notes = QVBoxLayout()
        set_spacing(notes, 0, (SPACE_3, SPACE_2, SPACE_3, SPACE_2))
        notes.addWidget(self._note)
        self._layout = QVBoxLayout(self)
        set_spacing(self._layout, 0, (SPACE_2, SPACE_2, SPACE_2, 0))
        self._layout.addWidget(head)
        self._layout.addWidget(divider())
        self._layout.addLayout(notes)

    @property
    def lines(self) -> tuple[VariantLine, ...]:
        """The lines in order."""
        return tuple(self._lines)

    @property
    def chosen(self) -> str:
        """Label of the chosen variant, or empty."""
        return next((line.row.label for line in self._lines if line.isChecked() and line.row is not None), "")

    def show_rows(self, rows: Sequence[VariantRow], recommended: str, chosen: str) -> None:
        """Show these variants in the lines that are there already; `chosen` is the line to check."""
        while len(self._lines) < len(rows):
            self._add_line()
        while len(self._lines) > len(rows):
            self._remove_line()
        for line, row in zip(self._lines, rows, strict=True):
            line.show_row(row, is_recommended=row.label == recommended)
            line.setChecked(row.label == chosen)
        self._share_widths()

    def show_note(self, words: str) -> None:
        """Say below the lines where their figures come from."""
        self._note.setText(words)
        self._note.setVisible(bool(words))

    @property
    def note(self) -> str:
        """What is said below the lines."""
        return self._note.text()

    def show_states(
        self, downloads: Mapping[str, DownloadView], installed_keys: Mapping[str, str], *, can_download: bool = True,
    ) -> None:
        """Downloads under way and keys of installed variants, by label."""
        for line in self._lines:
            name = line.row.label if line.row is not None else ""
            line.show_state(downloads.get(name), installed_keys.get(name, ""), can_download=can_download)

    def event(self, event: QEvent) -> bool:
        """Give all lines the same columns again when a text or the window changed its width."""
        if event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.Resize):
            self._share_widths()
        return super().event(event)

    def minimumSizeHint(self) -> QSize:
        """Columns are left out where it is narrow, so no more than the most important ones is insisted on."""
        return QSize(MINIMUM_WIDTH, super().minimumSizeHint().height())

    @property
    def hidden_columns(self) -> frozenset[int]:
        """Columns that there is no room for."""
        return self._hidden_columns

    def _share_widths(self) -> None:
        grids = [self._head_grid, *(line.grid for line in self._lines)]
        widths = [max(_cell_width(grid, column) for grid in grids) for column in range(len(HEADER))]
        widths[0] = min(widths[0], NAME_WIDTH)
        self._above_buttons.setFixedWidth(max(BUTTON_WIDTH, widths[-1]))
        hidden: set[int] = set()
        for column in GIVEN_UP:
            shown = [width for place, width in enumerate(widths) if place not in hidden]
            if sum(shown) + SPACE_2 * len(shown) + 2 * SPACE_4 <= self.width():
                break
            hidden.add(column)
        self._hidden_columns = frozenset(hidden)
        for column, width in enumerate(widths):
            for grid in grids:
                item = grid.itemAtPosition(0, column)
                cell = item.widget() if item is not None else None
                if cell is not None and column in GIVEN_UP:
                    cell.setVisible(column not in hidden)
                    grid.setColumnStretch(column, int(column not in hidden))
                grid.setColumnMinimumWidth(column, 0 if column in hidden else width)

    def _add_line(self) -> None:
        line = VariantLine(self._theme)
        line.download_requested.connect(self.download_requested)
        line.chat_requested.connect(self.chat_requested)
        self._group.addButton(line)
        self._layout.insertWidget(2 + len(self._lines), line)
        self._lines.append(line)

    def _remove_line(self) -> None:
        line = self._lines.pop()
        self._group.removeButton(line)
        self._layout.removeWidget(line)
        line.hide()
        line.deleteLater()

    def _on_line_clicked(self, line: QAbstractButton) -> None:
        if isinstance(line, VariantLine) and line.row is not None:
            self.variant_chosen.emit(line.row.label)


def _cell_width(grid: QGridLayout, column: int) -> int:
    """What a cell would like; the place above the buttons follows them."""
    item = grid.itemAtPosition(0, column)
    widget = item.widget() if item is not None else None
    if widget is None:
        return 0
    return max(widget.sizeHint().width(), BUTTON_WIDTH if isinstance(widget, QPushButton) else 0)


def _at_left(widget: QWidget) -> QWidget:
    """A cell that grows around a widget that does not."""
    cell = QWidget()
    layout = QHBoxLayout(cell)
    set_spacing(layout, 0)
    layout.addWidget(widget)
    layout.addStretch(1)
    return cell


def _shape(grid: QGridLayout) -> None:
    """One line's columns: as wide as `VariantsTable` says, with what is left shared out among them."""
    set_spacing(grid, SPACE_2, (SPACE_2 + SPACE_1 // 2, SPACE_1, SPACE_2, SPACE_1))
    for column in range(len(HEADER) - 1):
        grid.setColumnStretch(column, 1)

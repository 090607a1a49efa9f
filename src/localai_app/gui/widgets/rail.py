"""The rail at the left: the name, one entry for each page, and room for the gauges below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QButtonGroup, QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from localai_app.gui.app_icon import brand_pixmap
from localai_app.gui.icons import icon
from localai_app.gui.metrics import ICON, RAIL_NARROW_WIDTH, RAIL_WIDTH, SPACE_1, SPACE_2, SPACE_3, SPACE_4, TypeSizes
from localai_app.gui.styling import icon_size, label, set_role
from localai_app.gui.theme import ThemeState


@dataclass(frozen=True, slots=True)
class RailEntry:
    """A page in the rail."""

    page: str
    icon_name: str
    text: str


class Rail(QFrame):
    """Emits `page_chosen` with the page's name; Ctrl+1 and so on choose by number."""

    page_chosen = Signal(str)

    def __init__(self, theme: ThemeState, entries: Sequence[RailEntry], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        set_role(self, "rail")
        self.setAccessibleName("Pages")
        self._buttons: dict[str, QPushButton] = {}
        self._texts: dict[str, str] = {}
        self._below: list[QWidget] = []
        self._is_narrow = False
        self._group = QButtonGroup(self)
        self._brand_picture = QLabel()
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(SPACE_3, SPACE_4, SPACE_3, SPACE_3)
        self._layout.setSpacing(SPACE_1)
        self._layout.addLayout(self._brand())
        self._layout.addSpacing(SPACE_3)
        for number, entry in enumerate(entries, start=1):
            self._layout.addWidget(self._entry_button(entry, number))
        self._layout.addStretch(1)
        theme.changed.connect(self._on_theme_changed)
        self._on_theme_changed()

    def add_below(self, widget: QWidget) -> None:
        """Put a widget at the bottom of the rail; there is no place for it in a narrow one."""
        self._layout.addWidget(widget)
        self._below.append(widget)

    @property
    def is_narrow(self) -> bool:
        """Whether only icons are shown."""
        return self._is_narrow

    def set_narrow(self, is_narrow: bool) -> None:
        """Show only icons, so that large text leaves room for the page, or icons and words."""
        if is_narrow == self._is_narrow:
            return
        self._is_narrow = is_narrow
        self._brand_name.setVisible(not is_narrow)
        for widget in self._below:
            widget.setVisible(not is_narrow)
        for page, entry_button in self._buttons.items():
            entry_button.setText("" if is_narrow else f"  {self._texts[page]}")
        self._on_theme_changed()

    def select(self, page: str) -> None:
        """Mark a page as the one shown, without announcing it."""
        if page in self._buttons:
            self._buttons[page].setChecked(True)

    def button(self, page: str) -> QPushButton:
        """The entry of a page."""
        return self._buttons[page]

    def _brand(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setContentsMargins(SPACE_2 + 2, SPACE_1, SPACE_2, 0)
        row.setSpacing(SPACE_2)
        row.addWidget(self._brand_picture)
        self._brand_name = label("Local AI", "lead")
        row.addWidget(self._brand_name)
        row.addStretch(1)
        return row

    def _entry_button(self, entry: RailEntry, number: int) -> QPushButton:
        entry_button = set_role(QPushButton("  " + entry.text), "nav")
        entry_button.setIcon(icon(entry.icon_name, self._theme, "muted", ICON, role_on="accent"))
        entry_button.setCheckable(True)
        entry_button.setCursor(Qt.CursorShape.PointingHandCursor)
        entry_button.setAccessibleName(entry.text)
        shortcut = QKeySequence(f"Ctrl+{number}")
        entry_button.setToolTip(f"{entry.text} ({shortcut.toString(QKeySequence.SequenceFormat.NativeText)})")
        entry_button.clicked.connect(lambda: self.page_chosen.emit(entry.page))
        QShortcut(shortcut, self, lambda: self.page_chosen.emit(entry.page), context=Qt.ShortcutContext.WindowShortcut)
        self._group.addButton(entry_button)
        self._buttons[entry.page] = entry_button
        self._texts[entry.page] = entry.text
        return entry_button

    def _on_theme_changed(self) -> None:
        growth = max(1.0, self._theme.sizes.body / TypeSizes().body)
        # Half as fast as the text, so that large text leaves room for the page; every entry still fits at 200%.
        wide = round(RAIL_WIDTH * (1 + (growth - 1) / 2))
        self.setFixedWidth(round(RAIL_NARROW_WIDTH + ICON * (growth - 1)) if self._is_narrow else wide)
        self._brand_picture.setPixmap(brand_pixmap(round(20 * growth), self.devicePixelRatioF()))
        for entry_button in self._buttons.values():
            entry_button.setIconSize(icon_size(round(ICON * growth)))

"""Settings: every declared setting, searchable, in force as it is changed."""

from __future__ import annotations

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QFrame, QLineEdit, QScrollArea, QVBoxLayout, QWidget

from localai_app.gui.bridge import Bridge
from localai_app.gui.folder_words import folder_words
from localai_app.gui.metrics import SPACE_2, SPACE_3, SPACE_6, SPACE_8
from localai_app.gui.settings.about_card import AboutCard
from localai_app.gui.settings.setting_row import SettingRow
from localai_app.gui.styling import add_clear_button, divider, label, set_role
from localai_app.gui.theme import ThemeState
from localai_app.gui.updates.update_row import UpdateRow
from localai_app.gui.widgets.empty_state import EmptyState
from localai_app.gui.widgets.page_parts import centered_column, page_toolbar
from localai_app.services.app_services import AppServices
from localai_app.services.events import Event, SettingChanged
from localai_app.settings.declaration import SETTINGS, Section, SettingSpec

COLUMN_WIDTH = 760


class SettingsPage(QWidget):
    """Drawn from `settings.declaration`, but for what is known of newer versions. `update_requested`: to see one."""

    update_requested = Signal()

    def __init__(self, services: AppServices, theme: ThemeState, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._theme = theme
        set_role(self, "page")
        self.rows: dict[str, SettingRow] = {}
        self._cards: dict[Section, tuple[QWidget, list[tuple[SettingRow, QWidget | None]]]] = {}
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search settings")
        self.search.setAccessibleName("Search settings")
        add_clear_button(self.search, "Clear the search", theme)
        self.search.setFixedWidth(320)
        self.search.textChanged.connect(self._on_search_changed)
        QShortcut(QKeySequence.StandardKey.Find, self, self.search.setFocus)
        self._nothing = EmptyState(theme, "search", "No setting matches", "Try another word, such as memory or theme.",
                                   "Show all settings")
        self._nothing.button_pressed.connect(self.search.clear)
        self._nothing.hide()
        self.about = AboutCard(services)
        self.newest = UpdateRow(services.updates, bridge)
        self.newest.opened.connect(self.update_requested)
        self._scroll = QScrollArea()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(page_toolbar("Settings", self.search))
        layout.addWidget(self._scroll, 1)
        layout.addWidget(self._nothing, 1)
        self._build_sections()
        bridge.event_published.connect(self._on_event)

    def show_setting(self, key: str) -> None:
        """Bring a setting into view with the focus in its control."""
        self.search.clear()
        row = self.rows[key]
        row.editor.control.setFocus()
        # The page may not have been laid out yet when it was made a moment ago.
        QTimer.singleShot(0, row, lambda: self._scroll.ensureWidgetVisible(row, 0, 120))

    def _build_sections(self) -> None:
        column = QVBoxLayout()
        column.setSpacing(SPACE_3)
        for section in Section:
            specs = [spec for spec in SETTINGS if spec.section is section]
            if specs:
                column.addWidget(self._section(section, specs))
        column.addWidget(self.about)
        column.addStretch(1)
        centered_column(self._scroll, column, COLUMN_WIDTH, (SPACE_6, SPACE_6, SPACE_6, SPACE_8))

    def _section(self, section: Section, specs: list[SettingSpec]) -> QWidget:
        whole = QWidget()
        layout = QVBoxLayout(whole)
        layout.setContentsMargins(0, 0, 0, SPACE_3)
        layout.setSpacing(SPACE_2)
        layout.addWidget(label(section.value, "lead"))
        card = set_role(QFrame(), "card")
        rows = QVBoxLayout(card)
        rows.setContentsMargins(1, 1, 1, 1)
        rows.setSpacing(0)
        entries: list[tuple[SettingRow, QWidget | None]] = []
        for index, spec in enumerate(specs):
            line = divider() if index else None
            if line is not None:
                rows.addWidget(line)
            row = SettingRow(spec, self._services.settings, self._theme, self._placeholder(spec))
            self.rows[spec.key] = row
            rows.addWidget(row)
            entries.append((row, line))
        if section is Section.PRIVACY:
            rows.addWidget(divider())
            rows.addWidget(self.newest)
        layout.addWidget(card)
        self._cards[section] = (whole, entries)
        return whole

    def _placeholder(self, spec: SettingSpec) -> str:
        if spec.key == "models_folder":
            return folder_words(self._services.paths.default_models)
        return "" if spec.default else "Not set"

    def _on_search_changed(self, text: str) -> None:
        words = text.lower().split()
        any_found = False
        for whole, entries in self._cards.values():
            shown_before = False
            for row, line in entries:
                is_found = row.matches(words)
                row.setVisible(is_found)
                if line is not None:
                    line.setVisible(is_found and shown_before)
                shown_before = shown_before or is_found
            whole.setVisible(shown_before)
            any_found = any_found or shown_before
        self.about.setVisible(self.about.matches(words))
        any_found = any_found or self.about.matches(words)
        self._scroll.setVisible(any_found)
        self._nothing.setVisible(not any_found)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, SettingChanged) and event.key in self.rows:
            self.rows[event.key].refresh()

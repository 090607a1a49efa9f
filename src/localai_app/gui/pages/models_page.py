"""The Models page: suggested, discover, installed, downloads."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QLineEdit, QPushButton, QStackedWidget, QVBoxLayout, QWidget

from localai_app.gui.bridge import Bridge
from localai_app.gui.metrics import SPACE_2, SPACE_4, SPACE_6
from localai_app.gui.models.discover_view import DiscoverView
from localai_app.gui.models.downloads_view import DownloadsView
from localai_app.gui.models.file_drop import dropped_model
from localai_app.gui.models.installed_models import InstalledModels
from localai_app.gui.models.installed_view import InstalledView
from localai_app.gui.pages.first_start_page import FirstStartPage
from localai_app.gui.styling import add_clear_button, button, label, set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.services.app_services import AppServices

TABS = ("Suggested", "Discover", "Installed", "Downloads")
SEARCH_WIDTH = 320
SEARCH_MINIMUM = 160


class ModelsPage(QWidget):
    """A toolbar with tabs and a search field over the four views."""

    chat_requested = Signal(str)
    compare_requested = Signal(str)
    loss_requested = Signal(str)
    requantize_requested = Signal(str)
    page_requested = Signal(str)
    load_panel_requested = Signal(str)

    def __init__(self, services: AppServices, theme: ThemeState, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.library = InstalledModels(services, bridge, self)
        self.suggested = FirstStartPage(services, theme, bridge, self.library)
        self.discover = DiscoverView(services, theme, bridge, self.library)
        self.installed = InstalledView(services, theme, self.library)
        self.downloads = DownloadsView(services, theme, bridge)
        self._views = QStackedWidget()
        for view in (self.suggested, self.discover, self.installed, self.downloads):
            self._views.addWidget(view)
        self._blank = QWidget()
        """Shown until the library is read for the first time, which decides where to begin."""
        self._views.addWidget(self._blank)
        self._views.setCurrentWidget(self._blank)
        self._tabs: dict[str, QPushButton] = {}
        self.search_field = QLineEdit()
        self.search_field.setPlaceholderText("Search the Hub, paste a link…")
        self.search_field.setAccessibleName("Search for models")
        self.search_field.setMinimumWidth(SEARCH_MINIMUM)
        self.search_field.setMaximumWidth(SEARCH_WIDTH)
        add_clear_button(self.search_field, "Clear the search", theme)
        self._lay_out()
        self._connect()
        self.library.changed.connect(self._choose_first_tab)
        self.setAcceptDrops(True)

    def _lay_out(self) -> None:
        toolbar = set_role(QWidget(), "toolbar")
        line = QHBoxLayout(toolbar)
        set_spacing(line, SPACE_2, (SPACE_6, 0, SPACE_6, 0))
        self._title = label("Models", "lead")
        self._title.setContentsMargins(0, 0, SPACE_4, 0)
        line.addWidget(self._title)
        group = QButtonGroup(self)
        for name in TABS:
            tab = button(name, "tab")
            tab.setCheckable(True)
            tab.clicked.connect(lambda _checked=False, name=name: self.show_tab(name))
            group.addButton(tab)
            self._tabs[name] = tab
            line.addWidget(tab)
        line.addStretch(1)
        line.addWidget(self.search_field, 1000)
        layout = QVBoxLayout(self)
        set_spacing(layout, 0)
        layout.addWidget(toolbar)
        layout.addWidget(self._views, 1)

    def _connect(self) -> None:
        for view in (self.suggested, self.discover, self.installed):
            view.chat_requested.connect(self.chat_requested)
        for page_requested in (
            self.discover.page_requested, self.installed.page_requested, self.downloads.page_requested,
        ):
            page_requested.connect(self.page_requested)
        self.suggested.page_requested.connect(self._on_page_requested)
        self.suggested.suggestions.browse_requested.connect(lambda: self.show_tab("Discover"))
        for model_requested in (self.suggested.suggestions.model_requested, self.downloads.model_requested):
            model_requested.connect(self.open_reference)
        self.installed.compare_requested.connect(self.compare_requested)
        self.installed.loss_requested.connect(self.loss_requested)
        self.installed.requantize_requested.connect(self.requantize_requested)
        self.installed.load_panel_requested.connect(self.load_panel_requested)
        self.installed.suggestions_requested.connect(lambda: self.show_tab("Suggested"))
        self.downloads.suggestions_requested.connect(lambda: self.show_tab("Suggested"))
        self.installed.count_changed.connect(lambda count: self._show_count("Installed", count))
        self.downloads.count_changed.connect(lambda count: self._show_count("Downloads", count))
        self.installed.refresh()
        self.downloads.refresh()
        self.search_field.textChanged.connect(self._on_search_changed)
        self.search_field.returnPressed.connect(self._on_search_entered)

    def event(self, event: QEvent) -> bool:
        """Another width, or texts of another size."""
        if event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.Resize):
            self._fit_title()
        return bool(super().event(event))

    def _fit_title(self) -> None:
        """The title, which the rail tells as well, gives way to the tabs."""
        tabs = sum(tab.sizeHint().width() + SPACE_2 for tab in self._tabs.values())
        room = self.width() - 2 * SPACE_6 - tabs - SEARCH_MINIMUM
        self._title.setVisible(room >= self._title.sizeHint().width() + SPACE_2)

    def show_tab(self, name: str) -> None:
        """Show one of `TABS`."""
        self._tabs[name].setChecked(True)
        self._views.setCurrentIndex(TABS.index(name))

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take model files only."""
        if dropped_model(event.mimeData()) is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Open the file that was dropped; an error is shown among the suggestions."""
        path = dropped_model(event.mimeData())
        if path is not None:
            event.acceptProposedAction()
            self.show_tab("Suggested")
            self.suggested.open_file(path)

    def open_reference(self, reference: str) -> None:
        """Show a repository of the Hub, named or by its address."""
        self.search_field.setText(reference)
        self.show_tab("Discover")
        self.discover.search_now()

    @property
    def current_tab(self) -> str:
        """The tab that is shown; empty for the moment before the library was read."""
        return "" if self._views.currentWidget() is self._blank else TABS[self._views.currentIndex()]

    def _choose_first_tab(self) -> None:
        """Installed where there are models; else everything there is, for the suggestions are a page of their own by then."""
        if not self.current_tab:
            self.show_tab("Installed" if self.library.models else "Discover")

    def _show_count(self, name: str, count: int) -> None:
        self._tabs[name].setText(f"{name} {count}" if count else name)

    def _on_page_requested(self, name: str) -> None:
        if name == "models":
            self.show_tab("Installed")
        else:
            self.page_requested.emit(name)

    def _on_search_changed(self, words: str) -> None:
        if words:
            self.show_tab("Discover")
        self.discover.search(words)

    def _on_search_entered(self) -> None:
        self.show_tab("Discover")
        self.discover.search_now()

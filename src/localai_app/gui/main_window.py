"""The window: navigation between pages and the frame around them, nothing else."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QCloseEvent, QKeySequence, QResizeEvent, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QMainWindow, QStackedWidget, QVBoxLayout, QWidget

from localai_app.gui.bridge import Bridge
from localai_app.gui.commands import box_commands
from localai_app.gui.dialogs.command_box import CommandBox
from localai_app.gui.frame_updates import FrameUpdates
from localai_app.gui.messages import Messages
from localai_app.gui.metrics import RAIL_WIDE_FROM, WINDOW_MINIMUM, TypeSizes
from localai_app.gui.pages.factory import CHAT, COMPARE, FIRST_START, MODELS, PERFORMANCE, RAIL_ENTRIES, SETTINGS, make_page
from localai_app.gui.theme import ThemeState
from localai_app.gui.updates.update_notice import UpdateNotice
from localai_app.gui.widgets.gauge import GaugesPanel
from localai_app.gui.widgets.rail import Rail
from localai_app.gui.widgets.status_line import StatusLine
from localai_app.gui.widgets.toast import ToastArea
from localai_app.gui.window_place import restore_place, save_place
from localai_app.services.app_services import AppServices


class MainWindow(QMainWindow):
    """Pages are made on their first visit. On a fresh machine Models opens on the suggestions."""

    def __init__(self, services: AppServices, theme: ThemeState, bridge: Bridge, messages: Messages) -> None:
        super().__init__()
        self._services = services
        self.theme = theme
        self._bridge = bridge
        self.messages = messages
        self._pages: dict[str, QWidget] = {}
        self.setWindowTitle("Local AI")
        self.setMinimumSize(*WINDOW_MINIMUM)
        self.rail = Rail(theme, RAIL_ENTRIES)
        self.gauges = GaugesPanel(theme)
        self.rail.add_below(self.gauges)
        self.status_line = StatusLine(theme)
        self.update_notice = UpdateNotice(services.updates, theme, bridge)
        self._stack = QStackedWidget()
        self._lay_out()
        self.toasts = ToastArea(self, theme)
        self._updates = FrameUpdates(services, bridge, messages, self)
        self.rail.page_chosen.connect(self.show_page)
        messages.posted.connect(self.toasts.show_message)
        messages.open_screen()
        theme.changed.connect(self._fit_rail)
        QShortcut(QKeySequence("Ctrl+K"), self, self.open_command_box)
        QShortcut(QKeySequence("Ctrl+N"), self, self.new_chat)
        restore_place(self, services.paths.data)

    @property
    def page_name(self) -> str:
        """Name of the page shown; empty before the first one."""
        shown = self._stack.currentWidget()
        return next((name for name, page in self._pages.items() if page is shown), "")

    def page(self, name: str) -> QWidget:
        """A page by its exact name, made now if it was never visited; raises KeyError for an unknown name."""
        if name not in self._pages:
            page = make_page(name, self._services, self.theme, self._bridge)
            self._connect_if_there(page, "page_requested", self._on_page_requested)
            self._connect_if_there(page, "chat_requested", self.open_chat)
            self._connect_if_there(
                page, "compare_requested", lambda key: self.show_page(COMPARE).add_model(key))  # type: ignore[attr-defined]
            self._connect_if_there(
                page, "loss_requested", lambda key: self.show_page(COMPARE).show_loss(key))  # type: ignore[attr-defined]
            self._connect_if_there(
                page, "requantize_requested",
                lambda key: self.show_page(COMPARE).show_loss(key, requantize=True))  # type: ignore[attr-defined]
            self._connect_if_there(page, "update_requested", self._updates.show_update)
            self._connect_if_there(page, "names_hidden", self.status_line.set_names_hidden)
            self._connect_if_there(page, "model_requested", self.open_reference)
            self._connect_if_there(page, "load_panel_requested", self.open_load_panel)
            self._connect_if_there(page, "why_slow_requested", self.show_why_slow)
            for control in getattr(page, "kept_clear", ()):
                self.toasts.keep_clear_of(control)
            self._pages[name] = page
            self._stack.addWidget(page)
        return self._pages[name]

    @Slot(str)
    def show_page(self, name: str) -> QWidget:
        """Show a page. Models is the suggestions while nothing is installed and its own page was never asked for."""
        exact = FIRST_START if name == MODELS and self._is_fresh() else name
        page = self.page(exact)
        self._stack.setCurrentWidget(page)
        self.rail.select(MODELS if exact == FIRST_START else exact)
        if exact == CHAT:
            page.focus_prompt()  # type: ignore[attr-defined]
        else:
            page.setFocus()
        return page

    def show_start_page(self) -> None:
        """The page to start on: Chat, or the suggestions on a fresh machine."""
        self.show_page(MODELS if self._is_fresh() else CHAT)

    def show_setting(self, key: str) -> None:
        """Show the settings with one of them in view."""
        self.show_page(SETTINGS).show_setting(key)  # type: ignore[attr-defined]

    @Slot()
    def show_why_slow(self) -> None:
        """Say on the Performance page what makes the model slow."""
        self.show_page(PERFORMANCE).look_why_slow()  # type: ignore[attr-defined]

    @Slot()
    def new_chat(self) -> None:
        """Show an empty chat with the cursor in the prompt."""
        page = self.show_page(CHAT)
        page.new_chat()  # type: ignore[attr-defined]
        page.focus_prompt()  # type: ignore[attr-defined]

    @Slot(str)
    def open_chat(self, model_key: str) -> None:
        """Show a chat with an installed model."""
        page = self.show_page(CHAT)
        page.open_with_model(model_key)  # type: ignore[attr-defined]
        page.focus_prompt()  # type: ignore[attr-defined]

    @Slot(str)
    def open_reference(self, reference: str) -> None:
        """Show a repository of the Hub, named or by a link to it, with its variants."""
        page = self.page(MODELS)
        self.show_page(MODELS)
        page.open_reference(reference)  # type: ignore[attr-defined]

    @Slot(str)
    def open_load_panel(self, model_key: str) -> None:
        """Show how an installed model is loaded, to change it."""
        from localai_app.gui.load.load_dialog import LoadDialog

        LoadDialog(self._services, self.theme, self._bridge, model_key, self).open()

    @Slot()
    def open_command_box(self) -> None:
        """Ask what to do."""
        commands = box_commands(
            self._services, self, self.messages.error, hides_names=self.status_line.hides_names)
        box = CommandBox(commands, self.theme, self)
        box.open_over(self)

    def raise_window(self) -> None:
        """Come to the front."""
        self.setWindowState((self.windowState() & ~Qt.WindowState.WindowMinimized) | Qt.WindowState.WindowActive)
        self.show()
        self.raise_()
        self.activateWindow()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Leave the page more of a window that is narrow for its text."""
        super().resizeEvent(event)
        self._fit_rail()

    def _fit_rail(self) -> None:
        growth = self.theme.sizes.body / TypeSizes().body
        self.rail.set_narrow(self.width() < RAIL_WIDE_FROM * growth)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Remember the place and stop listening."""
        save_place(self, self._services.paths.data)
        self.messages.close_screen()
        self._bridge.close()
        super().closeEvent(event)

    def _is_fresh(self) -> bool:
        if MODELS in self._pages:
            return False
        return not self._services.library.models() and not self._services.chat.conversations()

    @Slot(str)
    def _on_page_requested(self, name: str) -> None:
        """A page asked for another one: by its exact name, so that the suggestions can lead to all models."""
        self.page(name)
        self.show_page(name)

    @staticmethod
    def _connect_if_there(page: QWidget, signal_name: str, slot: Callable[..., object]) -> None:
        signal = getattr(page, signal_name, None)
        if signal is not None:
            signal.connect(slot)

    def _lay_out(self) -> None:
        right = QVBoxLayout()
        right.setSpacing(0)
        right.addWidget(self.update_notice)
        right.addWidget(self._stack, 1)
        right.addWidget(self.status_line)
        whole = QWidget()
        layout = QHBoxLayout(whole)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.rail)
        layout.addLayout(right, 1)
        self.setCentralWidget(whole)

"""Keeps gauges, bottom line and messages of the window up to date with the services."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, QUrl, Slot
from PySide6.QtGui import QDesktopServices

from localai_app.errors import AppError, Remedy
from localai_app.gui.bridge import Bridge
from localai_app.gui.messages import Messages
from localai_app.gui.pages.factory import CHAT, FIRST_START, MODELS, SETTINGS
from localai_app.services.app_services import AppServices
from localai_app.services.events import (
    AnswerEnded,
    DownloadChanged,
    DownloadFinished,
    EngineChanged,
    EngineFailed,
    ErrorHappened,
    LibraryChanged,
    MemoryMeasured,
    ModelLoaded,
    ModelUnloaded,
    PacksChanged,
    SharingChanged,
    UpdatesChanged,
)
from localai_app.services.library_service import name_of_key
from localai_app.services.packs.installer import Phase
from localai_app.services.packs.pack_service import PackState
from localai_app.services.update_steps import UpdateState, UpdateStatus
from localai_app.services.views import EngineStatus

if TYPE_CHECKING:
    from localai_app.gui.main_window import MainWindow


class FrameUpdates(QObject):
    """Reads the services' state when they say that it changed; holds none of its own."""

    def __init__(self, services: AppServices, bridge: Bridge, messages: Messages, window: MainWindow) -> None:
        super().__init__(window)
        self._services = services
        self._messages = messages
        self._window = window
        self._bridge = bridge
        bridge.event_published.connect(self._on_event)
        window.update_notice.opened.connect(self.show_update)
        window.status_line.models.use_requested.connect(services.engine.use)
        window.status_line.models.unload_requested.connect(services.engine.unload)
        messages.set_remedy(Remedy.OPEN_SETTINGS, lambda: window.show_page(SETTINGS))
        messages.set_remedy(Remedy.CHOOSE_FOLDER, lambda: window.show_setting("models_folder"))
        messages.set_remedy(Remedy.CHOOSE_MODEL, lambda: window.show_page(MODELS))
        messages.set_remedy(Remedy.RELOAD_MODEL, services.engine.reload)
        messages.set_remedy(
            Remedy.MAKE_ROOM, lambda: services.engine.load(services.engine.state.model_key, make_room=True))
        messages.set_remedy(Remedy.LOAD_SAFELY, lambda: services.engine.load(services.engine.state.model_key, safe=True))
        messages.set_remedy(Remedy.SHOW_LOG, self._show_log)
        self._show_engine()
        self._show_network()
        self._report_notices()

    @Slot()
    def show_update(self) -> None:
        """Show what is new in a newer version, with the buttons that download and install it."""
        from localai_app.gui.updates.update_dialog import UpdateDialog

        dialog = UpdateDialog(self._services.updates, self._window.theme, self._bridge, self._window)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.said.connect(self._messages.info)
        dialog.quit_requested.connect(self._window.close)
        dialog.open()

    @Slot(object)
    def _on_event(self, event: object) -> None:
        match event:
            case MemoryMeasured():
                self._window.gauges.on_memory_measured(event)
                self._window.status_line.models.show_memory(event.engines)
            case EngineChanged() | ModelLoaded() | AnswerEnded() | LibraryChanged():
                self._show_engine()
            case EngineFailed(model_key=key, error=error):
                self._show_engine()
                if self._window.page_name != CHAT:
                    self._report_failed_load(key, error)
            case ModelUnloaded():
                self._messages.info(event.sentence)
            case DownloadChanged() | SharingChanged() | UpdatesChanged() | PacksChanged():
                self._show_network()
            case DownloadFinished(model_key=key):
                self._show_network()
                if self._window.page_name not in (FIRST_START, MODELS):
                    self._messages.info(
                        f"{name_of_key(key)} is downloaded.", button="Chat",
                        on_button=lambda: self._window.open_chat(key))
            case ErrorHappened(error=error):
                self._messages.error(error)
            case _:
                pass

    def _report_failed_load(self, key: str, error: AppError) -> None:
        """A model that was held back can be loaded with other settings, or anyway, from its load panel."""
        if self._services.engine.state.may_be_tried:
            self._messages.error(error, button="Load settings…", on_remedy=lambda: self._window.open_load_panel(key))
        else:
            self._messages.error(error)

    def _show_engine(self) -> None:
        """The model used last answers while none is loaded."""
        engine = self._services.engine
        state = engine.state
        models = self._services.library.models() if state.status is EngineStatus.NONE else ()
        self._window.status_line.show_engine(state, models[0].name if models else "")
        self._window.status_line.models.show_models(engine.loaded(), state.model_key)
        self._show_network()

    def _show_network(self) -> None:
        services = self._services
        others = services.sharing_words() or fetching_words(services.updates.state, services.packs.state)
        self._window.status_line.show_network(services.downloads.downloads(), others)

    def _report_notices(self) -> None:
        """What was repaired while the program's own files were opened."""
        for notice in (self._services.settings.notice, self._services.store.notice):
            if notice is not None:
                self._messages.error(notice)

    def _show_log(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._services.paths.log_file)))


def fetching_words(updates: UpdateState, packs: PackState) -> str:
    """What is fetched of the publishers, for the bottom line; empty while nobody is asked."""
    if updates.status is UpdateStatus.DOWNLOADING:
        return "Downloading a newer version"
    if packs.phase is Phase.DOWNLOADING:
        return "Downloading a runtime pack"
    if updates.status is UpdateStatus.CHECKING:
        return "Looking for a newer version"
    return "Looking for runtime packs" if packs.is_looking else ""

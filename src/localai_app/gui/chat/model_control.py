"""Which model answers, what it is doing, and what to do when it fails: the engine's side of a chat."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from localai_app import errors
from localai_app.errors import AppError, Remedy
from localai_app.gui.chat.chat_session import ChatSession
from localai_app.gui.chat.chat_view import ChatView
from localai_app.gui.chat.model_chooser import model_title
from localai_app.gui.load.load_anyway import LoadAnyway
from localai_app.services.engine_service import EngineService
from localai_app.services.installed_fits import InstalledFits
from localai_app.services.library_service import LibraryService
from localai_app.services.safe_setups import SafeSetUps
from localai_app.services.views import EngineStatus, InstalledModel

TOO_LARGE = (errors.MODEL_TOO_LARGE, errors.LOAD_SETTINGS_DO_NOT_FIT)
ACTIVE = (EngineStatus.LOADING, EngineStatus.READY, EngineStatus.ANSWERING)


class ModelControl(QObject):
    """Connects the chooser, the strip above the composer and the context meter with the engine."""

    page_requested = Signal(str)
    load_panel_requested = Signal(str)

    def __init__(
        self, engine: EngineService, set_ups: SafeSetUps, models: tuple[LibraryService, InstalledFits], view: ChatView,
        session: ChatSession, parent: QObject | None = None,
    ) -> None:
        """`models`: which are installed, and how each would run."""
        super().__init__(parent)
        library, fits = models
        self._set_ups = set_ups
        self._engine, self._library, self._view, self._session = engine, library, view, session
        self._chosen_key = ""
        self._models: tuple[InstalledModel, ...] = ()
        view.chooser.set_source(lambda: self._models, fits.fit, lambda: {model.key for model in engine.loaded()})
        view.chooser.model_chosen.connect(self.choose)
        view.chooser.unload_requested.connect(engine.unload)
        view.chooser.more_requested.connect(lambda: self.page_requested.emit("models"))
        view.no_model.button_pressed.connect(lambda: self.page_requested.emit("models"))
        view.strip.cancel_requested.connect(engine.unload)
        view.chooser.load_settings_requested.connect(lambda: self.load_panel_requested.emit(self.answering_key))
        view.strip.remedy_requested.connect(self._on_remedy_requested)
        view.strip.template_requested.connect(lambda: self.load_panel_requested.emit(self._engine.state.model_key))
        view.strip.load_anyway_requested.connect(self._on_load_anyway_requested)
        view.strip.full_set_up_requested.connect(self._on_full_set_up_requested)
        self.anyway = LoadAnyway(view)

    @property
    def answering_key(self) -> str:
        """The model that answers the next message: chosen or loaded, else the one used last; empty without any."""
        if self._chosen_key:
            return self._chosen_key
        return self._models[0].key if self._models else ""

    def choose(self, key: str) -> None:
        """Let this model answer from now on, and load it."""
        self._chosen_key = key
        state = self._engine.state
        if (state.model_key != key or state.status not in ACTIVE) and not self._engine.use(key):
            self._engine.load(key)
        self.refresh()

    def refresh_models(self) -> None:
        """Read which models are installed. Without any, an empty chat says how to get one."""
        self._models = self._library.models()
        self._session.has_model = bool(self._models) or self._engine.state.status in ACTIVE
        self.refresh()

    def refresh(self) -> None:
        """Show the engine as it is now."""
        state = self._engine.state
        is_active = state.status in ACTIVE
        if is_active:
            self._chosen_key = state.model_key
        elif self._chosen_key not in [model.key for model in self._models]:
            self._chosen_key = ""
        key = self.answering_key
        title = next((model_title(model) for model in self._models if model.key == key), state.model_name or key)
        self._view.chooser.show_model(key, title if key else "", is_loaded=is_active)
        self._view.strip.show_state(state, title, is_error_told=self._session.tells(state.error))
        total = state.loaded.ctx if state.loaded is not None else 0
        self._view.composer.show_context(min(self._session.context_used, total), total)
        self._view.composer.show_note(self._note(state.status))
        self._session.refresh()

    def _note(self, status: EngineStatus) -> str:
        """What happens to a message that is sent now, where that is not simply its answer."""
        if status is EngineStatus.LOADING:
            return "Sent as soon as the model is ready"
        return "Waits for the answer in another chat" if self._session.waits_for_another else ""

    def _on_remedy_requested(self, remedy: Remedy) -> None:
        match remedy:
            case Remedy.MAKE_ROOM:
                self._load_in_spite(make_room=True)
            case Remedy.LOAD_SAFELY:
                self._load_in_spite(safe=True)
            case Remedy.CHOOSE_MODEL:
                self._view.chooser.open_menu()
            case Remedy.CHANGE_LOAD_SETTINGS | Remedy.CHANGE_TEMPLATE:
                self.load_panel_requested.emit(self._engine.state.model_key)
            case Remedy.OPEN_SETTINGS | Remedy.CHOOSE_FOLDER | Remedy.SHOW_LOG:
                self.page_requested.emit("settings")
            case Remedy.DOWNLOAD_AGAIN | Remedy.OPEN_MODEL_PAGE:
                self.page_requested.emit("models")
            case _:
                self._try_again()

    def _on_full_set_up_requested(self) -> None:
        """As planned again, whatever happened before."""
        key = self._engine.state.model_key
        self._set_ups.forget(key)
        self._engine.load(key)

    def _on_load_anyway_requested(self) -> None:
        """Ask first: the model was held back for a reason. Where others would have had to leave, they stay."""
        state = self._engine.state
        error, key = state.error, state.model_key
        if error is not None and error.remedy is Remedy.MAKE_ROOM:
            self._engine.unload()
        elif error is not None:
            self.anyway.ask(
                state.model_name or key, error.message, is_too_large=error.spec in TOO_LARGE,
                on_yes=lambda: self._load_in_spite(key, anyway=True))

    def _load_in_spite(self, key: str = "", *, anyway: bool = False, make_room: bool = False, safe: bool = False) -> None:
        """Load a model that was held back or failed; a question that waited for it is answered as soon as it is ready."""
        self._engine.load(key or self._engine.state.model_key, anyway=anyway, make_room=make_room, safe=safe)
        if self._session.has_unanswered_question():
            self._session.retry()

    def _try_again(self) -> None:
        """Load the model again; a question without an answer is answered as soon as it is ready."""
        if self._session.has_unanswered_question():
            self._session.retry()
            return
        try:
            self._engine.reload()
        except AppError as error:
            self._view.strip.show_error(error)

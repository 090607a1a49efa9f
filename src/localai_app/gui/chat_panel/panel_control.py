"""Connects the side panel with the services: reads what is set for the chat on screen, and stores what is changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec
from PySide6.QtCore import QObject, Signal

from localai_app.engine.protocol import Loaded
from localai_app.engine.sampling_values import SamplingValues
from localai_app.errors import AppError
from localai_app.gui.bridge import Bridge
from localai_app.gui.chat.chat_session import ChatSession
from localai_app.gui.chat.chat_view import ChatView
from localai_app.gui.chat_panel.chat_panel import ChatPanel, PanelFacts
from localai_app.gui.tasks import run_in_background
from localai_app.services.chat_settings import ChatSettings, ChatSettingsService
from localai_app.services.engine_service import EngineService
from localai_app.services.events import AnswerProgressed, Event, SamplingChanged, SettingChanged
from localai_app.services.sampling_service import SamplingService
from localai_app.services.settings_service import SettingsService


class PanelServices(Protocol):
    """The services that the panel uses."""

    @property
    def chat_settings(self) -> ChatSettingsService:
        """What is set for chats."""

    @property
    def sampling(self) -> SamplingService:
        """What holds where nothing is set."""

    @property
    def settings(self) -> SettingsService:
        """The program's settings."""

    @property
    def engine(self) -> EngineService:
        """What the loaded model offers."""


class PanelControl(QObject):
    """A chat that is not saved yet has its settings here; they are stored with its first message."""

    failed = Signal(object)
    """AppError, for the strip above the composer."""

    def __init__(
        self, services: PanelServices, bridge: Bridge, panel: ChatPanel, view: ChatView, session: ChatSession,
        model_key: Callable[[], str],
    ) -> None:
        """`model_key` tells the model that answers next."""
        super().__init__(view)
        self._toggle = view.panel_button
        self._services, self._panel, self._session = services, panel, session
        self._answering_key = model_key
        self._model_key = ""
        self._loaded: Loaded | None = None
        self._draft = ChatSettings()
        self._shown_chat: int | None = None
        self._asked = 0
        self._listed_message = 0
        """The answer whose tokens are listed."""
        panel.settings_changed.connect(self._on_settings_changed)
        panel.keep_for_model_requested.connect(self._on_keep_for_model_requested)
        panel.presets.save_requested.connect(self._on_save_requested)
        panel.presets.remove_requested.connect(self._on_remove_requested)
        panel.close_requested.connect(lambda: self.set_open(False))
        session.created.connect(self._on_created)
        session.leaving.connect(panel.write_texts)
        session.opened.connect(self.refresh)
        self.failed.connect(view.strip.show_error)
        bridge.event_published.connect(self._on_event_published)
        panel.setVisible(self._attempt_is_open())
        self._toggle.setChecked(self.is_open)
        self._toggle.clicked.connect(self.set_open)

    @property
    def is_open(self) -> bool:
        """Whether the panel is shown."""
        return not self._panel.isHidden()

    def set_open(self, is_open: bool) -> None:
        """Show or hide the panel, and remember it."""
        self._toggle.setChecked(is_open)
        if is_open == self.is_open:
            return
        if not is_open:
            self._panel.write_texts()
        self._panel.setVisible(is_open)
        try:
            self._services.chat_settings.remember_panel(is_open)
        except AppError as error:
            self.failed.emit(error)
        self.refresh()

    def follow_model(self) -> None:
        """Show what holds for the model that answers next, if it is another one now or has just been loaded."""
        if (self._answering_key(), self._services.engine.state.loaded) != (self._model_key, self._loaded):
            self.refresh()

    def refresh(self) -> None:
        """Show the settings of the chat on screen, where the panel is open. The model's file may have to be read first."""
        if self._session.conversation_id != self._shown_chat:
            self._shown_chat = self._session.conversation_id
            self._panel.tokens.clear()
            self._panel.forget_unused()
            if self._shown_chat is None:
                self._draft = ChatSettings()
        if not self.is_open:
            return
        self._model_key, self._loaded = self._answering_key(), self._services.engine.state.loaded
        self._asked += 1
        asked, chat, key, draft = self._asked, self._shown_chat, self._model_key, self._draft

        def read() -> tuple[ChatSettings, PanelFacts]:
            own = draft if chat is None else self._services.chat_settings.get(chat)
            return own, self._facts(key, own)

        def show(found: tuple[ChatSettings, PanelFacts]) -> None:
            if asked == self._asked:
                self._panel.show_settings(*found)

        run_in_background(self, read, show, self.failed.emit)

    def _on_event_published(self, event: Event) -> None:
        match event:
            case SamplingChanged() | SettingChanged():
                self.refresh()
            case AnswerProgressed(conversation_id=chat) if event.logprobs and chat == self._shown_chat:
                if event.message_id != self._listed_message:
                    self._listed_message = event.message_id
                    self._panel.tokens.clear()
                self._panel.tokens.add(event.logprobs)
            case _:
                pass

    def _facts(self, key: str, own: ChatSettings) -> PanelFacts:
        settings, sampling = self._services.settings, self._services.sampling
        state = self._services.engine.state
        offered = state.loaded.format if state.loaded is not None and state.model_key == key else None
        return PanelFacts(
            effective=sampling.effective(key, own), presets=sampling.presets(), model_name=key,
            default_prompt=settings.text("system_prompt"), default_overflow=settings.text("context_policy"),
            thinking=offered.thinking if offered is not None else (),
            default_thinking=offered.default_thinking if offered is not None else "")

    def _on_settings_changed(self, settings: ChatSettings) -> None:
        if self._shown_chat is None:
            self._draft = settings
        else:
            try:
                self._services.chat_settings.set(self._shown_chat, settings)
            except AppError as error:
                self.failed.emit(error)
        self.refresh()

    def _on_created(self, conversation_id: int) -> None:
        """The first message is being sent: what was set before holds for it already."""
        self._panel.write_texts()
        self._shown_chat = conversation_id
        if not self._draft.is_default:
            self._services.chat_settings.set(conversation_id, self._draft)
        self._draft = ChatSettings()

    def _on_keep_for_model_requested(self) -> None:
        """The numbers become the model's; the chat has none of its own any more."""
        own = self._own()
        sampling = self._services.sampling
        try:
            kept = sampling.of_model(self._model_key)
            sampling.set_of_model(
                self._model_key, msgspec.structs.replace(kept, numbers=dict(kept.numbers) | dict(own.sampling.numbers)))
        except AppError as error:
            self.failed.emit(error)
            return
        self._on_settings_changed(
            msgspec.structs.replace(own, sampling=msgspec.structs.replace(own.sampling, numbers={})))

    def _on_save_requested(self, name: str) -> None:
        own = self._own()
        numbers = {key: getattr(self._services.sampling.effective(self._model_key, own).sampling, key)
                   for key in own.sampling.numbers}
        self._attempt_preset(name, SamplingValues(numbers=numbers))

    def _attempt_preset(self, name: str, values: SamplingValues) -> None:
        try:
            self._services.sampling.save_preset(name, values)
        except AppError as error:
            self.failed.emit(error)
        self.refresh()

    def _on_remove_requested(self, name: str) -> None:
        try:
            self._services.sampling.remove_preset(name)
        except AppError as error:
            self.failed.emit(error)
        self.refresh()

    def _own(self) -> ChatSettings:
        return self._draft if self._shown_chat is None else self._services.chat_settings.get(self._shown_chat)

    def _attempt_is_open(self) -> bool:
        try:
            return self._services.chat_settings.is_panel_open()
        except AppError:
            return False

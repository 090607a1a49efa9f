"""The chat page: connects the widgets of `gui.chat` with the services, and events with the widgets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QWidget

from localai_app.errors import AppError, Remedy
from localai_app.gui.bridge import Bridge
from localai_app.gui.chat.chat_session import ChatSession
from localai_app.gui.chat.chat_view import ChatView
from localai_app.gui.chat.conversation_panel import ConversationPanel
from localai_app.gui.chat.links import ask_to_open
from localai_app.gui.chat.model_chooser import model_title
from localai_app.gui.styling import set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.services.chat_service import ChatService
from localai_app.services.engine_service import EngineService
from localai_app.services.events import (
    AnswerEnded,
    AnswerProgressed,
    ConversationsChanged,
    EngineChanged,
    EngineFailed,
    Event,
    LibraryChanged,
    MessageAdded,
    ModelLoaded,
)
from localai_app.services.library_service import LibraryService
from localai_app.services.views import EngineStatus, InstalledModel

ACTIVE = (EngineStatus.LOADING, EngineStatus.READY, EngineStatus.ANSWERING)


class ChatPageServices(Protocol):
    """The services that this page uses."""

    @property
    def chat(self) -> ChatService:
        """Conversations and answers."""

    @property
    def engine(self) -> EngineService:
        """The loaded model."""

    @property
    def library(self) -> LibraryService:
        """Installed models."""


class ChatPage(QWidget):
    """List of chats at the left, one chat at the right. `page_requested` names a page of the window."""

    page_requested = Signal(str)

    def __init__(self, services: ChatPageServices, theme: ThemeState, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        set_role(self, "page")
        self._chat, self._engine, self._library = services.chat, services.engine, services.library
        self._chosen_key = ""
        self._models: tuple[InstalledModel, ...] = ()
        self.panel = ConversationPanel(theme)
        self.view = ChatView(theme, lambda: self._models)
        self.session = ChatSession(self._chat, self.view, self)
        row = QHBoxLayout(self)
        set_spacing(row, 0)
        row.addWidget(self.panel)
        row.addWidget(self.view, 1)
        self._connect_panel()
        self._connect_view()
        self._handlers: dict[type, Callable[[Any], None]] = {
            MessageAdded: self.session.on_message_added,
            AnswerProgressed: self.session.on_answer_progressed,
            AnswerEnded: self._on_answer_ended,
            ConversationsChanged: lambda _event: self._refresh_conversations(),
            EngineChanged: lambda _event: self._refresh_engine(),
            EngineFailed: lambda _event: self._refresh_engine(),
            ModelLoaded: self._on_model_loaded,
            LibraryChanged: lambda _event: self._refresh_models(),
        }
        bridge.event_published.connect(self._on_event_published)
        self.session.open(None)
        self._refresh_models()
        self._refresh_conversations()

    def open_with_model(self, key: str) -> None:
        """Begin a chat with a model, loading it if needed."""
        self._refresh_models()
        self._choose_model(key)
        self.new_chat()

    def new_chat(self) -> None:
        """Begin an unsaved chat, cursor in the prompt."""
        self.session.open(None)
        self.focus_prompt()

    def open_conversation(self, conversation_id: int) -> None:
        """Show a saved chat, cursor in the prompt."""
        if conversation_id != self.session.conversation_id:
            self.session.open(conversation_id)
        self.focus_prompt()

    def focus_prompt(self) -> None:
        """Put the cursor where messages are written."""
        self.view.composer.edit.setFocus(Qt.FocusReason.OtherFocusReason)

    def _connect_panel(self) -> None:
        self.panel.new_chat_requested.connect(self.new_chat)
        self.panel.opened.connect(self.open_conversation)
        self.panel.query_changed.connect(self._refresh_conversations)
        self.panel.rename_requested.connect(self._on_rename_requested)
        self.panel.delete_requested.connect(self._on_delete_requested)
        self.panel.undo_requested.connect(self._on_undo_requested)

    def _connect_view(self) -> None:
        view, session = self.view, self.session
        session.failed.connect(view.strip.show_error)
        session.opened.connect(self._on_chat_opened)
        view.title.title_changed.connect(lambda title: self._on_rename_requested(session.conversation_id, title))
        view.chooser.model_chosen.connect(self._on_model_chosen)
        view.chooser.unload_requested.connect(self._engine.unload)
        view.chooser.more_requested.connect(lambda: self.page_requested.emit("models"))
        view.no_model.button_pressed.connect(lambda: self.page_requested.emit("models"))
        view.welcome.prompt_chosen.connect(self._on_send_requested)
        view.composer.send_requested.connect(self._on_send_requested)
        view.composer.stop_requested.connect(session.stop)
        view.transcript.link_clicked.connect(self._on_link_clicked)
        view.transcript.retry_requested.connect(session.retry)
        view.strip.cancel_requested.connect(self._engine.unload)
        view.strip.remedy_requested.connect(self._on_remedy_requested)
        stop = QShortcut(QKeySequence(Qt.Key.Key_Escape), view, context=Qt.ShortcutContext.WidgetWithChildrenShortcut)
        stop.activated.connect(session.stop)

    def _on_event_published(self, event: Event) -> None:
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def _refresh_conversations(self, _query: str = "") -> None:
        """Read the list anew, and the title of the open chat from the whole list."""
        open_id = self.session.conversation_id
        shown = self._chat.conversations(self.panel.query)
        self.panel.show_conversations(shown, open_id)
        known = shown if not self.panel.query else self._chat.conversations()
        self.session.show_title(next((chat for chat in known if chat.id == open_id), None))
        self.session.refresh()

    def _on_chat_opened(self) -> None:
        self._refresh_conversations()
        self._refresh_engine()

    def _refresh_models(self) -> None:
        """Without any model there is nothing to chat with, but old chats can still be read."""
        self._models = self._library.models()
        self.session.has_model = bool(self._models) or self._engine.state.status in ACTIVE
        self._refresh_engine()

    def _refresh_engine(self) -> None:
        state = self._engine.state
        is_active = state.status in ACTIVE
        if is_active:
            self._chosen_key = state.model_key
        key = self._answering_key()
        title = next((model_title(model) for model in self._models if model.key == key), state.model_name or key)
        self.view.chooser.show_model(key, title if key else "", is_loaded=is_active)
        self.view.strip.show_state(state, title, is_error_told=self.session.tells(state.error))
        total = state.loaded.ctx if state.loaded is not None else 0
        self.view.composer.show_context(state.context_used if total else 0, total)
        self.view.composer.show_note(
            "Sent as soon as the model is ready" if state.status is EngineStatus.LOADING else "")
        self.session.refresh()

    def _on_answer_ended(self, event: AnswerEnded) -> None:
        self.session.on_answer_ended(event)
        self._refresh_engine()

    def _answering_key(self) -> str:
        """The model that answers the next message: chosen or loaded, else the one used last."""
        if self._chosen_key:
            return self._chosen_key
        return self._models[0].key if self._models else ""

    def _choose_model(self, key: str) -> None:
        self._chosen_key = key
        state = self._engine.state
        if state.model_key != key or state.status not in ACTIVE:
            self._engine.load(key)
        self._refresh_engine()

    def _on_model_chosen(self, key: str) -> None:
        self._choose_model(key)
        self.focus_prompt()

    def _on_model_loaded(self, _event: ModelLoaded) -> None:
        self._refresh_engine()
        if self.isVisible() and not self.panel.isAncestorOf(self.focusWidget() or self):
            self.focus_prompt()

    def _on_send_requested(self, text: str) -> None:
        self.session.send(text, self._answering_key())
        self.focus_prompt()

    def _on_rename_requested(self, conversation_id: int | None, title: str) -> None:
        if conversation_id is not None:
            self._chat.rename(conversation_id, title)
            self._refresh_conversations()

    def _on_delete_requested(self, conversation_id: int) -> None:
        title = next((chat.title for chat in self.panel.model.conversations if chat.id == conversation_id), "Chat")
        self._chat.delete(conversation_id)
        self.session.forget(conversation_id)
        self._refresh_conversations()
        self.panel.undo_bar.offer(f"Deleted “{title}”")

    def _on_undo_requested(self) -> None:
        restored = self._chat.undo_delete()
        if restored is not None:
            self.open_conversation(restored.id)

    def _on_remedy_requested(self, remedy: Remedy) -> None:
        match remedy:
            case Remedy.CHOOSE_MODEL:
                self.view.chooser.open_menu()
            case Remedy.OPEN_SETTINGS | Remedy.CHOOSE_FOLDER | Remedy.SHOW_LOG:
                self.page_requested.emit("settings")
            case Remedy.DOWNLOAD_AGAIN | Remedy.OPEN_MODEL_PAGE:
                self.page_requested.emit("models")
            case _:
                self._try_again()

    def _try_again(self) -> None:
        """Load the model again; an answer that was cut off goes on by itself then."""
        if self.session.has_unanswered_question():
            self.session.retry()
        else:
            try:
                self._engine.reload()
            except AppError as error:
                self.view.strip.show_error(error)

    def _on_link_clicked(self, url: QUrl) -> None:
        ask_to_open(url, self)

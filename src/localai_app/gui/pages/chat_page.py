"""The chat page: connects the widgets of `gui.chat` with the services, and events with the widgets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QWidget

from localai_app.errors import Remedy
from localai_app.gui.bridge import Bridge
from localai_app.gui.chat.chat_session import ChatSession
from localai_app.gui.chat.chat_view import ChatView
from localai_app.gui.chat.context_watch import ContextWatch
from localai_app.gui.chat.conversation_panel import ConversationPanel
from localai_app.gui.chat.links import ask_to_open
from localai_app.gui.chat.model_control import ModelControl
from localai_app.gui.chat_panel.chat_panel import ChatPanel
from localai_app.gui.chat_panel.panel_control import PanelControl, PanelServices
from localai_app.gui.chat_panel.room import ChatRoom
from localai_app.gui.styling import set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.services.chat_service import ChatService
from localai_app.services.events import (
    AnswerEnded,
    AnswerProgressed,
    ChatSettingsChanged,
    ContextChecked,
    ConversationsChanged,
    EngineChanged,
    EngineFailed,
    Event,
    LibraryChanged,
    MessageAdded,
    ModelLoaded,
    SettingChanged,
)
from localai_app.services.installed_fits import InstalledFits
from localai_app.services.library_service import LibraryService
from localai_app.services.safe_setups import SafeSetUps


class ChatPageServices(PanelServices, Protocol):
    """The services that this page uses, those of its side panel among them."""

    @property
    def chat(self) -> ChatService:
        """Conversations and answers."""

    @property
    def set_ups(self) -> SafeSetUps:
        """What is remembered of models that did not load as planned."""

    @property
    def library(self) -> LibraryService:
        """Installed models."""

    @property
    def installed_fits(self) -> InstalledFits:
        """How installed models would run."""


class ChatPage(QWidget):
    """List of chats at the left, one chat at the right. `page_requested` names a page of the window."""

    page_requested = Signal(str)
    load_panel_requested = Signal(str)
    why_slow_requested = Signal()

    def __init__(self, services: ChatPageServices, theme: ThemeState, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        set_role(self, "page")
        self._chat = services.chat
        self.panel = ConversationPanel(theme)
        self.view = ChatView(theme)
        self.kept_clear = (self.view.composer,)
        """What messages of the window are not to cover."""
        self.session = ChatSession(self._chat, self.view, self)
        self.model = ModelControl(
            services.engine, services.set_ups, (services.library, services.installed_fits), self.view, self.session, self)
        self.context = ContextWatch(self._chat, self.view, lambda: self.session.conversation_id, self)
        self.side = ChatPanel(theme)
        self.settings = PanelControl(services, bridge, self.side, self.view, self.session, lambda: self.model.answering_key)
        row = QHBoxLayout(self)
        set_spacing(row, 0)
        row.addWidget(self.panel)
        row.addWidget(self.view, 1)
        row.addWidget(self.side)
        ChatRoom(self, self.panel, self.side)
        self._connect_panel()
        self._connect_view()
        self._handlers: dict[type, Callable[[Any], None]] = {
            MessageAdded: self._on_message_added,
            AnswerProgressed: self.session.on_answer_progressed,
            AnswerEnded: self._on_answer_ended,
            ContextChecked: self.context.on_context_checked,
            SettingChanged: lambda _event: self.context.check_soon(),
            ChatSettingsChanged: lambda _event: self.context.check_soon(),
            ConversationsChanged: lambda _event: self._refresh_conversations(),
            EngineChanged: lambda _event: self._on_engine_changed(),
            EngineFailed: lambda _event: self.model.refresh(),
            ModelLoaded: self._on_model_loaded,
            LibraryChanged: lambda _event: self.model.refresh_models(),
        }
        bridge.event_published.connect(self._on_event_published)
        self.session.open(None)
        self.model.refresh_models()
        self._refresh_conversations()

    def open_with_model(self, key: str) -> None:
        """Begin a chat with a model, loading it if needed."""
        self.model.refresh_models()
        self.model.choose(key)
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
        view.chooser.model_chosen.connect(lambda _key: self.focus_prompt())
        self.model.page_requested.connect(self.page_requested)
        self.model.load_panel_requested.connect(self.load_panel_requested)
        view.welcome.prompt_chosen.connect(self._on_send_requested)
        view.composer.send_requested.connect(self._on_send_requested)
        view.composer.stop_requested.connect(session.stop)
        view.transcript.column.link_clicked.connect(self._on_link_clicked)
        view.transcript.column.retry_requested.connect(session.retry)
        view.transcript.column.why_slow_requested.connect(self.why_slow_requested)
        self.context.failed.connect(view.strip.show_error)
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

    def _on_message_added(self, event: MessageAdded) -> None:
        self.session.on_message_added(event)
        self._mark_answering()

    def _on_engine_changed(self) -> None:
        self.model.refresh()
        self.settings.follow_model()
        self._mark_answering()

    def _mark_answering(self) -> None:
        self.panel.model.show_answering(self._chat.answering_conversation_id)

    def _on_chat_opened(self) -> None:
        self._refresh_conversations()
        self.model.refresh()
        self.context.check_soon()

    def _on_answer_ended(self, event: AnswerEnded) -> None:
        self.session.on_answer_ended(event)
        self._on_engine_changed()
        self.context.check_soon()
        if event.error is not None and event.error.remedy is Remedy.CHANGE_TEMPLATE:
            self.view.strip.show_error(event.error)

    def _on_model_loaded(self, _event: ModelLoaded) -> None:
        self.model.refresh()
        self.context.check_soon()
        if self.isVisible() and not self.panel.isAncestorOf(self.focusWidget() or self):
            self.focus_prompt()

    def _on_send_requested(self, text: str) -> None:
        self.session.send(text, self.model.answering_key)
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

    def _on_link_clicked(self, url: QUrl) -> None:
        ask_to_open(url, self)

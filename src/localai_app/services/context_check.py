"""How much of the context a message would take, asked before it is sent."""

from __future__ import annotations

from dataclasses import replace

from localai_app.engine.protocol import Overflow, TokensCounted
from localai_app.errors import AppError
from localai_app.services.chat_requests import ChatRequests
from localai_app.services.chat_turns import Turns
from localai_app.services.context_words import warning_before_sending
from localai_app.services.engine_service import EngineService
from localai_app.services.events import ContextChecked, EventBus
from localai_app.store.conversations import ConversationStore
from localai_app.store.records import Message, MessageState, Role

_DRAFT_ID = -1
"""Stands for a message that is not stored yet."""


class ContextCheck:
    """Lets the loaded model count. The answer arrives as ContextChecked; none where no model is ready."""

    def __init__(
        self, events: EventBus, conversations: ConversationStore, requests: ChatRequests, engine: EngineService,
    ) -> None:
        self._events = events
        self._conversations = conversations
        self._requests = requests
        self._engine = engine

    def ask(self, conversation_id: int | None, draft: str) -> None:
        """Count a chat with a message that is being written; None for a chat that is not saved yet.

        Reads the store: not for the window's own thread. AppError if that fails.
        """
        history = self._conversations.messages(conversation_id) if conversation_id is not None else ()
        if draft.strip():
            history = (*history, Message(
                id=_DRAFT_ID, conversation_id=conversation_id or _DRAFT_ID, role=Role.USER, text=draft.strip(),
                state=MessageState.DONE, created_s=0.0))
        request = self._requests.request(conversation_id, history, model_key=self._engine.state.model_key)
        if not request.turns.messages:
            return
        extras, loaded = request.extras, self._engine.state.loaded
        if loaded is not None and not loaded.has_chat_template:
            # The text that a base model continues has no turns to leave out.
            extras = replace(extras, overflow=Overflow.STOP)
        try:
            self._engine.count(
                request.turns.messages, request.sampling,
                lambda counted: self._on_counted(conversation_id, draft, request.turns, extras.overflow, counted),
                extras=extras)
        except AppError:
            # No model, or longer than anything that can be sent: the engine says so when it is.
            return

    def _on_counted(
        self, conversation_id: int | None, draft: str, turns: Turns, overflow: Overflow, counted: TokensCounted,
    ) -> None:
        n_left_out = len(turns.to_stored(counted.cut, _DRAFT_ID).left_out)
        words = warning_before_sending(counted, n_left_out, overflow)
        self._events.publish(ContextChecked(conversation_id, draft, counted, words))

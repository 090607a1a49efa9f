"""Conversations and the answers to them: sent, queued while a model loads, stopped, continued."""

from __future__ import annotations

from localai_app import errors
from localai_app.engine.protocol import Overflow
from localai_app.errors import AppError
from localai_app.services.answer_meter import AnswerMeter
from localai_app.services.answer_queue import AnswerQueue, Ask
from localai_app.services.chat_requests import ChatRequests
from localai_app.services.context_check import ContextCheck
from localai_app.services.engine_service import EngineService
from localai_app.services.events import ConversationDeleted, ConversationsChanged, EventBus, MessageAdded
from localai_app.services.library_service import LibraryService
from localai_app.services.views import EngineStatus
from localai_app.store.conversations import ConversationStore
from localai_app.store.database import Store
from localai_app.store.records import Conversation, Message, MessageState, Role

UNTITLED = "New chat"
TITLE_CHARACTERS = 60


class ChatService:
    """Every method returns at once; answers arrive as events. One answer runs at a time, others wait in order."""

    def __init__(
        self, events: EventBus, store: Store, requests: ChatRequests, library: LibraryService, engine: EngineService,
        meter: AnswerMeter | None = None,
    ) -> None:
        self._events = events
        self._conversations: ConversationStore = store.conversations
        self._library = library
        self._engine = engine
        self._queue = AnswerQueue(events, store.conversations, requests, library, engine, meter)
        self._context = ContextCheck(events, store.conversations, requests, engine)
        self._requests = requests

    def close(self) -> None:
        """Ask for nothing more."""
        self._queue.close()

    @property
    def answering_conversation_id(self) -> int | None:
        """The chat that is being answered now."""
        return self._queue.answering_conversation_id

    def is_waiting(self, conversation_id: int) -> bool:
        """Whether a chat waits for its answer (the model loads, or another chat is answered)."""
        return self._queue.is_waiting(conversation_id)

    def conversations(self, query: str = "") -> tuple[Conversation, ...]:
        """Chats whose title or text contains `query`, last used first."""
        return tuple(self._conversations.list(query))

    def messages(self, conversation_id: int) -> tuple[Message, ...]:
        """All messages of a chat in order."""
        return tuple(self._conversations.messages(conversation_id))

    def create(self) -> Conversation:
        """A new, empty chat."""
        conversation = self._conversations.create(UNTITLED, self._engine.state.model_key)
        self._events.publish(ConversationsChanged())
        return conversation

    def rename(self, conversation_id: int, title: str) -> None:
        """Give a chat another title; an empty one is ignored."""
        if title.strip():
            self._conversations.rename(conversation_id, title.strip()[:200])
            self._events.publish(ConversationsChanged())

    def delete(self, conversation_id: int) -> None:
        """Remove a chat; `undo_delete` brings it back."""
        self.stop(conversation_id)
        self._conversations.delete(conversation_id)
        self._events.publish(ConversationDeleted(conversation_id))
        self._events.publish(ConversationsChanged())

    def undo_delete(self) -> Conversation | None:
        """Bring back the chat that was deleted last."""
        restored = self._conversations.restore_last_deleted()
        self._events.publish(ConversationsChanged())
        return restored

    def send(self, conversation_id: int, text: str, model_key: str = "") -> None:
        """Add a message and have it answered; AppError if no model is installed."""
        conversation = self._conversations.get(conversation_id)
        key = model_key or self._model_for(conversation)
        message = self._conversations.add_message(conversation_id, Role.USER, text, MessageState.DONE)
        if conversation.title == UNTITLED:
            self._conversations.rename(conversation_id, title_from(text))
        if conversation.model_key != key:
            self._conversations.set_model(conversation_id, key)
        self._events.publish(MessageAdded(message))
        self._events.publish(ConversationsChanged())
        self._queue.add(Ask(conversation_id, key))

    def stop(self, conversation_id: int) -> None:
        """End the answer to a chat, or take its waiting question back."""
        self._queue.stop(conversation_id)

    def retry(self, conversation_id: int) -> None:
        """Go on with an interrupted answer, or answer the last question anew; AppError if no model is installed."""
        messages = self.messages(conversation_id)
        if not messages or self._is_busy(conversation_id):
            return
        last = messages[-1]
        if last.role is Role.ASSISTANT and last.state is MessageState.INTERRUPTED and last.text:
            self.continue_answer(conversation_id)
            return
        # First, because an answer that cannot be replaced has to stay.
        key = self._model_for(self._conversations.get(conversation_id))
        if last.role is Role.ASSISTANT:
            self._conversations.delete_message(last.id)
        self._events.publish(ConversationsChanged())
        self._queue.add(Ask(conversation_id, key), only_if_idle=True)

    def continue_answer(self, conversation_id: int) -> None:
        """Go on with the last answer from the text that it has."""
        messages = self.messages(conversation_id)
        if messages and messages[-1].role is Role.ASSISTANT and not self._is_busy(conversation_id):
            key = self._model_for(self._conversations.get(conversation_id))
            self._queue.add(Ask(conversation_id, key, continues=messages[-1]), only_if_idle=True)

    def check_context(self, conversation_id: int | None, draft: str) -> None:
        """Have counted how long a chat would be with a message that is being written; the answer is ContextChecked.

        Reads the store: not for the window's own thread. AppError if that fails.
        """
        self._context.ask(conversation_id, draft)

    def can_outgrow_context(self, conversation_id: int) -> bool:
        """Whether something is left out of a chat that is longer than the context, so that it can go on."""
        return self._requests.overflow(conversation_id) is not Overflow.STOP

    def _is_busy(self, conversation_id: int) -> bool:
        return self.answering_conversation_id == conversation_id or self.is_waiting(conversation_id)

    def _model_for(self, conversation: Conversation) -> str:
        """The model of the chat if it is still there, else the one in use, else the one used last."""
        installed = self._library.models()
        keys = [model.key for model in installed]
        for key in (conversation.model_key, self._engine.state.model_key):
            if key in keys or self._is_loaded(key):
                return key
        if conversation.model_key.endswith(".gguf"):
            return conversation.model_key
        if not keys:
            raise AppError(errors.NO_MODEL_LOADED)
        return next((model.key for model in installed if model.is_complete), keys[0])

    def _is_loaded(self, model_key: str) -> bool:
        """Whether a model answers or is about to, also one that no list has because it was opened by its path."""
        model = self._engine.find(model_key)
        return model is not None and model.state.status is not EngineStatus.FAILED


def title_from(text: str) -> str:
    """A chat's title from its first message: the first line, cut at a word."""
    line = " ".join(text.split("\n", 1)[0].split()) or UNTITLED
    if len(line) <= TITLE_CHARACTERS:
        return line
    cut = line[:TITLE_CHARACTERS]
    return (cut.rsplit(" ", 1)[0] if " " in cut else cut) + "…"

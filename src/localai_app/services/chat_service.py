"""Conversations and the answers to them: sent, queued while a model loads, stopped, continued."""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import dataclass

from localai_app import errors
from localai_app.engine.protocol import ChatMessage, GenerationStats, Sampling
from localai_app.errors import AppError
from localai_app.services.answer import StreamingAnswer
from localai_app.services.engine_service import EngineService
from localai_app.services.events import (
    ConversationsChanged,
    EngineFailed,
    Event,
    EventBus,
    MessageAdded,
    ModelLoaded,
)
from localai_app.services.library_service import LibraryService
from localai_app.services.settings_service import SettingsService
from localai_app.services.thinking import without_thinking
from localai_app.services.views import EngineStatus
from localai_app.store.conversations import ConversationStore
from localai_app.store.database import Store
from localai_app.store.records import Conversation, Message, MessageState, Role

log = logging.getLogger(__name__)

UNTITLED = "New chat"
TITLE_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class _Ask:
    """A conversation that waits for an answer; `continues` is the message to go on with, if any."""

    conversation_id: int
    model_key: str
    continues: Message | None = None


class ChatService:
    """Every method returns at once; answers arrive as events. One answer runs at a time, others wait in order."""

    def __init__(
        self, events: EventBus, store: Store, settings: SettingsService, library: LibraryService, engine: EngineService,
    ) -> None:
        self._events = events
        self._conversations: ConversationStore = store.conversations
        self._settings = settings
        self._library = library
        self._engine = engine
        self._lock = threading.Lock()
        self._waiting: deque[_Ask] = deque()
        self._answer: StreamingAnswer | None = None
        self._unsubscribe = events.subscribe(self._on_event)

    def close(self) -> None:
        """Ask for nothing more."""
        self._unsubscribe()
        with self._lock:
            self._waiting.clear()

    @property
    def answering_conversation_id(self) -> int | None:
        """The chat that is being answered now."""
        answer = self._answer
        return answer.conversation_id if answer is not None else None

    def is_waiting(self, conversation_id: int) -> bool:
        """Whether a chat waits for its answer (the model loads, or another chat is answered)."""
        with self._lock:
            return any(ask.conversation_id == conversation_id for ask in self._waiting)

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
        self._enqueue(_Ask(conversation_id, key))

    def stop(self, conversation_id: int) -> None:
        """End the answer to a chat, or take its waiting question back."""
        with self._lock:
            self._waiting = deque(ask for ask in self._waiting if ask.conversation_id != conversation_id)
            answer = self._answer
        if answer is not None and answer.conversation_id == conversation_id and answer.request_id is not None:
            self._engine.stop(answer.request_id)

    def retry(self, conversation_id: int) -> None:
        """Go on with an interrupted answer, or answer the last question anew."""
        messages = self.messages(conversation_id)
        if not messages or self._is_busy(conversation_id):
            return
        last = messages[-1]
        if last.role is Role.ASSISTANT and last.state is MessageState.INTERRUPTED and last.text:
            self.continue_answer(conversation_id)
            return
        if last.role is Role.ASSISTANT:
            self._conversations.delete_message(last.id)
        self._events.publish(ConversationsChanged())
        self._enqueue(_Ask(conversation_id, self._model_for(self._conversations.get(conversation_id))))

    def continue_answer(self, conversation_id: int) -> None:
        """Go on with the last answer from the text that it has."""
        messages = self.messages(conversation_id)
        if messages and messages[-1].role is Role.ASSISTANT and not self._is_busy(conversation_id):
            key = self._model_for(self._conversations.get(conversation_id))
            self._enqueue(_Ask(conversation_id, key, continues=messages[-1]))

    def _is_busy(self, conversation_id: int) -> bool:
        return self.answering_conversation_id == conversation_id or self.is_waiting(conversation_id)

    def _model_for(self, conversation: Conversation) -> str:
        """The model of the chat if it is still installed, else the loaded one, else the one used last."""
        installed = self._library.models()
        keys = [model.key for model in installed]
        for key in (conversation.model_key, self._engine.state.model_key):
            if key and key in keys:
                return key
        if conversation.model_key.endswith(".gguf"):
            return conversation.model_key
        if not keys:
            raise AppError(errors.NO_MODEL_LOADED)
        return keys[0]

    def _enqueue(self, ask: _Ask) -> None:
        with self._lock:
            self._waiting.append(ask)
        self._pump()

    def _pump(self) -> None:
        """Begin the next waiting answer if the engine is free, loading its model first where needed."""
        with self._lock:
            if self._answer is not None or not self._waiting:
                return
            ask = self._waiting[0]
            state = self._engine.state
            must_load = state.model_key != ask.model_key or state.status in (EngineStatus.NONE, EngineStatus.FAILED)
            if not must_load and state.status is not EngineStatus.READY:
                return
            if not must_load:
                self._waiting.popleft()
                self._answer = answer = self._open_answer(ask)
        if must_load:
            self._engine.load(ask.model_key)
            return
        if ask.continues is None:
            self._events.publish(MessageAdded(answer.message))
        self._begin(ask, answer)

    def _open_answer(self, ask: _Ask) -> StreamingAnswer:
        if ask.continues is not None:
            message = self._conversations.finish_message(ask.continues.id, MessageState.STREAMING, stats=None, error="")
        else:
            message = self._conversations.add_message(
                ask.conversation_id, Role.ASSISTANT, "", MessageState.STREAMING, model_key=ask.model_key)
        return StreamingAnswer(message, self._conversations, self._events, self._on_answer_over)

    def _begin(self, ask: _Ask, answer: StreamingAnswer) -> None:
        history = [message for message in self.messages(ask.conversation_id) if message.id != answer.message.id]
        prefill = ask.continues.text if ask.continues is not None else ""
        loaded = self._engine.state.loaded
        try:
            if loaded is not None and not loaded.has_chat_template:
                prompt = "\n\n".join(message.text for message in history) + prefill
                answer.request_id = self._engine.complete(prompt, self._sampling(), answer)
            else:
                answer.request_id = self._engine.chat(
                    self._chat_messages(history), self._sampling(), answer, prefill=prefill)
        except AppError as error:
            answer.on_failed(error)

    def _chat_messages(self, history: list[Message]) -> list[ChatMessage]:
        turns = []
        system_prompt = self._settings.text("system_prompt").strip()
        if system_prompt:
            turns.append(ChatMessage(role=Role.SYSTEM.value, content=system_prompt))
        for message in history:
            text = without_thinking(message.text) if message.role is Role.ASSISTANT else message.text
            if not text:
                continue
            if turns and turns[-1].role == message.role.value:
                turns[-1] = ChatMessage(role=message.role.value, content=f"{turns[-1].content}\n\n{text}")
            else:
                turns.append(ChatMessage(role=message.role.value, content=text))
        return turns

    def _sampling(self) -> Sampling:
        return Sampling(
            temperature=self._settings.number("temperature"),
            max_tokens=self._settings.integer("max_answer_tokens") or None)

    def _on_answer_over(self, answer: StreamingAnswer, stats: GenerationStats | None) -> None:
        with self._lock:
            if self._answer is answer:
                self._answer = None
        key = self._engine.state.model_key
        if stats is not None and stats.completion_tokens and key:
            self._library.note_use(key, tps=stats.tps or None, prompt_tps=stats.prompt_tps or None)
        self._events.publish(ConversationsChanged())
        if self._engine.state.status is EngineStatus.READY:
            self._pump()

    def _on_event(self, event: Event) -> None:
        match event:
            case ModelLoaded(model_key=key):
                self._library.note_use(key)
                self._pump()
            case EngineFailed(error=error):
                self._drop_waiting(error)
            case _:
                pass

    def _drop_waiting(self, error: AppError) -> None:
        """No model, no answers: questions stay in their chats, where one click asks again."""
        with self._lock:
            n_dropped = len(self._waiting)
            self._waiting.clear()
        if n_dropped:
            log.info("%d waiting answers dropped: %s", n_dropped, error.message)


def title_from(text: str) -> str:
    """A chat's title from its first message: the first line, cut at a word."""
    line = " ".join(text.split("\n", 1)[0].split()) or UNTITLED
    if len(line) <= TITLE_CHARACTERS:
        return line
    cut = line[:TITLE_CHARACTERS]
    return (cut.rsplit(" ", 1)[0] if " " in cut else cut) + "…"

"""Which chat is answered now and which ones wait: one answer at a time, in the order in which they were asked for."""

from __future__ import annotations

import contextlib
import logging
import threading
from dataclasses import dataclass, replace

from localai_app.engine.protocol import GenerationStats
from localai_app.errors import AppError
from localai_app.services.answer import StreamingAnswer
from localai_app.services.answer_meter import AnswerMeter
from localai_app.services.chat_requests import ChatRequests
from localai_app.services.engine_service import EngineService
from localai_app.services.events import (
    AnswerEnded,
    ConversationsChanged,
    EngineChanged,
    EngineFailed,
    ErrorHappened,
    Event,
    EventBus,
    MessageAdded,
    ModelLoaded,
)
from localai_app.services.library_service import LibraryService
from localai_app.services.views import EngineStatus
from localai_app.store.conversations import ConversationStore
from localai_app.store.records import Message, MessageState, Role

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ask:
    """A chat that waits for an answer; `continues` is the message to go on with, if any."""

    conversation_id: int
    model_key: str
    continues: Message | None = None


class AnswerQueue:
    """Loads the model that the first waiting chat needs and has its chat answered, then the next one.

    A chat waits at most once: what is written to it meanwhile is answered together. A model that the user chooses while
    chats wait answers them; a model that is unloaded or fails sends them back unanswered.
    """

    def __init__(
        self, events: EventBus, conversations: ConversationStore, requests: ChatRequests, library: LibraryService,
        engine: EngineService, meter: AnswerMeter | None = None,
    ) -> None:
        """`meter`: measures around each answer, if given."""
        self._events = events
        self._conversations = conversations
        self._requests = requests
        self._library = library
        self._engine = engine
        self._meter = meter
        self._lock = threading.Lock()
        self._waiting: list[Ask] = []
        self._current: Ask | None = None
        self._answer: StreamingAnswer | None = None
        self._request_id: int | None = None
        self._is_stop_wanted = False
        self._asked_key = ""
        """The model that this queue asked the engine for last; any other one was chosen by the user."""
        self._is_pumping = False
        self._is_pump_wanted = False
        self._is_closed = False
        self._unsubscribe = events.subscribe(self._on_event)

    def close(self) -> None:
        """Ask for nothing more; an answer under way ends with the engine."""
        self._unsubscribe()
        with self._lock:
            self._is_closed = True
            self._waiting.clear()

    @property
    def answering_conversation_id(self) -> int | None:
        """The chat that is being answered now."""
        current = self._current
        return current.conversation_id if current is not None else None

    def is_waiting(self, conversation_id: int) -> bool:
        """Whether a chat waits for its answer (the model loads, or another chat is answered)."""
        with self._lock:
            return any(ask.conversation_id == conversation_id for ask in self._waiting)

    def add(self, ask: Ask, *, only_if_idle: bool = False) -> None:
        """Have a chat answered as soon as it is its turn. `only_if_idle`: not if it is answered or waits already."""
        with self._lock:
            is_answering = self._current is not None and self._current.conversation_id == ask.conversation_id
            place = next(
                (index for index, known in enumerate(self._waiting) if known.conversation_id == ask.conversation_id), None)
            if self._is_closed or (only_if_idle and (is_answering or place is not None)):
                return
            if place is None:
                self._waiting.append(ask)
            else:
                self._waiting[place] = ask
        self._pump()

    def stop(self, conversation_id: int) -> None:
        """End the answer to a chat, or take its waiting question back."""
        with self._lock:
            n_before = len(self._waiting)
            self._waiting = [ask for ask in self._waiting if ask.conversation_id != conversation_id]
            is_taken_back = len(self._waiting) < n_before
            request_id = None
            if self._current is not None and self._current.conversation_id == conversation_id:
                self._is_stop_wanted = True
                request_id = self._request_id
        if request_id is not None:
            self._engine.stop(request_id)
        if is_taken_back:
            self._events.publish(ConversationsChanged())

    def _pump(self) -> None:
        """Begin whatever can begin. One thread at a time does so; another one that comes has it look again."""
        with self._lock:
            self._is_pump_wanted = True
            if self._is_pumping:
                return
            self._is_pumping = True
        try:
            while self._takes_turn():
                self._begin_next()
        except BaseException:
            with self._lock:
                self._is_pumping = False
            raise

    def _takes_turn(self) -> bool:
        with self._lock:
            is_wanted, self._is_pump_wanted = self._is_pump_wanted, False
            self._is_pumping = is_wanted
            return is_wanted

    def _begin_next(self) -> None:
        with self._lock:
            if self._current is not None or not self._waiting:
                return
            ask = self._waiting[0]
            model = self._engine.find(ask.model_key)
            must_load = model is None or model.state.status is EngineStatus.FAILED
            if model is not None and not must_load and model.state.status is not EngineStatus.READY:
                return
            self._asked_key = ask.model_key
            if not must_load:
                self._current = self._waiting.pop(0)
                self._request_id, self._is_stop_wanted = None, False
        if must_load:
            self._engine.load(ask.model_key)
            return
        self._engine.use(ask.model_key)
        try:
            self._begin(ask)
        except AppError as error:
            self._events.publish(ErrorHappened(error))
        finally:
            self._let_go_unless_begun()

    def _let_go_unless_begun(self) -> None:
        """Give the turn on where there was nothing to answer, or where the store could not take the answer."""
        with self._lock:
            if self._answer is not None or self._current is None:
                return
            self._current = None
            self._is_pump_wanted = True
        self._events.publish(ConversationsChanged())

    def _begin(self, ask: Ask) -> None:
        if ask.continues is None and not self._has_open_question(ask.conversation_id):
            return
        answer = self._open_answer(ask)
        if ask.continues is None:
            self._events.publish(MessageAdded(answer.message))
        self._ask_engine(ask, answer)

    def _ask_engine(self, ask: Ask, answer: StreamingAnswer) -> None:
        try:
            messages = self._conversations.messages(ask.conversation_id)
            history = [message for message in messages if message.id < answer.message.id]
            request = self._requests.request(ask.conversation_id, history, ask.continues, model_key=ask.model_key)
            answer.turns = request.turns
            model = self._engine.find(ask.model_key)
            loaded = model.state.loaded if model is not None else None
            if loaded is not None and not loaded.has_chat_template:
                prompt = "\n\n".join(message.text for message in history) + request.extras.prefill
                request_id = self._engine.complete(prompt, request.sampling, answer, model_key=ask.model_key)
            else:
                request_id = self._engine.chat(
                    request.turns.messages, request.sampling, answer, extras=request.extras, model_key=ask.model_key)
        except AppError as error:
            answer.on_failed(error)
            return
        with self._lock:
            if self._answer is answer:
                self._request_id = request_id
            is_stop_wanted = self._is_stop_wanted
        if is_stop_wanted:
            self._engine.stop(request_id)

    def _has_open_question(self, conversation_id: int) -> bool:
        """Whether a chat ends with a question: one that came just before an answer began was answered by it."""
        messages = self._conversations.messages(conversation_id)
        return bool(messages) and messages[-1].role is Role.USER

    def _open_answer(self, ask: Ask) -> StreamingAnswer:
        if ask.continues is not None:
            message = self._conversations.finish_message(ask.continues.id, MessageState.STREAMING, stats=None, error="")
        else:
            message = self._conversations.add_message(
                ask.conversation_id, Role.ASSISTANT, "", MessageState.STREAMING, model_key=ask.model_key)
        self._answer = answer = StreamingAnswer(
            message, ask.model_key, self._conversations, self._events, self._on_answer_over, self._meter)
        return answer

    def _on_answer_over(self, answer: StreamingAnswer, stats: GenerationStats | None, error: AppError | None) -> None:
        with self._lock:
            if self._answer is answer:
                self._answer = self._current = self._request_id = None
        self._events.publish(AnswerEnded(answer.message, error))
        if stats is not None and stats.completion_tokens:
            self._note_use(answer.model_key, tps=stats.tps or None, prompt_tps=stats.prompt_tps or None)
        self._events.publish(ConversationsChanged())
        self._pump()

    def _note_use(self, model_key: str, tps: float | None = None, prompt_tps: float | None = None) -> None:
        """What is remembered of a model is not worth failing an answer for."""
        with contextlib.suppress(AppError):
            self._library.note_use(model_key, tps=tps, prompt_tps=prompt_tps)

    def _on_event(self, event: Event) -> None:
        match event:
            case EngineChanged():
                self._follow_engine()
            case ModelLoaded(model_key=key):
                self._note_use(key)
                self._pump()
            case EngineFailed(model_key=key):
                self._drop_waiting(key)
            case _:
                pass

    def _follow_engine(self) -> None:
        """The user chose another model, or none: that holds for the chats that wait as well."""
        state = self._engine.state
        if state.status is EngineStatus.NONE:
            self._drop_waiting()
        elif state.status is not EngineStatus.FAILED and state.model_key != self._asked_key:
            with self._lock:
                self._asked_key = state.model_key
                self._waiting = [replace(ask, model_key=state.model_key) for ask in self._waiting]

    def _drop_waiting(self, model_key: str | None = None) -> None:
        """No model, no answers: questions stay in their chats, where one click asks again.

        `model_key`: those for this model; the others go on.
        """
        with self._lock:
            left = [ask for ask in self._waiting if model_key not in (None, ask.model_key)]
            n_dropped, self._waiting = len(self._waiting) - len(left), left
        if n_dropped:
            log.info("%d chats were waiting for an answer and are not answered", n_dropped)
            self._events.publish(ConversationsChanged())
        if left:
            self._pump()

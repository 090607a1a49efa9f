"""One answer while it streams: kept in the store as it grows, announced as it grows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import msgspec

from localai_app.engine.protocol import FinishReason, GenerationStats, HistoryCut, TextGenerated, ToolCall
from localai_app.errors import AppError
from localai_app.services.answer_meter import AnswerMeter
from localai_app.services.chat_turns import Turns
from localai_app.services.events import AnswerProgressed, ErrorHappened, EventBus, MessageAdded
from localai_app.services.thinking import AnswerText, parts_of
from localai_app.store.conversations import ConversationStore
from localai_app.store.records import CallRecord, Message, MessageState, MessageStats

WRITE_INTERVAL_S = 0.25
"""A crash loses at most this much of an answer; writing every token would cost speed."""
RETRY_INTERVAL_S = 5.0
"""Pause after a failed write, so that a store that is busy or full does not slow the answer down."""
CUT_OFF = "the answer ended in the middle of it"


class StreamingAnswer:
    """The sink of one answer. `on_over` is called once at the end, after the message was stored.

    A store that cannot be written to does not end the answer: its text goes on, and the failure is announced once.
    """

    def __init__(
        self, message: Message, model_key: str, conversations: ConversationStore, events: EventBus,
        on_over: Callable[[StreamingAnswer, GenerationStats | None, AppError | None], None], meter: AnswerMeter | None = None,
    ) -> None:
        self.message = message
        self.model_key = model_key
        self._conversations = conversations
        self._events = events
        self._on_over = on_over
        self._meter = meter
        self._metered = meter.begin() if meter is not None else None
        self._lock = threading.Lock()
        self.turns = Turns()
        """What the model is asked to answer."""
        self._parts = parts_of(message)
        self._calls: tuple[CallRecord, ...] = message.tool_calls
        self._unwritten = AnswerText()
        self._must_replace = message.thinking is None
        """Whether what is stored has to be written anew: added text would not make it what was said."""
        self._next_write_s = time.monotonic() + WRITE_INTERVAL_S
        self._is_over = False
        self._is_failure_told = False

    @property
    def conversation_id(self) -> int:
        """The chat it belongs to."""
        return self.message.conversation_id

    def on_cut(self, cut: HistoryCut) -> None:
        """Keep and announce what the model does not get."""
        kept = self.turns.to_stored(cut, self.message.id)
        try:
            self._conversations.set_cut(self.message.id, kept)
        except AppError as error:
            self._tell(error)
        self.message = msgspec.structs.replace(self.message, cut=kept)
        self._events.publish(MessageAdded(self.message))

    def on_text(self, event: TextGenerated) -> None:
        """Keep and announce new text."""
        with self._lock:
            if self._is_over:
                return
            self._parts.add(event.channel, event.text, takes_back=event.takes_back)
            self._unwritten.add(event.channel, event.text)
            self._must_replace |= event.takes_back
            failure = self._write() if time.monotonic() >= self._next_write_s else None
        self._tell(failure)
        self._events.publish(AnswerProgressed(
            self.conversation_id, self.message.id, event.text, event.stats, event.channel, event.takes_back,
            event.logprobs))

    def on_finished(
        self, reason: FinishReason, stats: GenerationStats, tool_calls: Sequence[ToolCall] = (),
    ) -> None:
        """Keep the end of it and its numbers."""
        state = MessageState.STOPPED if reason is FinishReason.CANCELLED else MessageState.DONE
        if tool_calls:
            with self._lock:
                self._calls += msgspec.convert(list(tool_calls), type=tuple[CallRecord, ...], from_attributes=True)
                self._must_replace = True
        kept = message_stats(stats, reason)
        if kept is not None and self._meter is not None:
            kept = self._meter.completed(kept, self._metered, stats)
        self._end(state, kept, None, stats)

    def on_failed(self, error: AppError) -> None:
        """Keep what came before the failure, and the failure in words."""
        with self._lock:
            if self._parts.tool:
                self._calls += (CallRecord(name="", arguments_json="{}", problem=CUT_OFF, raw=self._parts.tool),)
                self._must_replace = True
        self._end(MessageState.INTERRUPTED, None, error, None)

    def _end(
        self, state: MessageState, stats: MessageStats | None, error: AppError | None, raw_stats: GenerationStats | None,
    ) -> None:
        words = f"{error.message} {error.action}" if error is not None else ""
        with self._lock:
            if self._is_over:
                return
            self._is_over = True
            failure = self._write()
            try:
                self.message = self._conversations.finish_message(self.message.id, state, stats=stats, error=words)
            except AppError as store_error:
                failure = failure or store_error
            if failure is not None:
                self.message = msgspec.structs.replace(
                    self.message, text=self._parts.answer, thinking=self._parts.thinking, tool_calls=self._calls, state=state,
                    stats=stats, error=words)
        self._tell(failure)
        self._on_over(self, raw_stats, error)

    def _write(self) -> AppError | None:
        """Store what has come since the last time; the failure if it cannot be stored now."""
        self._next_write_s = time.monotonic() + WRITE_INTERVAL_S
        unwritten, parts = self._unwritten, self._parts
        if not (unwritten.answer or unwritten.thinking or self._must_replace):
            return None
        try:
            if self._must_replace:
                self._conversations.set_parts(self.message.id, parts.answer, parts.thinking, self._calls)
            else:
                self._conversations.append_text(self.message.id, unwritten.answer, unwritten.thinking)
        except AppError as error:
            self._next_write_s = time.monotonic() + RETRY_INTERVAL_S
            return error
        self._unwritten, self._must_replace = AnswerText(), False
        return None

    def _tell(self, failure: AppError | None) -> None:
        if failure is not None and not self._is_failure_told:
            self._is_failure_told = True
            self._events.publish(ErrorHappened(failure))


def message_stats(stats: GenerationStats, reason: FinishReason) -> MessageStats | None:
    """The numbers to keep under an answer; None if nothing was generated."""
    if stats.completion_tokens == 0:
        return None
    return MessageStats(
        prompt_tokens=stats.prompt_tokens, completion_tokens=stats.completion_tokens, prompt_tps=stats.prompt_tps,
        tps=stats.tps, ttft_s=stats.ttft_s, context_used=stats.context_used, context_total=stats.context_total,
        finish_reason=reason.value, thinking_s=stats.thinking_s)

"""One answer while it streams: kept in the store as it grows, announced as it grows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from localai_app.engine.protocol import FinishReason, GenerationStats
from localai_app.errors import AppError
from localai_app.services.events import AnswerEnded, AnswerProgressed, EventBus
from localai_app.store.conversations import ConversationStore
from localai_app.store.records import Message, MessageState, MessageStats

WRITE_INTERVAL_S = 0.25
"""A crash loses at most this much of an answer; writing every token would cost speed."""


class StreamingAnswer:
    """The sink of one answer. `on_over` is called once at the end, after the message was stored."""

    def __init__(
        self, message: Message, conversations: ConversationStore, events: EventBus,
        on_over: Callable[[StreamingAnswer, GenerationStats | None], None],
    ) -> None:
        self.message = message
        self.request_id: int | None = None
        self._conversations = conversations
        self._events = events
        self._on_over = on_over
        self._lock = threading.Lock()
        self._unwritten: list[str] = []
        self._written_s = time.monotonic()
        self._is_over = False

    @property
    def conversation_id(self) -> int:
        """The chat it belongs to."""
        return self.message.conversation_id

    def on_text(self, text: str, stats: GenerationStats) -> None:
        """Keep and announce new text."""
        with self._lock:
            if self._is_over:
                return
            self._unwritten.append(text)
            if time.monotonic() - self._written_s >= WRITE_INTERVAL_S:
                self._write()
        self._events.publish(AnswerProgressed(self.conversation_id, self.message.id, text, stats))

    def on_finished(self, reason: FinishReason, stats: GenerationStats) -> None:
        """Keep the end of it and its numbers."""
        state = MessageState.STOPPED if reason is FinishReason.CANCELLED else MessageState.DONE
        self._end(state, message_stats(stats, reason), None, stats)

    def on_failed(self, error: AppError) -> None:
        """Keep what came before the failure, and the failure in words."""
        self._end(MessageState.INTERRUPTED, None, error, None)

    def _end(
        self, state: MessageState, stats: MessageStats | None, error: AppError | None, raw_stats: GenerationStats | None,
    ) -> None:
        with self._lock:
            if self._is_over:
                return
            self._is_over = True
            self._write()
            self.message = self._conversations.finish_message(
                self.message.id, state, stats=stats, error=f"{error.message} {error.action}" if error is not None else "")
        self._on_over(self, raw_stats)
        self._events.publish(AnswerEnded(self.message, error))

    def _write(self) -> None:
        if self._unwritten:
            self._conversations.append_text(self.message.id, "".join(self._unwritten))
            self._unwritten.clear()
        self._written_s = time.monotonic()


def message_stats(stats: GenerationStats, reason: FinishReason) -> MessageStats | None:
    """The numbers to keep under an answer; None if nothing was generated."""
    if stats.completion_tokens == 0:
        return None
    return MessageStats(
        prompt_tokens=stats.prompt_tokens, completion_tokens=stats.completion_tokens, prompt_tps=stats.prompt_tps,
        tps=stats.tps, ttft_s=stats.ttft_s, context_used=stats.context_used, context_total=stats.context_total,
        finish_reason=reason.value)

"""The engine's state and the answers under way: changed together, and only by whoever is still wanted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from localai_app.engine import protocol
from localai_app.errors import AppError
from localai_app.services.events import EngineChanged, EngineFailed, EventBus
from localai_app.services.views import EngineState, EngineStatus


class AnswerSink(Protocol):
    """Who listens to one answer; called in the engine's reader thread, in order."""

    def on_cut(self, cut: protocol.HistoryCut) -> None:
        """Before the answer begins: this part of the conversation is not given to the model, because the context is full."""

    def on_text(self, event: protocol.TextGenerated) -> None:
        """More text came: of the answer, of the thinking before it, or of a call of a tool."""

    def on_finished(
        self, reason: protocol.FinishReason, stats: protocol.GenerationStats, tool_calls: Sequence[protocol.ToolCall] = (),
    ) -> None:
        """The answer is complete."""

    def on_failed(self, error: AppError) -> None:
        """The answer will not go on."""


class EngineTracker:
    """Each wish to load or unload begins a generation; what belongs to an earlier one changes nothing any more.

    Safe from any thread. Events are published and sinks called without the lock.
    """

    def __init__(self, events: EventBus, state: EngineState) -> None:
        self._events = events
        self._lock = threading.RLock()
        self._generation = 0
        self._state = state
        self._sinks: dict[int, tuple[AnswerSink, protocol.GenerationStats]] = {}

    @property
    def state(self) -> EngineState:
        """What the engine is doing now."""
        return self._state

    def supersede(self, state: EngineState) -> tuple[int, Callable[[], None]]:
        """Take a new state by somebody's wish and begin a generation: its number, and what tells of it.

        The second is to be called once, without any lock: running answers end as stopped.
        """
        with self._lock:
            self._generation += 1
            self._state = state
            sinks, self._sinks = self._sinks, {}

        def announce() -> None:
            self._events.publish(EngineChanged())
            for sink, stats in sinks.values():
                sink.on_finished(protocol.FinishReason.CANCELLED, stats)

        return self._generation, announce

    def leave(self, may_leave: Callable[[EngineState], bool]) -> Callable[[], None] | None:
        """Take the state of nothing, as `supersede`, where the present one allows it; None, and nothing happens, otherwise."""
        with self._lock:
            return self.supersede(EngineState(EngineStatus.NONE))[1] if may_leave(self._state) else None

    def is_current(self, generation: int) -> bool:
        """Whether nobody has wished for something else since."""
        return generation == self._generation

    def change(self, generation: int, change: Callable[[EngineState], EngineState]) -> EngineState | None:
        """Change the state and announce it; None, and nothing happens, where the generation is over."""
        with self._lock:
            if generation != self._generation:
                return None
            self._state = state = change(self._state)
        self._events.publish(EngineChanged())
        return state

    def fail(self, generation: int, error: AppError, *, may_be_tried: bool = False) -> bool:
        """Say that the engine failed, then to every answer; false, and nothing happens, where the generation is over.

        `may_be_tried`: the load was held back before the engine was asked.
        """
        with self._lock:
            if generation != self._generation:
                return False
            self._state = state = replace(
                self._state, status=EngineStatus.FAILED, loaded=None, error=error, tps=None, context_used=0,
                may_be_tried=may_be_tried)
            sinks, self._sinks = self._sinks, {}
        self._events.publish(EngineChanged())
        self._events.publish(EngineFailed(state.model_key, error))
        for sink, _stats in sinks.values():
            sink.on_failed(error)
        return True

    def is_answering(self, request_id: int) -> bool:
        """Whether an answer is under way."""
        return request_id in self._sinks

    def begin_answer(self, request_id: int, sink: AnswerSink, send: Callable[[], None]) -> bool:
        """Send a request and note who listens to its answer; false where no model is ready.

        Nothing of the answer can arrive before it is noted. What `send` raises passes through, and nothing is noted.
        """
        with self._lock:
            if self._state.status not in (EngineStatus.READY, EngineStatus.ANSWERING):
                return False
            send()
            self._sinks[request_id] = (sink, protocol.GenerationStats())
            self._state = replace(self._state, status=EngineStatus.ANSWERING, tps=None)
        self._events.publish(EngineChanged())
        return True

    def pass_cut(self, event: protocol.ContextCut) -> None:
        """Tell the listener of an answer what was left out of the conversation."""
        with self._lock:
            entry = self._sinks.get(event.id)
        if entry is not None:
            entry[0].on_cut(event.cut)

    def pass_text(self, generation: int, event: protocol.TextGenerated) -> None:
        """Hand new text to its listener."""
        with self._lock:
            entry = self._sinks.get(event.id)
            if entry is None:
                return
            self._sinks[event.id] = (entry[0], event.stats)
        self.change(
            generation, lambda state: replace(state, context_used=event.stats.context_used, tps=event.stats.tps or None))
        entry[0].on_text(event)

    def end_answer(
        self, generation: int, request_id: int, stats: protocol.GenerationStats | None = None,
    ) -> AnswerSink | None:
        """Forget an answer that is over and return its listener; the engine is ready again before that one hears of it."""
        with self._lock:
            entry = self._sinks.pop(request_id, None)
        if entry is None:
            return None

        def change(state: EngineState) -> EngineState:
            # Looked at here, under the lock: another answer may have begun since this one was taken out.
            status = EngineStatus.ANSWERING if self._sinks else EngineStatus.READY
            if stats is None or not stats.completion_tokens:
                return replace(state, status=status)
            return replace(state, status=status, context_used=stats.context_used, tps=stats.tps or None)

        self.change(generation, change)
        return entry[0]

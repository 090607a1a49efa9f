"""The last minutes of memory and speed, a reading a second: what the live graph shows."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from localai_app.services.engine_service import EngineService
from localai_app.services.events import EngineChanged, Event, EventBus, MemoryMeasured
from localai_app.services.views import EngineStatus

KEPT_S = 180.0


@dataclass(frozen=True, slots=True)
class LivePoint:
    """One reading. `gpu_used_bytes` in the order of the report; None where a GPU does not tell."""

    time_s: float
    """Of the monotonic clock."""
    used_bytes: int
    """Main memory that is not available."""
    models_bytes: int
    """Part of it that the workers of loaded models hold."""
    gpu_used_bytes: tuple[int | None, ...]
    tps: float | None
    """Tokens per second since the reading before; None while no answer was written."""


class LiveHistory:
    """Listens from the start of the program, so that the graph is there when its page is opened. Safe from any thread."""

    def __init__(self, events: EventBus, engine: EngineService, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._clock = clock
        self._lock = threading.Lock()
        self._points: deque[LivePoint] = deque()
        self._tokens = 0
        self._last_used = 0
        self._has_answered = False
        self._unsubscribe = events.subscribe(self._on_event)

    def close(self) -> None:
        """Listen no more."""
        self._unsubscribe()

    def points(self) -> tuple[LivePoint, ...]:
        """The readings of the last minutes, oldest first."""
        with self._lock:
            return tuple(self._points)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, EngineChanged):
            self._count()
        elif isinstance(event, MemoryMeasured):
            self._add(event)

    def _count(self) -> None:
        """Tokens are seen as growth of the context while an answer is written; its first one counts to the prompt."""
        state = self._engine.state
        is_answering = state.status is EngineStatus.ANSWERING
        with self._lock:
            if self._last_used:
                self._tokens += max(0, state.context_used - self._last_used)
            self._has_answered = self._has_answered or is_answering
            self._last_used = state.context_used if is_answering and state.tps is not None else 0

    def _add(self, event: MemoryMeasured) -> None:
        now_s, memory = self._clock(), event.memory
        gpus = tuple(
            gpu.total_bytes - gpu.free_bytes if gpu.total_bytes is not None and gpu.free_bytes is not None else None
            for gpu in event.gpus)
        is_answering = self._engine.state.status is EngineStatus.ANSWERING
        with self._lock:
            before_s = self._points[-1].time_s if self._points else now_s
            tps = self._tokens / (now_s - before_s) if self._has_answered and now_s > before_s else None
            self._points.append(LivePoint(
                now_s, memory.total_bytes - memory.available_bytes, event.engine_rss_bytes, gpus, tps))
            self._tokens, self._has_answered = 0, is_answering
            while self._points and now_s - self._points[0].time_s > KEPT_S:
                self._points.popleft()

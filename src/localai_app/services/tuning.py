"""Measures a model that was loaded, once per computer and engine: how many threads and how many tokens a step are fastest.

It begins when the model has had nothing to do for a moment, takes some seconds, and ends as soon as an answer is asked for.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from localai_app.engine.protocol import LoadOptions, Tuned
from localai_app.engine.tuning import UBATCHES, thread_candidates
from localai_app.errors import AppError
from localai_app.hardware.report import Cpu
from localai_app.services.drafting import drafter_of
from localai_app.services.engine_service import EngineService
from localai_app.services.events import AnswerTimed, Event, EventBus, ModelLoaded, TuningChanged
from localai_app.services.late_call import LateCall
from localai_app.services.library_service import LibraryService
from localai_app.services.settings_service import SettingsService
from localai_app.services.tuning_memory import KnownTuning, TuningMemory
from localai_app.services.views import EngineStatus

log = logging.getLogger(__name__)

SETTING = "measure_models"
BUDGET_S = 8.0
IDLE_S = 3.0
"""Whoever has loaded a model mostly asks it something first."""

BUSY_PERCENT = 35.0
"""Of all processors used by others, from which a measurement would find what is best beside them, and remember it."""
_LOOK_S = 0.3


def others_are_busy() -> bool:
    """Whether other programs use much of the processor now; takes a third of a second."""
    return psutil.cpu_percent(interval=_LOOK_S) > BUSY_PERCENT


@dataclass(frozen=True, slots=True)
class TuningParts:
    """What a measurement needs of the program."""

    settings: SettingsService
    library: LibraryService
    engine: EngineService
    memory: TuningMemory
    cpu: Callable[[], Cpu]


class TuningService:
    """Waits for models that were not measured yet; `measure` does it at once. TuningChanged tells of what was found."""

    def __init__(self, events: EventBus, parts: TuningParts, *, idle_s: float = IDLE_S,
                 is_busy: Callable[[], bool] = others_are_busy) -> None:
        """`is_busy`: whether this is a bad moment, so that another one is waited for."""
        self._events = events
        self._parts = parts
        self._idle_s = idle_s
        self._is_busy = is_busy
        self._late = LateCall("tuning")
        self._runs_by_itself = False
        self._unsubscribe = events.subscribe(self._on_event)

    def start(self) -> None:
        """Measure by itself from now on, as far as the settings want it."""
        self._runs_by_itself = True

    def close(self) -> None:
        """Measure no more."""
        self._unsubscribe()
        self._late.close()

    def measure(self, model_key: str, on_done: Callable[[KnownTuning | None], None]) -> None:
        """Measure a loaded model now; `on_done` gets what was found, None where an answer came between, in another thread.

        AppError where it is not loaded.
        """
        parts = self._parts
        loaded = parts.engine.find(model_key)
        options = loaded.state.options if loaded is not None else None

        def on_tuned(tuned: Tuned) -> None:
            if options is not None and tuned.is_complete and tuned.rows:
                on_done(self._keep(model_key, options, tuned))
            else:
                on_done(None)

        parts.engine.tuner.tune(model_key, self._threads(), UBATCHES, BUDGET_S, on_tuned)

    def _threads(self) -> tuple[int, ...]:
        """The numbers of threads to try; none where somebody chose one."""
        if self._parts.settings.integer("threads"):
            return ()
        cpu = self._parts.cpu()
        return thread_candidates(cpu.physical_cores, cpu.logical_cores)

    def _keep(self, model_key: str, options: LoadOptions, tuned: Tuned) -> KnownTuning:
        known = self._parts.memory.keep(self._parts.library.get(model_key), options, tuned.rows, time.time())
        self._events.publish(TuningChanged(model_key))
        return known

    def _on_event(self, event: Event) -> None:
        if isinstance(event, AnswerTimed) and event.stats.draft_gain > 0:
            self._keep_draft_gain(event.model_key, event.stats.draft_gain)
        if isinstance(event, ModelLoaded | AnswerTimed) and self._runs_by_itself:
            self._set_timer(event.model_key)

    def _keep_draft_gain(self, model_key: str, gain: float) -> None:
        parts = self._parts
        loaded = parts.engine.find(model_key)
        options = loaded.state.options if loaded is not None else None
        if options is None:
            return
        try:
            drafter = drafter_of(options, parts.library.models())
            if drafter:
                parts.memory.keep_draft_gain(parts.library.get(model_key), drafter, gain)
        except AppError as error:
            log.info("what drafting gained was not kept: %s", error.message)

    def _set_timer(self, model_key: str) -> None:
        if self._parts.settings.get(SETTING):
            self._late.set(self._idle_s, lambda: self._on_idle(model_key))
        else:
            self._late.drop()

    def _on_idle(self, model_key: str) -> None:
        loaded = self._parts.engine.find(model_key)
        options = loaded.state.options if loaded is not None else None
        if loaded is None or options is None or loaded.state.status is not EngineStatus.READY:
            return
        try:
            if self._parts.memory.find(self._parts.library.get(model_key), options) is not None:
                return
            if self._is_busy():
                self._set_timer(model_key)
            else:
                self.measure(model_key, lambda _known: None)
        except AppError as error:
            log.info("%s was not measured: %s", model_key, error.message)

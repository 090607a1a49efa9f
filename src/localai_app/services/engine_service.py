"""The loaded model: one worker process at a time, its state, and the answers it gives."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from localai_app import errors
from localai_app.engine import protocol
from localai_app.engine.client import EngineClient
from localai_app.engine.outcome import WorkerOutcome
from localai_app.errors import AppError
from localai_app.fit.result import Request
from localai_app.services.events import EngineChanged, EngineFailed, EventBus, ModelLoaded
from localai_app.services.views import EngineState, EngineStatus, InstalledModel

log = logging.getLogger(__name__)

SPECS_BY_CODE = {spec.code: spec for spec in errors.all_specs()}


class AnswerSink(Protocol):
    """Who listens to one answer; called in the engine's reader thread, in order."""

    def on_text(self, text: str, stats: protocol.GenerationStats) -> None:
        """More text came."""

    def on_finished(self, reason: protocol.FinishReason, stats: protocol.GenerationStats) -> None:
        """The answer is complete."""

    def on_failed(self, error: AppError) -> None:
        """The answer will not go on."""


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What to load and how."""

    model: InstalledModel
    options: protocol.LoadOptions


class EngineService:
    """Owns the worker. Public methods return at once; what happens next arrives as events."""

    def __init__(
        self, events: EventBus, plan: Callable[[str, Request | None], LoadPlan], worker_command: Sequence[str],
        worker_dir: Path,
    ) -> None:
        self._events = events
        self._plan = plan
        self._worker_command = tuple(worker_command)
        self._worker_dir = worker_dir
        self._lock = threading.RLock()
        self._ids = itertools.count(1)
        self._client: EngineClient | None = None
        self._generation = 0
        self._load_id = 0
        self._state = EngineState(EngineStatus.NONE)
        self._sinks: dict[int, tuple[AnswerSink, protocol.GenerationStats]] = {}
        self._control = ThreadPoolExecutor(1, thread_name_prefix="engine-control")
        self._closed = False

    @property
    def state(self) -> EngineState:
        """What the engine is doing now."""
        return self._state

    @property
    def pid(self) -> int | None:
        """Process id of the worker, if one runs."""
        client = self._client
        return client.pid if client is not None and client.is_running else None

    def load(self, model_key: str, request: Request | None = None) -> None:
        """Replace whatever is loaded by this model, as the settings or `request` say.

        What goes wrong arrives as EngineFailed.
        """
        self._cancel_running()
        self._set_state(EngineState(EngineStatus.LOADING, model_key, model_key))
        self._submit(lambda: self._load_now(model_key, request))

    def unload(self) -> None:
        """End the worker; its memory returns for certain."""
        self._cancel_running()
        self._set_state(EngineState(EngineStatus.NONE))
        self._submit(self._stop_client)

    def reload(self) -> None:
        """Load again the model that was loaded last."""
        if not self._state.model_key:
            raise AppError(errors.NO_MODEL_LOADED)
        self.load(self._state.model_key)

    def close(self) -> None:
        """End the worker and wait for it, at the end of the program."""
        self._closed = True
        self._cancel_running()
        self._control.submit(self._stop_client)
        self._control.shutdown(wait=True)

    def chat(
        self, messages: Sequence[protocol.ChatMessage], sampling: protocol.Sampling, sink: AnswerSink, *, prefill: str = "",
    ) -> int:
        """Answer a conversation, going on from `prefill` if given; returns the id for `stop`. AppError if no model is ready."""
        return self._ask(
            lambda request_id: protocol.Chat(id=request_id, messages=tuple(messages), sampling=sampling, prefill=prefill), sink)

    def complete(self, prompt: str, sampling: protocol.Sampling, sink: AnswerSink) -> int:
        """Continue a text; returns the id for `stop`. AppError if no model is ready."""
        return self._ask(lambda request_id: protocol.Complete(id=request_id, prompt=prompt, sampling=sampling), sink)

    def stop(self, request_id: int) -> None:
        """Ask a running answer to end; its sink hears `cancelled`."""
        client = self._client
        if client is not None:
            client.send(protocol.Stop(id=request_id))

    def _ask(self, make_command: Callable[[int], protocol.Command], sink: AnswerSink) -> int:
        with self._lock:
            client = self._client
            if client is None or self._state.status not in (EngineStatus.READY, EngineStatus.ANSWERING):
                raise AppError(errors.NO_MODEL_LOADED)
            request_id = next(self._ids)
            self._sinks[request_id] = (sink, protocol.GenerationStats())
        self._set_state(replace(self._state, status=EngineStatus.ANSWERING, tps=None))
        client.send(make_command(request_id))
        return request_id

    def _submit(self, step: Callable[[], None]) -> None:
        """Run a step that may wait for a process in the control thread, one after the other."""
        if not self._closed:
            self._control.submit(step)

    def _load_now(self, model_key: str, request: Request | None) -> None:
        self._stop_client()
        if self._state.model_key != model_key or self._state.status is not EngineStatus.LOADING:
            return
        try:
            plan = self._plan(model_key, request)
            self._worker_dir.mkdir(parents=True, exist_ok=True)
            self._start_client(plan)
        except AppError as error:
            self._fail(error)
        except OSError as error:
            self._fail(AppError(errors.ENGINE_UNUSABLE, detail=str(error)))

    def _start_client(self, plan: LoadPlan) -> None:
        self._set_state(EngineState(EngineStatus.LOADING, plan.model.key, plan.model.name))
        with self._lock:
            self._generation += 1
            generation = self._generation
            client = EngineClient(
                list(self._worker_command), cwd=self._worker_dir,
                on_event=lambda event: self._on_event(generation, event),
                on_exit=lambda outcome: self._on_exit(generation, outcome),
            )
            self._client = client
            self._load_id = next(self._ids)
        client.start()
        client.send(protocol.Load(id=self._load_id, options=plan.options))

    def _stop_client(self) -> None:
        with self._lock:
            client, self._client = self._client, None
            self._generation += 1
        if client is not None:
            client.stop()

    def _cancel_running(self) -> None:
        """End what is being answered: the sinks hear `cancelled`, later events of the worker are ignored."""
        with self._lock:
            self._generation += 1
            sinks, self._sinks = self._sinks, {}
        for sink, stats in sinks.values():
            sink.on_finished(protocol.FinishReason.CANCELLED, stats)

    def _on_event(self, generation: int, event: protocol.Event) -> None:
        if generation != self._generation:
            return
        match event:
            case protocol.LoadProgressed(fraction=fraction):
                self._set_state(replace(self._state, fraction=fraction))
            case protocol.Loaded():
                self._set_state(replace(self._state, status=EngineStatus.READY, loaded=event, fraction=1.0))
                self._events.publish(ModelLoaded(self._state.model_key, event))
            case protocol.TextGenerated():
                self._on_text(event)
            case protocol.Finished():
                sink = self._pop_sink(event.id, event.stats)
                if sink is not None:
                    sink.on_finished(event.reason, event.stats)
            case protocol.RequestFailed():
                self._on_request_failed(event)
            case _:
                pass

    def _on_text(self, event: protocol.TextGenerated) -> None:
        with self._lock:
            entry = self._sinks.get(event.id)
            if entry is None:
                return
            self._sinks[event.id] = (entry[0], event.stats)
        self._set_state(replace(self._state, context_used=event.stats.context_used, tps=event.stats.tps or None))
        entry[0].on_text(event.text, event.stats)

    def _on_request_failed(self, event: protocol.RequestFailed) -> None:
        error = error_from_worker(event)
        if event.id == self._load_id and self._state.status is EngineStatus.LOADING:
            self._cancel_running()
            self._submit(self._stop_client)
            self._fail(error)
            return
        sink = self._pop_sink(event.id, None)
        if sink is not None:
            sink.on_failed(error)

    def _pop_sink(self, request_id: int, stats: protocol.GenerationStats | None) -> AnswerSink | None:
        """Forget an answer that is over; the engine is ready again before its sink hears of it."""
        with self._lock:
            entry = self._sinks.pop(request_id, None)
            state = replace(self._state, status=EngineStatus.ANSWERING if self._sinks else EngineStatus.READY)
            if stats is not None and stats.completion_tokens:
                state = replace(state, context_used=stats.context_used, tps=stats.tps or None)
        self._set_state(state)
        return entry[0] if entry is not None else None

    def _on_exit(self, generation: int, outcome: WorkerOutcome) -> None:
        with self._lock:
            if generation != self._generation:
                return
            self._client = None
            self._generation += 1
            sinks, self._sinks = self._sinks, {}
        error = outcome.error()
        log.warning("the engine ended: %s (%s)", error.message, error.detail)
        self._fail(error)
        for sink, _stats in sinks.values():
            sink.on_failed(error)

    def _fail(self, error: AppError) -> None:
        self._set_state(replace(self._state, status=EngineStatus.FAILED, loaded=None, error=error, tps=None, context_used=0))
        self._events.publish(EngineFailed(self._state.model_key, error))

    def _set_state(self, state: EngineState) -> None:
        self._state = state
        self._events.publish(EngineChanged())


def error_from_worker(event: protocol.RequestFailed) -> AppError:
    """The error that a worker names by its code; an unknown code becomes ENGINE_CRASHED with the detail."""
    spec = SPECS_BY_CODE.get(event.code)
    if spec is not None:
        try:
            return AppError(spec, detail=event.detail, **event.fields)
        except KeyError:
            log.info("the worker named %s without its fields", event.code)
    return AppError(errors.ENGINE_CRASHED, detail=event.detail, cause=event.code)

"""One model's place in the engine: its worker process, how it is loaded, the answers it gives."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from localai_app import errors
from localai_app.engine import protocol
from localai_app.engine.client import EngineClient
from localai_app.engine.failure import error_of
from localai_app.engine.framing import ProtocolError
from localai_app.engine.launch import CommandSource
from localai_app.engine.outcome import WorkerOutcome
from localai_app.errors import AppError
from localai_app.services.engine_asides import Aside, Asides
from localai_app.services.engine_tracker import AnswerSink, EngineTracker
from localai_app.services.events import AnswerTimed, EventBus, LoadStepped, ModelLoaded, WorkerDied
from localai_app.services.library_service import name_of_key
from localai_app.services.load_ladder import LoadFailure, failure_of_error, failure_of_outcome
from localai_app.services.load_way import LoadPlan, LoadWay
from localai_app.services.prompt_states import PromptStates
from localai_app.services.safe_setups import SafeSetUps
from localai_app.services.views import EngineState, EngineStatus, LoadedModel
from localai_app.services.worker_chats import WorkerChats
from localai_app.units import format_count

log = logging.getLogger(__name__)

ENDED = "the engine ended: %s (%s)"
MAY_BE_TRIED = frozenset({
    errors.MODEL_TOO_LARGE, errors.LOAD_SETTINGS_DO_NOT_FIT, errors.MODEL_LOAD_FAILED, errors.GGUF_TRUNCATED,
    errors.GGUF_REFUSED, errors.ARCHITECTURE_UNKNOWN})
"""What a plan may say against a load that the engine could still try."""


@dataclass(frozen=True, slots=True)
class WorkerProgram:
    """How a worker is started, the counter that gives every request of the engine an id of its own, and what is remembered."""

    command: CommandSource
    folder: Path
    ids: itertools.count[int]
    set_ups: SafeSetUps | None = None
    states: PromptStates | None = None


class EngineSlot:
    """One worker at a time, for one model.

    `load` and `stop_worker` belong to the engine's control thread, the other methods to any thread. Each wish to load or
    unload begins a generation; what belongs to an earlier one changes nothing any more.
    """

    def __init__(
        self, model_key: str, events: EventBus, program: WorkerProgram, submit: Callable[[Callable[[], None]], None],
    ) -> None:
        """`submit` runs a step in the control thread."""
        self.model_key = model_key
        self._events = events
        self._program = program
        self._submit = submit
        self._tracker = EngineTracker(events, loading_state(model_key))
        self._client: EngineClient | None = None
        self._chats = WorkerChats(model_key, program.states, program.ids)
        self._attempt = 0
        """The id of the load of the worker that counts; what another one says is over."""
        self._is_worker_ready = False
        self._way: LoadWay | None = None
        self._used_s = time.monotonic()
        self._asides = Asides()

    @property
    def state(self) -> EngineState:
        """What this model is doing now."""
        return self._tracker.state

    @property
    def pid(self) -> int | None:
        """Process id of the worker, if one runs."""
        client = self._client
        return client.pid if client is not None and client.is_running else None

    @property
    def view(self) -> LoadedModel:
        """The model as it is now."""
        return LoadedModel(self.state, self.pid, self._used_s)

    def begin_load(self) -> tuple[int, Callable[[], None]]:
        """Wish for the model to be loaded anew: the generation, and what is to be called, without a lock, to tell of it."""
        self.touch()
        return self._tracker.supersede(loading_state(self.model_key))

    def leave(self, unused_s: float | None = None) -> Callable[[], None] | None:
        """Wish for the model to be gone; returns what tells of it, as `begin_load`. The worker ends with `stop_worker`.

        `unused_s`: only if it could answer and nobody asked for it so long; None, and nothing happens, otherwise.
        """
        def may_leave(state: EngineState) -> bool:
            return unused_s is None or (
                state.status is EngineStatus.READY and time.monotonic() - self._used_s >= unused_s)

        return self._tracker.leave(may_leave)

    def touch(self) -> None:
        """Note that the model is wanted now."""
        self._used_s = time.monotonic()

    def load(self, generation: int, make_plan: Callable[[], LoadPlan], *, is_safe: bool = False) -> None:
        """Plan the load and start a worker for it; what goes wrong arrives as EngineFailed.

        `is_safe`: with safe settings instead of the planned ones.
        """
        plan: LoadPlan | None = None
        try:
            self.stop_worker()
            if not self._tracker.is_current(generation):
                return
            plan = make_plan()
            self._program.folder.mkdir(parents=True, exist_ok=True)
            self._way = way = LoadWay(plan, self._program.set_ups, is_safe=is_safe)
            loading = EngineState(
                EngineStatus.LOADING, plan.model.key, plan.model.name, options=way.options, fit=plan.fit, reduced=way.reduced)
            self._start_worker(generation, lambda _state: loading)
        except AppError as error:
            self.refuse(generation, error, may_be_tried=plan is None and error.spec in MAY_BE_TRIED)
        except OSError as error:
            self.refuse(generation, AppError(errors.ENGINE_UNUSABLE, detail=str(error)))
        except Exception as error:
            log.exception("loading %s failed unexpectedly", self.model_key)
            reason = f"an internal error ({type(error).__name__})"
            self.refuse(
                generation, AppError(errors.MODEL_LOAD_FAILED, name=self.model_key, reason=reason, detail=repr(error)))

    def refuse(self, generation: int, error: AppError, *, may_be_tried: bool = False) -> None:
        """End a load before there is a worker."""
        self._tracker.fail(generation, error, may_be_tried=may_be_tried)

    def stop_worker(self) -> None:
        """End the worker and wait until it is gone; its memory returns for certain."""
        client, self._client = self._client, None
        if client is not None:
            self._chats.save(client)
            client.stop()

    def ask(self, request_id: int, command: protocol.Command, sink: AnswerSink) -> None:
        """Send a request and note who listens; AppError where the model is not ready or the request is too long to be sent."""
        def send() -> None:
            client = self._client
            if client is None:
                raise AppError(errors.NO_MODEL_LOADED)
            if self._asides.tuning_id is not None:
                client.send(protocol.Stop(id=self._asides.tuning_id))
            self._chats.note_asked(client, command)
            client.send(command)

        try:
            is_begun = self._tracker.begin_answer(request_id, sink, send)
        except ProtocolError as error:
            loaded = self.state.loaded
            context = format_count(loaded.ctx if loaded is not None else 0)
            raise AppError(errors.PROMPT_TOO_LONG, needed="far more", context=context, detail=str(error)) from error
        if not is_begun:
            raise AppError(errors.NO_MODEL_LOADED)
        self.touch()

    def ask_aside(self, command: Aside, on_answer: Callable[[Any], None]) -> None:
        """Have a conversation counted or the model tuned; nothing happens where it is not ready. AppError if it cannot be sent.

        Who asked for the same before hears nothing any more; an answer ends a tuning.
        """
        client = self._client
        if client is None or self.state.status is not EngineStatus.READY:
            return
        self._asides.add(command, on_answer)
        try:
            client.send(command)
        except ProtocolError as error:
            raise AppError(errors.PROMPT_TOO_LONG, needed="far more", context="less", detail=str(error)) from error

    def stop_answer(self, request_id: int) -> bool:
        """Ask a running answer to end; false, and nothing happens, where it is not one of this worker."""
        client = self._client
        if client is None or not self._tracker.is_answering(request_id):
            return False
        client.send(protocol.Stop(id=request_id))
        return True

    def _start_worker(self, generation: int, change: Callable[[EngineState], EngineState]) -> None:
        state = self._tracker.change(generation, change)
        if state is None or state.options is None:
            return
        attempt = self._attempt = next(self._program.ids)
        self._is_worker_ready = False
        self._chats.begin()
        self._client = client = EngineClient(
            self._program.command, cwd=self._program.folder,
            on_event=lambda event: self._on_event(generation, event),
            on_exit=lambda outcome: self._on_exit(generation, attempt, outcome),
        )
        client.start()
        client.send(protocol.Load(id=attempt, options=state.options))

    def _step_down(self, generation: int, failure: LoadFailure, error: AppError) -> None:
        """Try the next smaller set-up in a fresh worker; the failure counts where there is none."""
        has_ended = self.pid is None
        self.stop_worker()
        way = self._way
        if way is None or not self._tracker.is_current(generation):
            return
        step = way.step_down(failure)
        if step is None:
            if has_ended:
                log.warning(ENDED, error.message, error.detail)
            self._tracker.fail(generation, way.told(error))
            return
        log.info("loading %s: %s (%s)", self.model_key, step.sentence, error.detail or error.message)
        self._events.publish(LoadStepped(self.state.model_key, step.sentence))
        try:
            self._start_worker(generation, lambda state: replace(
                state, options=step.options, fraction=0.0, steps=(*state.steps, step.sentence), reduced=way.reduced))
        except AppError as failed:
            self.refuse(generation, failed)

    def _on_event(self, generation: int, event: protocol.Event) -> None:
        match event:
            case protocol.Ready():
                self._is_worker_ready = True
            case protocol.LoadProgressed(fraction=fraction):
                self._tracker.change(generation, lambda state: replace(state, fraction=fraction))
            case protocol.Loaded():
                state = self._tracker.change(
                    generation, lambda state: replace(state, status=EngineStatus.READY, loaded=event, fraction=1.0))
                if state is not None:
                    self.touch()
                    if self._way is not None:
                        self._way.note_loaded()
                    self._events.publish(ModelLoaded(state.model_key, event))
            case protocol.TokensCounted() | protocol.Tuned():
                self._asides.answered(event, is_wanted=self._tracker.is_current(generation))
            case protocol.ContextCut():
                self._tracker.pass_cut(event)
            case protocol.TextGenerated():
                self._tracker.pass_text(generation, event)
            case protocol.Finished():
                self._on_finished(generation, event)
            case protocol.RequestFailed():
                self._on_request_failed(generation, event)
            case _:
                self._chats.note(event)

    def _on_finished(self, generation: int, event: protocol.Finished) -> None:
        self.touch()
        sink = self._tracker.end_answer(generation, event.id, event.stats)
        if sink is None:
            return
        if self._way is not None:
            self._way.note_answer()
        sink.on_finished(event.reason, event.stats, event.tool_calls)
        self._events.publish(AnswerTimed(self.state.model_key, event.stats))

    def _on_request_failed(self, generation: int, event: protocol.RequestFailed) -> None:
        error = error_of(event)
        if event.id == self._attempt and self.state.status is EngineStatus.LOADING:
            self._on_load_failed(generation, failure_of_error(error), error)
            return
        sink = self._tracker.end_answer(generation, event.id)
        if sink is not None:
            sink.on_failed(error)

    def _on_exit(self, generation: int, attempt: int, outcome: WorkerOutcome) -> None:
        if attempt != self._attempt or not self._tracker.is_current(generation):
            return
        if self.state.status is EngineStatus.FAILED:
            return
        error = outcome.error()
        self._events.publish(WorkerDied(self.model_key, outcome))
        if self.state.status is EngineStatus.LOADING:
            failure = failure_of_outcome(outcome) if self._is_worker_ready else None
            if failure is None:
                log.warning(ENDED, error.message, error.detail)
            self._on_load_failed(generation, failure, error)
        else:
            log.warning(ENDED, error.message, error.detail)
            self._tracker.fail(generation, self._way.told(error) if self._way is not None else error)

    def _on_load_failed(self, generation: int, failure: LoadFailure | None, error: AppError) -> None:
        """In the reader thread of a worker that did not load the model and is of no use any more."""
        self._attempt = 0
        if failure is not None:
            self._submit(lambda: self._step_down(generation, failure, error))
        elif self._tracker.fail(generation, self._way.told(error) if self._way is not None else error):
            self._submit(self.stop_worker)


def loading_state(model_key: str) -> EngineState:
    """A model that was wished for, before anything is known of it."""
    return EngineState(EngineStatus.LOADING, model_key, name_of_key(model_key))

"""The loaded model: one worker process at a time, its state, and the answers it gives."""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from localai_app import errors
from localai_app.engine import protocol
from localai_app.engine.client import EngineClient
from localai_app.engine.framing import ProtocolError
from localai_app.engine.outcome import WorkerOutcome
from localai_app.errors import AppError
from localai_app.fit.result import FitResult, Request
from localai_app.services.engine_tracker import AnswerSink, EngineTracker
from localai_app.services.events import AnswerTimed, EventBus, ModelLoaded
from localai_app.services.views import EngineState, EngineStatus, InstalledModel
from localai_app.units import format_count

log = logging.getLogger(__name__)

MAY_BE_TRIED = frozenset({
    errors.MODEL_TOO_LARGE, errors.LOAD_SETTINGS_DO_NOT_FIT, errors.MODEL_LOAD_FAILED, errors.GGUF_TRUNCATED,
    errors.GGUF_REFUSED, errors.ARCHITECTURE_UNKNOWN})
"""What a plan may say against a load that the engine could still try."""
SPECS_BY_CODE = {spec.code: spec for spec in errors.all_specs()}


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What to load and how."""

    model: InstalledModel
    options: protocol.LoadOptions
    fit: FitResult | None = None
    """The advice that it follows; None where it goes against it."""


class MakePlan(Protocol):
    """Decides how a model is loaded; AppError where it should not be, unless `anyway`."""

    def __call__(self, model_key: str, request: Request | None = None, *, anyway: bool = False) -> LoadPlan:
        """The plan of a load."""


class EngineService:
    """Owns the worker. Public methods return at once; what happens next arrives as events."""

    def __init__(
        self, events: EventBus, plan: MakePlan, worker_command: Sequence[str], worker_dir: Path,
    ) -> None:
        self._events = events
        self._plan = plan
        self._worker_command = tuple(worker_command)
        self._worker_dir = worker_dir
        self._tracker = EngineTracker(events)
        self._ids = itertools.count(1)
        self._client: EngineClient | None = None
        self._load_id = 0
        self._control = ThreadPoolExecutor(1, thread_name_prefix="engine-control")

    @property
    def state(self) -> EngineState:
        """What the engine is doing now."""
        return self._tracker.state

    @property
    def pid(self) -> int | None:
        """Process id of the worker, if one runs."""
        client = self._client
        return client.pid if client is not None and client.is_running else None

    def load(self, model_key: str, request: Request | None = None, *, anyway: bool = False) -> None:
        """Replace whatever is loaded by this model, as is remembered for it or as `request` says.

        `anyway`: even where it is too large or its header is damaged. What goes wrong arrives as EngineFailed.
        """
        generation = self._tracker.supersede(EngineState(EngineStatus.LOADING, model_key, Path(model_key).name))
        self._submit(
            lambda: self._load_now(generation, model_key, lambda: self._plan(model_key, request, anyway=anyway)))

    def unload(self) -> None:
        """End the worker; its memory returns for certain."""
        self._tracker.supersede(EngineState(EngineStatus.NONE))
        self._submit(self._stop_client)

    def reload(self) -> None:
        """Load again the model that was loaded last."""
        model_key = self.state.model_key
        if not model_key:
            raise AppError(errors.NO_MODEL_LOADED)
        self.load(model_key)

    def close(self) -> None:
        """End the worker and wait for it, at the end of the program."""
        self.unload()
        self._control.shutdown(wait=True)

    def chat(
        self, messages: Sequence[protocol.ChatMessage], sampling: protocol.Sampling, sink: AnswerSink, *, prefill: str = "",
    ) -> int:
        """Answer a conversation, going on from `prefill` if given; returns the id for `stop`.

        AppError if no model is ready, or if the conversation is longer than anything that can be sent to one.
        """
        return self._ask(
            lambda request_id: protocol.Chat(id=request_id, messages=tuple(messages), sampling=sampling, prefill=prefill), sink)

    def complete(self, prompt: str, sampling: protocol.Sampling, sink: AnswerSink) -> int:
        """Continue a text; returns the id for `stop`. AppError as for `chat`."""
        return self._ask(lambda request_id: protocol.Complete(id=request_id, prompt=prompt, sampling=sampling), sink)

    def stop(self, request_id: int) -> None:
        """Ask a running answer to end; its sink hears `cancelled`."""
        client = self._client
        if client is not None:
            client.send(protocol.Stop(id=request_id))

    def _ask(self, make_command: Callable[[int], protocol.Command], sink: AnswerSink) -> int:
        request_id = next(self._ids)

        def send() -> None:
            client = self._client
            if client is None:
                raise AppError(errors.NO_MODEL_LOADED)
            client.send(make_command(request_id))

        try:
            is_begun = self._tracker.begin_answer(request_id, sink, send)
        except ProtocolError as error:
            loaded = self.state.loaded
            context = format_count(loaded.ctx if loaded is not None else 0)
            raise AppError(errors.PROMPT_TOO_LONG, needed="far more", context=context, detail=str(error)) from error
        if not is_begun:
            raise AppError(errors.NO_MODEL_LOADED)
        return request_id

    def _submit(self, step: Callable[[], None]) -> None:
        """Run a step that may wait for a process in the control thread, one after the other."""
        # After the end of the program's services there is no worker left for whom a step could matter.
        with contextlib.suppress(RuntimeError):
            self._control.submit(step)

    def _load_now(self, generation: int, model_key: str, make_plan: Callable[[], LoadPlan]) -> None:
        plan: LoadPlan | None = None
        try:
            self._stop_client()
            if not self._tracker.is_current(generation):
                return
            plan = make_plan()
            self._worker_dir.mkdir(parents=True, exist_ok=True)
            self._start_client(generation, plan)
        except AppError as error:
            self._tracker.fail(generation, error, may_be_tried=plan is None and error.spec in MAY_BE_TRIED)
        except OSError as error:
            self._tracker.fail(generation, AppError(errors.ENGINE_UNUSABLE, detail=str(error)))
        except Exception as error:
            log.exception("loading %s failed unexpectedly", model_key)
            reason = f"an internal error ({type(error).__name__})"
            self._tracker.fail(
                generation, AppError(errors.MODEL_LOAD_FAILED, name=model_key, reason=reason, detail=repr(error)))

    def _start_client(self, generation: int, plan: LoadPlan) -> None:
        loading = EngineState(
            EngineStatus.LOADING, plan.model.key, plan.model.name, options=plan.options, fit=plan.fit)
        if self._tracker.change(generation, lambda _state: loading) is None:
            return
        self._load_id = load_id = next(self._ids)
        self._client = client = EngineClient(
            list(self._worker_command), cwd=self._worker_dir,
            on_event=lambda event: self._on_event(generation, event),
            on_exit=lambda outcome: self._on_exit(generation, outcome),
        )
        client.start()
        client.send(protocol.Load(id=load_id, options=plan.options))

    def _stop_client(self) -> None:
        """Runs in the control thread, which alone starts and stops workers."""
        client, self._client = self._client, None
        if client is not None:
            client.stop()

    def _on_event(self, generation: int, event: protocol.Event) -> None:
        match event:
            case protocol.LoadProgressed(fraction=fraction):
                self._tracker.change(generation, lambda state: replace(state, fraction=fraction))
            case protocol.Loaded():
                state = self._tracker.change(
                    generation, lambda state: replace(state, status=EngineStatus.READY, loaded=event, fraction=1.0))
                if state is not None:
                    self._events.publish(ModelLoaded(state.model_key, event))
            case protocol.TextGenerated():
                self._tracker.pass_text(generation, event)
            case protocol.Finished():
                sink = self._tracker.end_answer(generation, event.id, event.stats)
                if sink is not None:
                    model_key = self.state.model_key
                    sink.on_finished(event.reason, event.stats)
                    self._events.publish(AnswerTimed(model_key, event.stats))
            case protocol.RequestFailed():
                self._on_request_failed(generation, event)
            case _:
                pass

    def _on_request_failed(self, generation: int, event: protocol.RequestFailed) -> None:
        error = error_from_worker(event)
        if event.id == self._load_id:
            if self._tracker.fail(generation, error):
                self._submit(self._stop_client)
            return
        sink = self._tracker.end_answer(generation, event.id)
        if sink is not None:
            sink.on_failed(error)

    def _on_exit(self, generation: int, outcome: WorkerOutcome) -> None:
        if not self._tracker.is_current(generation) or self.state.status is EngineStatus.FAILED:
            return
        error = outcome.error()
        log.warning("the engine ended: %s (%s)", error.message, error.detail)
        self._tracker.fail(generation, error)


def error_from_worker(event: protocol.RequestFailed) -> AppError:
    """The error that a worker names by its code; an unknown code becomes ENGINE_CRASHED with the detail."""
    spec = SPECS_BY_CODE.get(event.code)
    if spec is not None:
        try:
            return AppError(spec, detail=event.detail, **event.fields)
        except KeyError:
            log.info("the worker named %s without its fields", event.code)
    return AppError(errors.ENGINE_CRASHED, detail=event.detail, cause=event.code)

"""Benchmarks of installed models: run one at a time, in a worker of its own, and kept with what decided the speed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import msgspec

from localai_app import errors
from localai_app.engine.protocol import Benchmark, LoadOptions
from localai_app.errors import AppError
from localai_app.services.benchmark_run import BenchmarkFacts, BenchmarkRun, RunProgress
from localai_app.services.engine_service import EngineService
from localai_app.services.events import BenchmarkChanged, EngineChanged, Event, EventBus
from localai_app.services.hardware_service import HardwareService
from localai_app.services.load_planner import LoadPlanner
from localai_app.services.load_way import LoadPlan
from localai_app.services.measuring import run_of
from localai_app.services.quiet_engine import busy_words, unload_all
from localai_app.services.work_thread import WorkThread
from localai_app.store.benchmarks import BenchmarkStore
from localai_app.store.records import BenchmarkFigure, BenchmarkRecord

log = logging.getLogger(__name__)

PROMPT_TOKENS = (128, 512, 2048)
DEPTHS = (0, 2048, 8192)
GENERATED_TOKENS = 32
REPEATS = 3
_CTX_STEP = 256
"""llama.cpp rounds a context up to this."""


@dataclass(frozen=True, slots=True)
class BenchmarkWish:
    """What is to be measured."""

    prompt_tokens: tuple[int, ...] = PROMPT_TOKENS
    depths: tuple[int, ...] = DEPTHS
    generated_tokens: int = GENERATED_TOKENS
    repeats: int = REPEATS

    @property
    def needed_ctx(self) -> int:
        """The context in which all of it fits, in tokens."""
        deepest = max((depth + self.generated_tokens for depth in self.depths), default=0)
        return -(-max(deepest, *self.prompt_tokens, 1) // _CTX_STEP) * _CTX_STEP


class BenchmarkStatus(StrEnum):
    """What the service is doing."""

    NONE = "none"
    LOADING = "loading"
    MEASURING = "measuring"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    """Before there was a figure."""


@dataclass(frozen=True, slots=True)
class BenchmarkState:
    """The benchmark that runs, or the last one. `fraction` is that of the load, then of the measurement."""

    status: BenchmarkStatus = BenchmarkStatus.NONE
    model_key: str = ""
    fraction: float = 0.0
    left_s: float | None = None
    """None: not known yet."""
    record: BenchmarkRecord | None = None
    error: AppError | None = None

    @property
    def is_running(self) -> bool:
        """Whether it can be stopped."""
        return self.status in (BenchmarkStatus.LOADING, BenchmarkStatus.MEASURING)


class BenchmarkService:
    """Runs benchmarks. Public methods return at once; `BenchmarkChanged` tells of progress and of the end.

    A benchmark has the computer for itself: a loaded model is unloaded first, as it would be by choosing another one, and
    loads again with the next message; an answer that is asked for meanwhile ends the benchmark.
    """

    def __init__(
        self, events: EventBus, store: BenchmarkStore, hardware: HardwareService, planner: LoadPlanner, engine: EngineService,
        worker: tuple[Callable[[], Sequence[str]], Path], clock: Callable[[], float] = time.time,
    ) -> None:
        """`worker`: what makes the command of a worker, and the folder in which it starts."""
        self._events = events
        self._store = store
        self._hardware = hardware
        self._planner = planner
        self._engine = engine
        self._worker = worker
        self._clock = clock
        self._lock = threading.Lock()
        self._state = BenchmarkState()
        self._run: BenchmarkRun | None = None
        self._thread = WorkThread("benchmark")
        self._was_disturbed = False
        self._unsubscribe = events.subscribe(self._on_event)

    @property
    def state(self) -> BenchmarkState:
        """What runs now, or how the last one ended."""
        return self._state

    def start(self, model_key: str, wish: BenchmarkWish | None = None) -> None:
        """Measure an installed model; AppError if something else is under way. What goes wrong later is in the state."""
        busy = busy_words(self._engine)
        if busy:
            raise AppError(errors.BENCHMARK_BUSY, what=busy)
        with self._lock:
            if self._state.is_running:
                raise AppError(errors.BENCHMARK_BUSY, what="another one runs")
            self._thread.prepare()
            self._was_disturbed = False
            self._state = BenchmarkState(BenchmarkStatus.LOADING, model_key)
            self._thread.begin(lambda: self._work(model_key, wish or BenchmarkWish()))
        self._events.publish(BenchmarkChanged())

    def stop(self) -> None:
        """End the running benchmark soon; the rows that are complete are kept."""
        self._thread.ask_to_stop()
        run = self._run
        if run is not None:
            run.stop()

    def wait(self, timeout_s: float) -> bool:
        """Wait until no benchmark runs; false after `timeout_s`."""
        self._thread.wait(timeout_s)
        return not self._state.is_running

    def close(self) -> None:
        """Stop and wait for the worker's end."""
        self._unsubscribe()
        self.stop()
        self._thread.wait()

    def records(self, model_key: str | None = None) -> tuple[BenchmarkRecord, ...]:
        """Results that are kept, newest first, of one model or of all. AppError if the store cannot be read."""
        return self._store.list(model_key)

    def forget(self, model_key: str) -> None:
        """Forget the results of a model."""
        self._store.forget(model_key)
        self._events.publish(BenchmarkChanged())

    def _work(self, model_key: str, wish: BenchmarkWish) -> None:
        try:
            record = self._measure(model_key, wish)
        except AppError as error:
            self._show(replace(self._state, status=BenchmarkStatus.FAILED, error=error))
        except Exception as error:
            log.exception("the benchmark of %s failed unexpectedly", model_key)
            cause = f"there was an internal error ({type(error).__name__})"
            failure = AppError(errors.ENGINE_CRASHED, cause=cause, detail=repr(error))
            self._show(replace(self._state, status=BenchmarkStatus.FAILED, error=failure))
        else:
            self._finish(record)

    def _measure(self, model_key: str, wish: BenchmarkWish) -> BenchmarkRecord | None:
        """The result, kept in the store; None where it was stopped before there was one."""
        unload_all(self._engine)
        plan = self._plan(model_key, wish)
        command, folder = self._worker
        folder.mkdir(parents=True, exist_ok=True)
        self._run = run = BenchmarkRun(command(), folder, self._on_progress)
        try:
            if self._thread.is_stopped:
                return None
            facts = run.run(plan.options, Benchmark(
                id=0, prompt_tokens=wish.prompt_tokens, depths=wish.depths, generated_tokens=wish.generated_tokens,
                repeats=wish.repeats))
        finally:
            self._run = None
        if facts is None:
            return None
        record = self._record(plan, facts)
        self._store.add(record)
        return record

    def _finish(self, record: BenchmarkRecord | None) -> None:
        error = AppError(errors.BENCHMARK_INTERRUPTED) if self._was_disturbed else None
        if record is None:
            status = BenchmarkStatus.FAILED if error is not None else BenchmarkStatus.STOPPED
        else:
            status = BenchmarkStatus.DONE
        self._show(replace(self._state, status=status, fraction=1.0, left_s=0.0, record=record, error=error))

    def _plan(self, model_key: str, wish: BenchmarkWish) -> LoadPlan:
        """As the model is loaded for a chat, with a longer context where that changes nothing else."""
        plan = self._planner.plan(model_key)
        longest = plan.fit.max_ctx.get(plan.options.kv_type.value, 0) if plan.fit is not None else 0
        wanted = min(wish.needed_ctx, longest)
        if wanted <= plan.options.ctx:
            return plan
        try:
            longer = self._planner.plan(
                model_key, msgspec.structs.replace(self._planner.request_for(model_key), ctx=wanted))
        except AppError:
            return plan
        same = msgspec.structs.replace(longer.options, ctx=plan.options.ctx, tensor_split=plan.options.tensor_split)
        return longer if same == plan.options else plan

    def _record(self, plan: LoadPlan, facts: BenchmarkFacts) -> BenchmarkRecord:
        report, loaded = self._hardware.report_now(), facts.loaded
        gpus = run_of(plan.fit, plan.model.key, report).gpus if plan.fit is not None else ()
        return BenchmarkRecord(
            time_s=self._clock(), model_key=plan.model.key, model_name=plan.model.name, label=plan.model.label,
            description=loaded.description, engine_build=facts.engine_build, options=_flags(plan.options), ctx=loaded.ctx,
            threads=facts.result.threads, gpu_layers=loaded.gpu_layers, n_layer=loaded.n_layer, processor=report.cpu.model,
            gpus=gpus, memory_bytes=report.memory.total_bytes, is_complete=facts.result.is_complete,
            figures=tuple(
                BenchmarkFigure(kind=row.kind.value, tokens=row.tokens, depth=row.depth, seconds=row.seconds)
                for row in facts.result.rows))

    def _on_progress(self, progress: RunProgress) -> None:
        if progress.counts is None:
            self._show(replace(self._state, status=BenchmarkStatus.LOADING, fraction=progress.load_fraction))
        else:
            self._show(replace(
                self._state, status=BenchmarkStatus.MEASURING, fraction=progress.fraction, left_s=progress.left_s))

    def _show(self, state: BenchmarkState) -> None:
        self._state = state
        self._events.publish(BenchmarkChanged())

    def _on_event(self, event: Event) -> None:
        """Somebody wants an answer: that comes first."""
        if isinstance(event, EngineChanged) and self._state.is_running and busy_words(self._engine):
            self._was_disturbed = True
            self.stop()


def _flags(options: LoadOptions) -> dict[str, object]:
    """What differs from the defaults, but for the model's path and what is no matter of speed; context and layers always."""
    defaults = LoadOptions(model_path="", ctx=0)
    return {
        name: msgspec.to_builtins(getattr(options, name)) for name in options.__struct_fields__
        if name not in ("model_path", "kept_bytes")
        and (name in ("ctx", "gpu_layers") or getattr(options, name) != getattr(defaults, name))}

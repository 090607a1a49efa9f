"""Judge models: an installed model that votes on the answers of a comparison, apart from what people vote."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import msgspec

from localai_app import errors
from localai_app.compare.judging import Bench, benches_left, is_partial
from localai_app.engine.launch import CommandSource
from localai_app.errors import AppError
from localai_app.services.compare.comparison_service import ComparisonService
from localai_app.services.compare.contestant_worker import StoppedError, WorkerEndedError
from localai_app.services.compare.judging_run import JudgingRun
from localai_app.services.engine_service import EngineService
from localai_app.services.events import (
    BenchmarkChanged,
    ComparisonChanged,
    EngineChanged,
    Event,
    EventBus,
    JudgingChanged,
    LossChanged,
)
from localai_app.services.library_service import LibraryService
from localai_app.services.load_planner import LoadPlanner
from localai_app.services.quiet_engine import busy_words, unload_all
from localai_app.services.views import InstalledModel
from localai_app.services.work_thread import WorkThread
from localai_app.units import format_wait

log = logging.getLogger(__name__)

DISTURBED = "It stopped because the computer was needed for something else. What was judged is kept; start again to go on."


class JudgingStatus(StrEnum):
    """What a judge does."""

    IDLE = "idle"
    LOADING = "loading"
    JUDGING = "judging"


@dataclass(frozen=True, slots=True)
class JudgingState:
    """What runs, or how the last one ended."""

    status: JudgingStatus = JudgingStatus.IDLE
    comparison_id: int | None = None
    model_key: str = ""
    model_name: str = ""
    load_fraction: float = 0.0
    n_done: int = 0
    n_total: int = 0
    """Prompts by repeats."""
    n_split: int = 0
    n_unclear: int = 0
    n_cut: int = 0
    """As in Judgement, summed up."""
    left_s: float | None = None
    note: str = ""
    error: AppError | None = None

    @property
    def is_running(self) -> bool:
        """Whether a judge is at work."""
        return self.status is not JudgingStatus.IDLE

    @property
    def fraction(self) -> float:
        """How far it is, from 0.0 to 1.0; while it loads, of the load."""
        if self.status is JudgingStatus.LOADING:
            return self.load_fraction
        return self.n_done / self.n_total if self.n_total else 0.0

    @property
    def words(self) -> str:
        """What happens or happened, in sentences; empty where nothing ever ran."""
        if self.status is JudgingStatus.LOADING:
            return f"Loading {self.model_name}"
        if self.status is JudgingStatus.JUDGING:
            left = f", {format_wait(self.left_s)} left" if self.left_s is not None else ""
            return f"{self.model_name} judges: {self.n_done} of {self.n_total}{left}"
        if self.comparison_id is None:
            return ""
        sentences = [f"{self.model_name} judged {self.n_done} of {self.n_total}."]
        if self.n_split:
            sentences.append(
                f"About {_counted(self.n_split, 'pair')} it changed its mind when the order changed: these count as ties.")
        if self.n_unclear:
            sentences.append(f"About {_counted(self.n_unclear, 'pair')} it said nothing of use: these count as ties too.")
        if self.n_cut:
            sentences.append(f"Of {_counted(self.n_cut, 'long answer')} it saw only the beginning and the end.")
        return " ".join((*sentences, *((self.note,) if self.note else ())))


@dataclass(frozen=True, slots=True)
class JudgingParts:
    """What a judge is run with."""

    comparisons: ComparisonService
    library: LibraryService
    planner: LoadPlanner
    engine: EngineService
    worker: tuple[CommandSource, Path]
    """The command of a worker, and the folder in which it starts."""
    also_busy: Callable[[], str]
    """What else computes, as `busy_words`."""

    def busy_words(self) -> str:
        """What else computes; empty where nothing does."""
        comparing = "models are being compared" if self.comparisons.state.is_running else ""
        return comparing or self.also_busy() or busy_words(self.engine)


class JudgingService:
    """Runs one judge at a time, in a thread of its own; JudgingChanged tells of all that happens, VotesChanged of each vote.

    Whoever needs the computer meanwhile goes first: the judge stops, and starting it again goes on where it was.
    """

    def __init__(self, events: EventBus, parts: JudgingParts) -> None:
        self._events = events
        self._parts = parts
        self._lock = threading.Lock()
        self._state = JudgingState()
        self._run: JudgingRun | None = None
        self._thread = WorkThread("judge")
        self._unsubscribe = events.subscribe(self._on_event)

    @property
    def state(self) -> JudgingState:
        """What runs now, or how the last one ended."""
        return self._state

    def start(self, comparison_id: int, model_key: str, *, insists: bool = False) -> None:
        """Let an installed model judge what it has not judged yet. Slow: not for the window's thread.

        AppError where something else computes, where nothing is left, or where the model would judge itself and nobody insists.
        """
        comparison = self._parts.comparisons.get(comparison_id)
        model = self._parts.library.get(model_key)
        if not insists and is_partial(comparison, model.key):
            raise AppError(errors.JUDGE_IS_CONTESTANT, name=model.name)
        benches = benches_left(comparison, model.key)
        if not benches:
            raise AppError(errors.NOTHING_TO_JUDGE, name=model.name)
        with self._lock:
            busy = "another judge is at work" if self._state.is_running else self._parts.busy_words()
            if busy:
                raise AppError(errors.JUDGE_BUSY, what=busy)
            self._thread.prepare()
            self._state = JudgingState(
                JudgingStatus.LOADING, comparison_id, model.key, model.name, n_total=len(benches))
            self._thread.begin(lambda: self._work(model, benches))
        self._events.publish(JudgingChanged())

    def stop(self) -> None:
        """End soon; the votes so far are kept."""
        self._thread.ask_to_stop()
        run = self._run
        if run is not None:
            run.stop()

    def wait(self, timeout_s: float) -> bool:
        """Wait until no judge is at work; false after `timeout_s`."""
        self._thread.wait(timeout_s)
        return not self._state.is_running

    def close(self) -> None:
        """Stop and wait for the worker's end."""
        self._unsubscribe()
        self.stop()
        self._thread.wait()

    def _work(self, model: InstalledModel, benches: tuple[Bench, ...]) -> None:
        error: AppError | None = None
        try:
            self._judge_all(model, benches)
        except StoppedError:
            log.info("the judge was stopped after %d of %d", self._state.n_done, self._state.n_total)
        except WorkerEndedError as ended:
            error = ended.error
        except AppError as failure:
            error = failure
        except Exception as failure:
            log.exception("judging failed unexpectedly")
            error = AppError(
                errors.ENGINE_CRASHED, cause=f"there was an internal error ({type(failure).__name__})", detail=repr(failure))
        self._show(replace(self._state, status=JudgingStatus.IDLE, left_s=None, error=error))

    def _judge_all(self, model: InstalledModel, benches: tuple[Bench, ...]) -> None:
        comparison_id = self._state.comparison_id
        assert comparison_id is not None
        unload_all(self._parts.engine)
        options = self._parts.planner.plan(model.key).options
        command, folder = self._parts.worker
        folder.mkdir(parents=True, exist_ok=True)
        self._run = run = JudgingRun(command, folder, model.key)
        try:
            if self._thread.is_stopped:
                raise StoppedError
            run.load(
                msgspec.structs.replace(options, kept_bytes=0, starts_empty=True),
                lambda fraction: self._show(replace(self._state, load_fraction=fraction)))
            self._show(replace(self._state, status=JudgingStatus.JUDGING))
            started_s = time.monotonic()
            for bench in benches:
                judgement = run.judge(self._parts.comparisons.get(comparison_id), bench)
                self._parts.comparisons.vote(comparison_id, judgement.vote)
                n_done = self._state.n_done + 1
                left_s = (time.monotonic() - started_s) / n_done * (len(benches) - n_done)
                self._show(replace(
                    self._state, n_done=n_done, left_s=left_s, n_split=self._state.n_split + judgement.n_split,
                    n_unclear=self._state.n_unclear + judgement.n_unclear, n_cut=self._state.n_cut + judgement.n_cut))
        finally:
            self._run = None
            run.close()

    def _show(self, state: JudgingState) -> None:
        self._state = state
        self._events.publish(JudgingChanged())

    def _on_event(self, event: Event) -> None:
        """Somebody needs the computer: that comes first."""
        is_news = isinstance(event, EngineChanged | BenchmarkChanged | ComparisonChanged | LossChanged)
        if is_news and self._state.is_running and not self._thread.is_stopped and self._parts.busy_words():
            self._state = replace(self._state, note=DISTURBED)
            self.stop()


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}{'s' * (n != 1)}"

"""Comparisons of installed models: planned, run one at a time, kept, gone on with after a crash, judged."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import msgspec

from localai_app import __version__, errors
from localai_app.compare.comparison import Comparison, ComparisonSpec, ComparisonState, Schedule, Vote
from localai_app.compare.contestant import MAX_CONTESTANTS, MIN_CONTESTANTS
from localai_app.errors import AppError
from localai_app.services.compare.comparison_keeper import ComparisonKeeper
from localai_app.services.compare.comparison_runner import QUIET_S, ComparisonParts, ComparisonRunner
from localai_app.services.compare.running_state import RunningProgress, RunningState
from localai_app.services.compare.turn import ComparingTurn
from localai_app.services.events import BenchmarkChanged, ComparisonChanged, EngineChanged, Event, EventBus, VotesChanged
from localai_app.services.work_thread import WorkThread
from localai_app.store.comparisons import ComparisonRow


class ComparisonService:
    """Runs comparisons. Public methods return at once, but for `plan`; ComparisonChanged tells of all that happens.

    A comparison has the computer for itself: loaded models are unloaded first, as for a benchmark. Somebody who asks for an
    answer in a chat meanwhile gets it: the comparison gives its memory back, waits, and goes on a minute after the last
    answer with the cell that it was at.
    """

    def __init__(
        self, events: EventBus, keeper: ComparisonKeeper, parts: ComparisonParts, *, quiet_s: float = QUIET_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`quiet_s`: how long the engine has to be idle before a disturbed comparison goes on."""
        self._events = events
        self._keeper = keeper
        self._parts = parts
        self._quiet_s = quiet_s
        self._clock = clock
        self._lock = threading.Lock()
        self._turn = ComparingTurn(parts.lock_path)
        self._progress = RunningProgress(lambda comparison_id: events.publish(ComparisonChanged(comparison_id)))
        self._runner: ComparisonRunner | None = None
        self._thread = WorkThread("comparison")
        self._unsubscribe = events.subscribe(self._on_event)

    @property
    def state(self) -> RunningState:
        """What runs now, or how the last one ended."""
        return self._progress.state

    def plan(self, spec: ComparisonSpec) -> Schedule:
        """How these contestants would run now. Slow: not for the window's thread. AppError for a spec that cannot be."""
        require_valid(spec)
        contestants = self._parts.planner.plan(spec, self._parts.limit_bytes(spec), self._parts.engine.loaded())
        return self._parts.schedule(spec, contestants)

    def start(self, spec: ComparisonSpec) -> int:
        """Begin a comparison; its number. AppError where something else is under way, or the spec cannot be."""
        require_valid(spec)
        with self._lock, self._turn.taken():
            self._require_idle()
            comparison_id = self._keeper.add(spec, __version__)
            self._begin(comparison_id, spec)
        return comparison_id

    def resume(self, comparison_id: int) -> None:
        """Go on with the cells that are not finished. AppError where something else is under way, or there is no such one."""
        with self._lock, self._turn.taken():
            self._require_idle()
            comparison = self._keeper.get(comparison_id)
            self._keeper.set_state(comparison_id, ComparisonState.RUNNING)
            self._begin(comparison_id, comparison.spec)

    def rerun(self, comparison_id: int, contestants: Sequence[int] | None = None) -> None:
        """Ask some contestants again, by their places, or all; their answers and the votes on them are forgotten first."""
        with self._lock, self._turn.taken():
            self._require_idle()
            comparison = self._keeper.get(comparison_id)
            places = range(len(comparison.spec.contestants)) if contestants is None else contestants
            self._keeper.forget_answers(comparison, places)
            self._keeper.refresh_search(comparison_id)
            self._keeper.set_state(comparison_id, ComparisonState.RUNNING)
            self._begin(comparison_id, comparison.spec)
        self._events.publish(VotesChanged(comparison_id))

    def cancel(self) -> None:
        """End the running comparison soon; what is finished is kept, and `resume` goes on."""
        runner = self._runner
        if runner is not None:
            runner.cancel()

    def give_way(self) -> None:
        """Let a running comparison give its memory back, and wait for that; it goes on when nobody needs the engine."""
        runner = self._runner
        if runner is not None and self.state.is_running:
            runner.give_way()

    def wait(self, timeout_s: float) -> bool:
        """Wait until no comparison runs; false after `timeout_s`."""
        self._thread.wait(timeout_s)
        return not self.state.is_running

    def close(self) -> None:
        """Stop and wait for the workers' end; what is unfinished can go on at the next start."""
        self._unsubscribe()
        runner = self._runner
        if runner is not None:
            runner.cancel(may_go_on=True)
        self._thread.wait()

    def get(self, comparison_id: int) -> Comparison:
        """Everything that is kept of one. AppError where there is none."""
        return self._keeper.get(comparison_id)

    def rows(self, search: str = "") -> tuple[ComparisonRow, ...]:
        """What there is, newest first; with `search` where that is found. AppError if the store cannot be read."""
        return self._keeper.rows(search)

    def delete(self, comparison_id: int) -> None:
        """Forget one with its answers and votes. AppError while it runs."""
        if self.state.comparison_id == comparison_id:
            raise AppError(errors.COMPARISON_RUNS)
        self._keeper.delete(comparison_id)
        self._events.publish(ComparisonChanged(comparison_id))
        self._events.publish(VotesChanged(comparison_id))

    def restore(self, comparison: Comparison, *, keeps_id: bool = False) -> int:
        """Keep a whole comparison from a file, or one that was deleted; its number. `keeps_id`: its own, if still free."""
        comparison_id = self._keeper.restore(comparison, keeps_id=keeps_id)
        self._events.publish(ComparisonChanged(comparison_id))
        self._events.publish(VotesChanged(comparison_id))
        return comparison_id

    def vote(self, comparison_id: int, vote: Vote) -> None:
        """Keep a judgement, in place of an earlier one of the same judge on the same answers."""
        if not vote.time_s:
            vote = msgspec.structs.replace(vote, time_s=self._clock())
        self._keeper.set_vote(comparison_id, vote)
        self._keeper.refresh_search(comparison_id)
        self._events.publish(VotesChanged(comparison_id))

    def remove_vote(self, comparison_id: int, prompt: int, repeat: int, judge: str = "") -> None:
        """Take a judgement back."""
        self._keeper.remove_vote(comparison_id, prompt, repeat, judge)
        self._keeper.refresh_search(comparison_id)
        self._events.publish(VotesChanged(comparison_id))

    def _begin(self, comparison_id: int, spec: ComparisonSpec) -> None:
        """With the lock held."""
        self._progress.begin(
            comparison_id, len(spec.contestants), len(spec.contestants) * len(spec.prompts) * spec.repeats)
        self._runner = runner = ComparisonRunner(
            self._events, self._keeper, self._parts, self._progress, comparison_id, quiet_s=self._quiet_s)
        self._thread.begin(self._turn.during(runner.work))

    def _require_idle(self) -> None:
        busy = "another one runs" if self.state.is_running else self._parts.busy_words()
        if busy:
            raise AppError(errors.COMPARISON_BUSY, what=busy)

    def _on_event(self, event: Event) -> None:
        """Somebody wants an answer or a measurement: that comes first."""
        runner = self._runner
        is_news = isinstance(event, EngineChanged | BenchmarkChanged) and self.state.is_running
        if runner is not None and is_news and self._parts.busy_words():
            runner.disturb()


def require_valid(spec: ComparisonSpec) -> None:
    """AppError COMPARISON_INVALID for what cannot be compared."""
    reason = ""
    if not MIN_CONTESTANTS <= len(spec.contestants) <= MAX_CONTESTANTS:
        reason = f"it takes {MIN_CONTESTANTS} to {MAX_CONTESTANTS} contestants, not {len(spec.contestants)}"
    elif not spec.prompts or not all(prompt.text.strip() for prompt in spec.prompts):
        reason = "there is no prompt" if not spec.prompts else "a prompt is empty"
    elif spec.repeats < 1:
        reason = "every prompt has to be asked once at least"
    if reason:
        raise AppError(errors.COMPARISON_INVALID, reason=reason)

"""One pass through the cells of a comparison that are left: contestants in turn or side by side."""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Callable, Sequence

from localai_app.compare.comparison import CellKey, Comparison, Way
from localai_app.compare.schedule import loads_ahead
from localai_app.services.compare.contestant_lane import ContestantLane, LaneParts
from localai_app.services.compare.contestant_plans import PlannedContestant
from localai_app.services.compare.contestant_worker import StoppedError
from localai_app.services.compare.read_ahead import ReadAhead
from localai_app.services.compare.worker_memory import MemoryWatch


class ComparisonRun:
    """Used once, in the thread of its owner; `stop` may come from any thread."""

    def __init__(
        self, parts: LaneParts, comparison: Comparison, contestants: Sequence[PlannedContestant],
        cells: Sequence[Sequence[CellKey]], limit_bytes: int,
    ) -> None:
        """The comparison has its schedule. `cells`: those that are left of each contestant, by its place."""
        assert comparison.schedule is not None
        self._schedule = comparison.schedule
        self._contestants = contestants
        self._limit_bytes = limit_bytes
        self._watch = MemoryWatch(lambda: [pid for lane in self._lanes if (pid := lane.pid) is not None])
        every = [
            ContestantLane(parts, comparison, place, contestants[place].plan, cells[place], self._watch.peak_of)
            for place in self._schedule.order if cells[place]]
        self._unloadable = [lane for lane in every if contestants[lane.place].plan is None]
        self._lanes = [lane for lane in every if contestants[lane.place].plan is not None]
        self._preparation: _Preparation | None = None
        self._is_stopped = False

    @property
    def peak_bytes(self) -> int:
        """Most main memory that all workers together held at one moment."""
        return self._watch.peak_bytes

    def mean_tps(self, place: int) -> float | None:
        """What a contestant wrote in this pass, in tokens per second; None where its answers are too short to tell."""
        return next((lane.mean_tps for lane in self._lanes if lane.place == place), None)

    def stop(self) -> None:
        """End soon; what is finished is kept."""
        self._is_stopped = True
        for lane in self._lanes:
            lane.stop()

    def run(self) -> bool:
        """Ask what is left; false where it was stopped first. AppError where the store cannot be written to."""
        for lane in self._unloadable:
            lane.fail(self._contestants[lane.place].reason)
        with self._watch:
            try:
                if self._schedule.way is Way.SIDE_BY_SIDE:
                    self._run_side_by_side()
                else:
                    self._run_in_turn()
            except StoppedError:
                return False
            finally:
                if self._preparation is not None:
                    self.stop()
                    self._preparation.close()
                for lane in self._lanes:
                    lane.close()
        return not self._is_stopped

    def _run_in_turn(self) -> None:
        for lane, following in itertools.zip_longest(self._lanes, self._lanes[1:]):
            is_loaded = self._end_preparation()
            if not is_loaded:
                lane.load()
            if following is None:
                lane.answer_all()
            else:
                lane.answer_all(functools.partial(self._prepare, lane, following))
            lane.close()

    def _prepare(self, answering: ContestantLane, following: ContestantLane) -> bool:
        """While the last answer is written: load the next model, or bring its file nearer. Whether it is the former."""
        self._end_preparation()
        one, other = self._contestants[answering.place], self._contestants[following.place]
        assert other.plan is not None
        if loads_ahead(one.need, other.need, self._limit_bytes):
            self._preparation = _Preparation(following.load)
        else:
            self._preparation = _Preparation(None, ReadAhead(other.plan.model.paths))
        return self._preparation.is_load

    def _end_preparation(self) -> bool:
        """Wait for what was begun; whether it was the whole load, successful or not."""
        preparation, self._preparation = self._preparation, None
        if preparation is None:
            return False
        preparation.close()
        preparation.raise_failure()
        return preparation.is_load

    def _run_side_by_side(self) -> None:
        """Loaded one after the other, so that load times are honest; then all answer at once."""
        for lane in self._lanes:
            lane.load()
        answering = [lane for lane in self._lanes if lane.is_loaded]
        for lane in answering:
            lane.is_shared = len(answering) > 1
        threads = [_Watched(lane.answer_all, f"contestant-{lane.place}", self.stop) for lane in answering]
        for thread in threads:
            thread.join()
        failures = [thread.failure for thread in threads if thread.failure is not None]
        if failures:
            raise next((one for one in failures if not isinstance(one, StoppedError)), failures[0])


class _Watched:
    """A thread whose failure is kept for the thread that waits for it, and told at once."""

    def __init__(self, target: Callable[[], None], name: str, on_failure: Callable[[], None] = lambda: None) -> None:
        self.failure: BaseException | None = None
        self._target = target
        self._on_failure = on_failure
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait for its end."""
        self._thread.join()

    def _run(self) -> None:
        try:
            self._target()
        except BaseException as failure:  # noqa: BLE001 - raised again by whoever waits
            self.failure = failure
            self._on_failure()


class _Preparation:
    """What goes on beside the last answer: a load, or reading ahead."""

    def __init__(self, load: Callable[[], None] | None, reading: ReadAhead | None = None) -> None:
        self.is_load = load is not None
        self._thread = _Watched(load, "load-ahead") if load is not None else None
        self._reading = reading

    def close(self) -> None:
        """Wait for the load; end the reading."""
        if self._thread is not None:
            self._thread.join()
        if self._reading is not None:
            self._reading.close()

    def raise_failure(self) -> None:
        """What went wrong in the other thread goes wrong here."""
        if self._thread is not None and self._thread.failure is not None:
            raise self._thread.failure

"""One pass through the cells of a comparison that are left: contestants in turn or side by side."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from localai_app.compare.comparison import CellKey, Comparison, Schedule, Way
from localai_app.services.compare.contestant_lane import ContestantLane, LaneParts
from localai_app.services.compare.contestant_plans import PlannedContestant
from localai_app.services.compare.contestant_worker import StoppedError
from localai_app.services.compare.worker_memory import MemoryWatch
from localai_app.services.thinking import AnswerText


class ComparisonRun:
    """Used once, in the thread of its owner; `stop` may come from any thread."""

    def __init__(
        self, parts: LaneParts, comparison: Comparison, schedule: Schedule, contestants: Sequence[PlannedContestant],
        cells: Sequence[Sequence[CellKey]],
    ) -> None:
        """`cells`: those that are left of each contestant, by its place."""
        self._parts = parts
        self._schedule = schedule
        self._lanes: list[ContestantLane] = []
        self._unloadable: list[tuple[ContestantLane, str]] = []
        for place in schedule.order:
            planned = contestants[place]
            if not cells[place]:
                continue
            if planned.plan is None:
                lane = ContestantLane(parts, comparison, place, None, cells[place])
                self._unloadable.append((lane, planned.reason))
            else:
                self._lanes.append(ContestantLane(
                    parts, comparison, place, planned.options(schedule, place), cells[place]))
        self._watch = MemoryWatch(lambda: [pid for lane in self._lanes if (pid := lane.pid) is not None])
        self._is_stopped = False

    @property
    def peak_bytes(self) -> int:
        """Most main memory that all workers together held at one moment."""
        return self._watch.peak_bytes

    def stop(self) -> None:
        """End soon; what is finished is kept."""
        self._is_stopped = True
        for lane in self._lanes:
            lane.stop()

    def text_of(self, key: CellKey) -> AnswerText | None:
        """What a cell that is being answered says so far."""
        return next((lane.text for lane in self._lanes if lane.place == key.contestant), None)

    def run(self) -> bool:
        """Ask what is left; false where it was stopped first. AppError where the store cannot be written to."""
        for lane, reason in self._unloadable:
            lane.fail(reason)
        with self._watch:
            try:
                if self._schedule.way is Way.SIDE_BY_SIDE:
                    self._run_side_by_side()
                else:
                    self._run_in_turn()
            except StoppedError:
                return False
            finally:
                for lane in self._lanes:
                    lane.close(self._watch.peak_of)
        return not self._is_stopped

    def _run_in_turn(self) -> None:
        for lane in self._lanes:
            lane.load()
            lane.answer_all()
            lane.close(self._watch.peak_of)

    def _run_side_by_side(self) -> None:
        """Loaded one after the other, so that load times are honest; then all answer at once."""
        for lane in self._lanes:
            lane.load()
        answering = [lane for lane in self._lanes if lane.is_loaded]
        failures: list[BaseException] = []

        def answer(lane: ContestantLane) -> None:
            try:
                lane.answer_all()
            except BaseException as failure:  # noqa: BLE001 - raised again in the thread of the run
                failures.append(failure)
                self.stop()

        for lane in answering:
            lane.is_shared = len(answering) > 1
        threads = [
            threading.Thread(target=answer, args=(lane,), name=f"contestant-{lane.place}", daemon=True) for lane in answering]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise next((one for one in failures if not isinstance(one, StoppedError)), failures[0])

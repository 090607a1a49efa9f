"""Takes a comparison from where it stands to its end: plans it, gives it the computer, lets others go before it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from localai_app import errors
from localai_app.compare.comparison import Comparison, ComparisonSpec, ComparisonState, Schedule, Way
from localai_app.compare.matrix import cells_left
from localai_app.compare.schedule import Circumstances, make_schedule
from localai_app.engine.launch import CommandSource
from localai_app.errors import AppError
from localai_app.services.answer_meter import AnswerMeter
from localai_app.services.benchmarks import BenchmarkService
from localai_app.services.compare.cell_request import CellRequests
from localai_app.services.compare.comparison_keeper import ComparisonKeeper
from localai_app.services.compare.comparison_run import ComparisonRun
from localai_app.services.compare.contestant_lane import LaneParts
from localai_app.services.compare.contestant_plans import ContestantPlanner, PlannedContestant
from localai_app.services.compare.file_hashes import FileHashes
from localai_app.services.compare.running_state import RunningProgress
from localai_app.services.compare.side_by_side_memory import SideBySideMemory
from localai_app.services.engine_service import EngineService
from localai_app.services.events import EventBus
from localai_app.services.hardware_service import HardwareService
from localai_app.services.library_service import LibraryService
from localai_app.services.quiet_engine import busy_words, unload_all
from localai_app.services.safe_setups import SafeSetUps
from localai_app.services.settings_service import SettingsService
from localai_app.units import format_wait

log = logging.getLogger(__name__)

QUIET_S = 60.0
"""So long after the last answer in a chat a comparison goes on."""
_GIVE_WAY_S = 5.0
_WAIT_S = 0.05
WAITS = "It waits while {what}, and goes on {quiet} after that."
IDENTIFIES = "All answers are there; the model files are being identified."


@dataclass(frozen=True, slots=True)
class ComparisonParts:
    """What comparisons are made with."""

    settings: SettingsService
    library: LibraryService
    hardware: HardwareService
    engine: EngineService
    planner: ContestantPlanner
    requests: CellRequests
    meter: AnswerMeter
    hashes: FileHashes
    sharing: SideBySideMemory
    set_ups: SafeSetUps
    worker: tuple[CommandSource, Path]
    """The command of a worker, and the folder in which it starts."""
    benchmarks: BenchmarkService
    lock_path: Path
    """Of the file that lets one process at a time compare."""
    measures_loss: Callable[[], bool] = lambda: False
    """Whether it is being measured what a smaller file loses."""

    def busy_words(self) -> str:
        """What else computes; empty where nothing does."""
        if self.benchmarks.state.is_running:
            return "a benchmark runs"
        if self.measures_loss():
            return "files are being measured or made"
        return busy_words(self.engine)

    def limit_bytes(self, spec: ComparisonSpec) -> int:
        """What all workers together may take; 0: what is free."""
        if spec.memory_limit_bytes is not None:
            return spec.memory_limit_bytes
        return self.settings.integer("memory_limit_bytes")

    def schedule(self, spec: ComparisonSpec, contestants: Sequence[PlannedContestant]) -> Schedule:
        """How planned contestants run on this computer."""
        cpu = self.hardware.report_now().cpu
        needs = [contestant.need for contestant in contestants]
        gain = self.sharing.gain(cpu, [need for need in needs if not need.problem])
        return make_schedule(needs, Circumstances(cpu.physical_cores, self.limit_bytes(spec), spec.way, spec.seed, gain))


class ComparisonRunner:
    """Used once, in a thread of its own; `cancel` and `disturb` may come from any thread."""

    def __init__(
        self, events: EventBus, keeper: ComparisonKeeper, parts: ComparisonParts, progress: RunningProgress,
        comparison_id: int, *, quiet_s: float = QUIET_S,
    ) -> None:
        """`quiet_s`: how long the engine has to be idle before a disturbed comparison goes on."""
        command, folder = parts.worker
        self._keeper = keeper
        self._parts = parts
        self._progress = progress
        self._lane_parts = LaneParts(events, keeper, progress, parts.requests, parts.meter, command, folder, parts.set_ups)
        self._comparison_id = comparison_id
        self._quiet_s = quiet_s
        self._run: ComparisonRun | None = None
        self._is_cancelled = threading.Event()
        self._is_disturbed = threading.Event()
        self._is_out_of_the_way = threading.Event()
        self._is_out_of_the_way.set()
        self._keeps_running_state = False

    def cancel(self, *, may_go_on: bool = False) -> None:
        """End soon; what is finished is kept. `may_go_on`: it counts as cut off, not as cancelled."""
        self._keeps_running_state |= may_go_on
        self._is_cancelled.set()
        self._stop_run()

    def disturb(self) -> None:
        """Somebody else needs the computer: give it back, and go on when it is quiet."""
        self._is_disturbed.set()
        self._stop_run()

    def give_way(self) -> None:
        """The same, and wait until its workers are gone."""
        self.disturb()
        self._is_out_of_the_way.wait(_GIVE_WAY_S)

    def work(self) -> None:
        """Run to the end; what goes wrong is in the state."""
        error: AppError | None = None
        try:
            is_complete = self._run_passes() and self._identify_files()
            if is_complete or not self._keeps_running_state:
                self._keeper.set_state(
                    self._comparison_id, ComparisonState.DONE if is_complete else ComparisonState.CANCELLED)
        except AppError as failure:
            error = failure
        except Exception as failure:
            log.exception("comparison %d failed unexpectedly", self._comparison_id)
            cause = f"there was an internal error ({type(failure).__name__})"
            error = AppError(errors.ENGINE_CRASHED, cause=cause, detail=repr(failure))
        finally:
            self._progress.end(error)

    def _run_passes(self) -> bool:
        """Run until nothing is left, with pauses while others need the computer; false where it was cancelled."""
        while True:
            self._is_disturbed.clear()
            is_complete = self._run_pass()
            if is_complete or self._is_cancelled.is_set():
                return is_complete
            what = self._parts.busy_words() or "something else computes"
            self._progress.note(WAITS.format(what=what, quiet=format_wait(self._quiet_s)))
            if not self._wait_for_quiet():
                return False

    def _run_pass(self) -> bool:
        comparison = self._keeper.get(self._comparison_id)
        finished = [answer.key for answer in comparison.answers]
        cells = [cells_left(comparison.spec, place, finished) for place in range(len(comparison.spec.contestants))]
        if not any(cells):
            return True
        if self._parts.busy_words():
            self._is_disturbed.set()
            return False
        unload_all(self._parts.engine)
        limit_bytes = self._parts.limit_bytes(comparison.spec)
        contestants = self._parts.planner.plan(comparison.spec, limit_bytes)
        schedule = self._schedule(comparison, contestants)
        comparison = self._keep_circumstances(comparison, schedule)
        self._progress.begin_pass(schedule, [len(left) for left in cells])
        self._run = run = ComparisonRun(self._lane_parts, comparison, contestants, cells, limit_bytes)
        try:
            if self._is_cancelled.is_set() or self._is_disturbed.is_set():
                return False
            self._is_out_of_the_way.clear()
            is_complete = run.run()
            if is_complete:
                self._learn(schedule, contestants, run)
            return is_complete
        finally:
            self._run = None
            self._is_out_of_the_way.set()
            self._keeper.set_circumstances(comparison, peak_bytes=max(comparison.peak_bytes, run.peak_bytes))

    def _schedule(self, comparison: Comparison, contestants: Sequence[PlannedContestant]) -> Schedule:
        """The same way as before where it goes on and memory still allows that: shared speeds are not mixed with others."""
        before, spec = comparison.schedule, comparison.spec
        if before is None:
            return self._parts.schedule(spec, contestants)
        now = self._parts.schedule(msgspec.structs.replace(spec, way=before.way), contestants)
        return msgspec.structs.replace(now, reason=before.reason) if now.way is before.way else now

    def _keep_circumstances(self, comparison: Comparison, schedule: Schedule) -> Comparison:
        hardware = comparison.hardware or msgspec.to_builtins(self._parts.hardware.report_now())
        return self._keeper.set_circumstances(comparison, schedule=schedule, hardware=hardware)

    def _learn(self, schedule: Schedule, contestants: Sequence[PlannedContestant], run: ComparisonRun) -> None:
        """Remember the speeds of this pass: of each model where it ran alone, else of all together."""
        measured = [run.mean_tps(place) for place in range(len(contestants))]
        if schedule.way is Way.SIDE_BY_SIDE:
            loadable = [(one.need, tps) for one, tps in zip(contestants, measured, strict=True) if one.plan is not None]
            if all(tps is not None for _need, tps in loadable):
                self._parts.sharing.learn(
                    self._parts.hardware.report_now().cpu, [need for need, _tps in loadable],
                    sum(tps for _need, tps in loadable if tps is not None))
            return
        for contestant, tps in zip(contestants, measured, strict=True):
            if contestant.plan is not None and tps is not None:
                self._parts.library.note_use(contestant.plan.model.key, tps=tps)

    def _identify_files(self) -> bool:
        """Keep the checksums of the models' files with each contestant that ran; false where it was cancelled."""
        comparison = self._keeper.get(self._comparison_id)
        self._progress.note(IDENTIFIES)
        for run in comparison.runs:
            try:
                model = self._parts.library.get(comparison.spec.contestants[run.contestant].model_key)
            except AppError:
                continue
            found = [self._parts.hashes.of(path, self._is_cancelled.is_set) for path in model.paths]
            if all(found):
                self._keeper.set_run(self._comparison_id, msgspec.structs.replace(
                    run, sha256=tuple(one for one in found if one), size_bytes=model.size_bytes))
        return not self._is_cancelled.is_set()

    def _wait_for_quiet(self) -> bool:
        """Wait until nobody has needed the computer for a while; false where the comparison was cancelled meanwhile."""
        quiet_since_s = time.monotonic()
        while not self._is_cancelled.wait(_WAIT_S):
            if self._parts.busy_words():
                quiet_since_s = time.monotonic()
            elif time.monotonic() - quiet_since_s >= self._quiet_s:
                return True
        return False

    def _stop_run(self) -> None:
        run = self._run
        if run is not None:
            run.stop()

"""Which build of llama.cpp runs: found, tested in a child process, remembered, and replaced when it fails."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from localai_app import errors
from localai_app.engine.launch import PLANNER_OPTIONS, rpc_options, worker_command
from localai_app.engine.runtimes import Build, Runtime, gpu_runtimes, processor_runtimes
from localai_app.engine.tiny_model import write_tiny_model
from localai_app.errors import AppError
from localai_app.hardware.report import HardwareReport
from localai_app.paths import AppPaths
from localai_app.services.events import ErrorHappened, Event, EventBus, HardwareReported, RuntimesChanged, WorkerDied
from localai_app.services.lent_devices import LentDevices
from localai_app.services.runtime_choice import fastest, fault, next_processor, worst_fault
from localai_app.services.runtime_memory import result_key
from localai_app.services.runtime_records import RuntimeRecords
from localai_app.services.self_test_run import FIRST_DEADLINE_S, LATER_DEADLINE_S, TestResult, run_self_test

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RuntimeRow:
    """One way to run llama.cpp, for people. `result` None: not tested yet."""

    runtime: Runtime
    result: TestResult | None
    is_chosen: bool

    @property
    def name(self) -> str:
        """The build and what computes: “llama-cpp-python 0.3.36, processor”."""
        _id, _slash, variant = self.runtime.key.partition("/")
        words = {"cpu": "processor", "gpu": "GPU"}.get(variant, variant)
        return f"{self.runtime.build.label}, {words}"


class RuntimeService:
    """Chooses a build. Safe from any thread; what may take seconds says so. RuntimesChanged tells of news."""

    def __init__(
        self, events: EventBus, paths: AppPaths, report: Callable[[], HardwareReport], lent: LentDevices | None = None, *,
        is_used: bool = True,
    ) -> None:
        """`report` tells what this computer is (may take a second).

        `lent`: whose devices workers use too. `is_used` False: the program runs another engine.
        """
        self.report = report
        self._events = events
        self._paths = paths
        self._lent = lent
        self._is_used = is_used
        self._records = RuntimeRecords(paths, report)
        self._is_suspect = False
        self._given_up = threading.Event()
        self._thread: threading.Thread | None = None
        self._look_again: Callable[[], None] | None = None
        if is_used:
            events.subscribe(self._on_event)

    def start(self, look_again: Callable[[], None]) -> None:
        """From now on test in the background what is to be tested: builds that are new here, and all after a crash.

        `look_again` lists the engine's devices, which may be others with another build.
        """
        self._look_again = look_again if self._is_used else None

    def close(self) -> None:
        """End the test that is under way; no other one begins."""
        self._given_up.set()
        if self._thread is not None:
            self._thread.join()

    def worker_command(self) -> list[str]:
        """The command line of a worker with the build in use.

        The first time on a computer, and after a crash, this tests what has to be known: some seconds.
        """
        lent = self._lent.addresses_for_load() if self._lent is not None else ()
        return worker_command(extra=(*self.chosen().options, *rpc_options(lent)))

    def planner_command(self) -> list[str]:
        """The same for dry runs, without lent devices: whoever is connected to them keeps all others out."""
        return worker_command(extra=(*self.chosen().options, *PLANNER_OPTIONS))

    def lent_planner_command(self) -> list[str]:
        """The command of dry runs on lent devices."""
        return [*self.planner_command(), *rpc_options(self._lent.ready_addresses() if self._lent is not None else ())]

    def lending_command(self, address: str) -> list[str]:
        """The command line of a worker that lends this computer's devices there."""
        return worker_command(extra=(*self.chosen().options, "--lend", address))

    def chosen(self) -> Runtime:
        """The build in use, after the tests without which none can be chosen. AppError ENGINE_MISSING where there is none."""
        with self._records.turn:
            found = self._records.choices()
            if not found:
                raise AppError(errors.ENGINE_MISSING)
            if len(found) > 1 or self._is_suspect:
                self._test_until_known()
            return self._records.picked() or self._records.choices()[0]

    def build_name(self) -> str:
        """Changes with the build in use, for everything that was measured with it; empty where there is none."""
        return self._records.build_name

    def rows(self) -> list[RuntimeRow]:
        """Everything that could run here, with what is known of it; tests nothing, but waits for tests that decide."""
        if not self._is_used:
            return []
        with self._records.turn:
            results, found = self._records.known().results, self._records.choices()
            picked = self._records.picked() or (found[0] if found else None)
            return [RuntimeRow(each, results.get(result_key(each)), each == picked) for each in found]

    def refused(self) -> tuple[str, ...]:
        """Folders and back ends that are not used, each with its reason, as sentences."""
        return tuple(f"{each.folder} is not used: {each.reason}." for each in self._records.discovery().refused)

    def test_all(self, *, again: bool = True) -> list[RuntimeRow]:
        """Look for builds again and test every one of them, in the calling thread: a second or two for each.

        `again` False: only those that were not tested yet.
        """
        self._records.look_anew()
        before = self._records.picked()
        tested: set[str] = set()
        while (runtime := next((each for each in self._records.in_test_order() if each.key not in tested), None)) is not None:
            tested.add(runtime.key)
            if again or not self._records.has_result(runtime):
                self._test_one(runtime)
            if self._given_up.is_set():
                return self.rows()
        self._settle(before)
        return self.rows()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, WorkerDied) and event.outcome.is_crash:
            # The build is tested again before it is used again.
            self._is_suspect = True
        elif not isinstance(event, HardwareReported) or event.report.engine_devices is None or self._thread is not None:
            return
        is_busy = self._thread is not None and self._thread.is_alive()
        if self._look_again is not None and not is_busy and not self._given_up.is_set():
            self._thread = threading.Thread(target=self._test_in_background, name="runtimes", daemon=True)
            self._thread.start()

    def _test_in_background(self) -> None:
        try:
            with self._records.turn:
                found = self._records.choices()
                before = self._records.picked() or next(iter(found), None)
                if len(found) > 1 or self._is_suspect:
                    self._test_until_known()
            self._test_the_rest()
            after = self._records.picked()
            if after is not None and after != before and self._look_again is not None and not self._given_up.is_set():
                self._look_again()
        except Exception:
            log.exception("the builds of the engine could not be tested")

    def _test_until_known(self) -> None:
        """Test what decides, and no more: the best variant for the processor that passes, and the GPUs beside it.

        After a crash what is in use is tested again, whatever is known of it.
        """
        before = self._records.picked()
        tested: set[str] = set()
        for build in self._records.discovery().builds:
            best = self._passing_processor(build, tested)
            if best is None:
                continue
            for runtime in gpu_runtimes(build, best):
                if self._is_suspect or not self._records.has_result(runtime):
                    tested.add(runtime.key)
                    self._test_one(runtime)
            break
        if self._given_up.is_set():
            return
        self._is_suspect = False
        if tested:
            self._settle(before)

    def _passing_processor(self, build: Build, tested: set[str]) -> Runtime | None:
        """The variant of a build to use, after as few tests as that takes; `tested` gets the keys of those that were made."""
        while not self._given_up.is_set():
            known = self._records.known()
            best = fastest(processor_runtimes(build), known)
            if best is not None and (not self._is_suspect or best.key in tested):
                return best
            best = best or next_processor(build, known, self._records.instruction_sets())
            if best is None:
                return None
            tested.add(best.key)
            self._test_one(best)
        return None

    def _test_the_rest(self) -> None:
        """Test what no result is known of, while others may use the engine; the best of all is used from then on."""
        before = self._records.picked()
        is_any_new = False
        while (runtime := next(
                (each for each in self._records.in_test_order() if not self._records.has_result(each)), None)) is not None:
            self._test_one(runtime)
            is_any_new = True
            if self._given_up.is_set():
                return
        if is_any_new and before is not None and self._records.picked() != before:
            # The one in use was perhaps tested while the program started and the computer was busy.
            self._test_one(before)
        if is_any_new and not self._given_up.is_set():
            self._settle(before)

    def _test_one(self, runtime: Runtime) -> None:
        """Test it and keep the result; others may use the engine meanwhile."""
        if self._given_up.is_set():
            return
        result = run_self_test(
            runtime, write_tiny_model(self._paths.cache), self._paths.worker_dir, given_up=self._given_up,
            deadline_s=LATER_DEADLINE_S if self._records.has_result(runtime) else FIRST_DEADLINE_S)
        if not self._given_up.is_set():
            log.info("self-test of %s: %s", runtime.key, result)
            self._records.keep(runtime, result)

    def _settle(self, before: Runtime | None) -> None:
        """Remember the choice, and tell what changed."""
        with self._records.turn:
            picked = self._records.settle()
            found, known = self._records.choices(), self._records.known()
        self._events.publish(RuntimesChanged())
        if picked is None:
            reason = next((reason for each in found if (reason := fault(each, known)) is not None), None)
            if reason is not None:
                self._events.publish(ErrorHappened(AppError(errors.ENGINE_TEST_FAILED, reason=reason)))
            return
        worst = worst_fault(found, known, picked, before)
        if worst is not None:
            self._events.publish(ErrorHappened(AppError(
                errors.ENGINE_REPLACED, name=RuntimeRow(worst[0], None, False).name, reason=worst[1],
                other=RuntimeRow(picked, None, True).name)))
        if before is None:
            for refused in self._records.discovery().refused:
                if refused.folder.is_relative_to(picked.build.library_dir):
                    self._events.publish(ErrorHappened(AppError(errors.ENGINE_PART_DAMAGED, reason=refused.reason)))

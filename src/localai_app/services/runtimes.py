"""Which build of llama.cpp runs: found, tested in a child process, remembered, and replaced when it fails."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from localai_app import errors
from localai_app.engine.build import installed_build
from localai_app.engine.launch import PLANNER_OPTIONS, rpc_options, worker_command
from localai_app.engine.outcome import OutcomeKind
from localai_app.engine.runtimes import (
    INSTALLED_ID,
    Discovery,
    Runtime,
    discover,
    gpu_runtimes,
    processor_runtimes,
)
from localai_app.engine.tiny_model import write_tiny_model
from localai_app.errors import AppError
from localai_app.hardware.report import HardwareReport
from localai_app.paths import AppPaths, installed_engines_dir
from localai_app.services.events import ErrorHappened, Event, EventBus, HardwareReported, RuntimesChanged, WorkerDied
from localai_app.services.lent_devices import LentDevices
from localai_app.services.runtime_memory import (
    Remembered,
    machine_fingerprint,
    read_remembered,
    result_key,
    write_remembered,
)
from localai_app.services.self_test_run import FIRST_DEADLINE_S, LATER_DEADLINE_S, TestResult, run_self_test

log = logging.getLogger(__name__)

SAME_SPEED = 0.9
"""Builds this close to the fastest count as equally fast: a tiny model tells no finer difference."""
STILL_FAST = 0.7
"""The one in use stays while it is this close, so that a computer that is busy during a test does not change builds."""

_CRASHES = frozenset(map(int, (signal.SIGSEGV, signal.SIGILL, signal.SIGFPE, signal.SIGABRT)))
"""Signals by which a build shows that it may be at fault; others come from outside."""


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
        self._events = events
        self._paths = paths
        self._report = report
        self._lent = lent
        self._is_used = is_used
        self._file = paths.cache / "runtimes.json"
        self._turn = threading.RLock()
        self._build = read_remembered(self._file).build or installed_build()
        self._found: Discovery | None = None
        self._remembered: Remembered | None = None
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

        The first time on a computer with a choice of builds, and after a crash, this tests them: some seconds.
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
        """The build in use, after tests where some are due. AppError ENGINE_MISSING where there is none at all."""
        with self._turn:
            remembered = self._known()
            choices = self._choices(remembered)
            if not choices:
                raise AppError(errors.ENGINE_MISSING)
            is_settled = len(choices) == 1 or all(result_key(each) in remembered.results for each in choices)
            if self._is_suspect or not is_settled:
                self._test(choices, again=self._is_suspect)
                remembered = self._known()
                choices = self._choices(remembered)
            return _pick(choices, remembered) or choices[0]

    def build_name(self) -> str:
        """Changes with the build in use, for everything that was measured with it; empty where there is none."""
        return self._build

    def rows(self) -> list[RuntimeRow]:
        """Everything that could run here, with what is known of it; tests nothing, but waits for a test under way."""
        if not self._is_used:
            return []
        with self._turn:
            remembered = self._known()
            choices = self._choices(remembered)
            picked = _pick(choices, remembered) or (choices[0] if choices else None)
            return [RuntimeRow(each, remembered.results.get(result_key(each)), each == picked) for each in choices]

    def refused(self) -> tuple[str, ...]:
        """Folders that are no usable builds, each with its reason, as sentences."""
        with self._turn:
            return tuple(f"{each.folder} is not used: {each.reason}." for each in self._discovery().refused)

    def test_all(self, *, again: bool = True) -> list[RuntimeRow]:
        """Look for builds again and test every one of them, in the calling thread: a second or two for each.

        `again` False: only those that were not tested yet.
        """
        with self._turn:
            self._found = self._remembered = None
            self._test(self._choices(self._known()), again=again)
        return self.rows()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, WorkerDied) and event.outcome.kind is OutcomeKind.SIGNAL and event.outcome.signal in _CRASHES:
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
            with self._turn:
                remembered = self._known()
                choices = self._choices(remembered)
                before = _pick(choices, remembered) or (choices[0] if choices else None)
                if self._is_suspect or any(result_key(each) not in remembered.results for each in choices):
                    self._test(choices, again=self._is_suspect)
                after = _pick(self._choices(self._known()), self._known())
            if after is not None and after != before and self._look_again is not None and not self._given_up.is_set():
                self._look_again()
        except Exception:
            log.exception("the builds of the engine could not be tested")

    def _discovery(self) -> Discovery:
        if self._found is None:
            before = self._remembered or read_remembered(self._file)
            self._found = discover((self._paths.runtimes, installed_engines_dir()), frozenset(before.verified))
            for refused in self._found.refused:
                log.info("a build of the engine is not used: %s: %s", refused.folder, refused.reason)
        return self._found

    def _known(self) -> Remembered:
        """What is remembered for this computer as it is now."""
        if self._remembered is None:
            found = self._discovery()
            verified = tuple(
                each for build in found.builds if build.engine_id != INSTALLED_ID for each in build.fingerprints)
            machine = machine_fingerprint(self._report())
            read = read_remembered(self._file)
            if read.machine != machine:
                read = Remembered(machine=machine)
            self._remembered = msgspec.structs.replace(read, verified=verified)
        return self._remembered

    def _choices(self, remembered: Remembered) -> list[Runtime]:
        """The ways to run, best first: each build's GPUs beside its best variant for the processor, then those variants."""
        choices: list[Runtime] = []
        for build in self._discovery().builds:
            processors = processor_runtimes(build)
            best = _fastest(processors, remembered) or (processors[0] if processors else None)
            if best is not None:
                choices += gpu_runtimes(build, best)
            choices += processors
        return choices

    def _test(self, choices: Sequence[Runtime], *, again: bool) -> None:
        """Test them, the processor's variants first because a GPU's back end runs beside the best of those."""
        before = _pick(choices, self._known())
        model = write_tiny_model(self._paths.cache)
        for runtime in [each for each in choices if not each.uses_gpu]:
            self._test_one(runtime, model, again=again)
        for runtime in [each for each in self._choices(self._known()) if each.uses_gpu]:
            self._test_one(runtime, model, again=again)
        if not self._given_up.is_set():
            self._is_suspect = False
            self._settle(before)

    def _test_one(self, runtime: Runtime, model: Path, *, again: bool) -> None:
        known = self._known()
        earlier = known.results.get(result_key(runtime))
        if self._given_up.is_set() or (earlier is not None and not again):
            return
        deadline_s = FIRST_DEADLINE_S if earlier is None else LATER_DEADLINE_S
        result = run_self_test(
            runtime, model, self._paths.worker_dir, deadline_s=deadline_s, given_up=self._given_up)
        if self._given_up.is_set():
            return
        log.info("self-test of %s: %s", runtime.key, result)
        self._remembered = msgspec.structs.replace(known, results={**known.results, result_key(runtime): result})

    def _settle(self, before: Runtime | None) -> None:
        """Remember the choice, and tell what changed."""
        remembered = self._known()
        choices = self._choices(remembered)
        picked = _pick(choices, remembered)
        is_plain = picked is None or (picked.build.engine_id == INSTALLED_ID and not picked.build.backends)
        name = "" if is_plain or picked is None else result_key(picked)
        self._build = name or installed_build()
        self._remembered = msgspec.structs.replace(remembered, build=name, chosen=picked.key if picked is not None else "")
        write_remembered(self._file, self._remembered)
        self._events.publish(RuntimesChanged())
        failures = [(each, result) for each in choices if (result := _fault(each, remembered)) is not None]
        if picked is None and failures:
            self._events.publish(ErrorHappened(AppError(errors.ENGINE_TEST_FAILED, reason=failures[0][1])))
        elif picked is not None:
            worse = next((pair for pair in failures if pair[0] == before or (before is None and pair[0].uses_gpu)), None)
            if worse is not None:
                self._events.publish(ErrorHappened(AppError(
                    errors.ENGINE_REPLACED, name=RuntimeRow(worse[0], None, False).name, reason=worse[1],
                    other=RuntimeRow(picked, None, True).name)))


def _fault(runtime: Runtime, remembered: Remembered) -> str | None:
    """Why a build failed, where it should have worked."""
    result = remembered.results.get(result_key(runtime))
    return result.reason if result is not None and not result.passed and not result.is_unsupported else None


def _pick(choices: Sequence[Runtime], remembered: Remembered) -> Runtime | None:
    """The best that passed: of the newest build that has one, a GPU's before the processor's fastest."""
    for build in dict.fromkeys(each.build for each in choices):
        of_build = [each for each in choices if each.build == build]
        with_gpu = [each for each in of_build if each.uses_gpu]
        picked = _fastest(with_gpu, remembered) or _fastest([each for each in of_build if not each.uses_gpu], remembered)
        if picked is not None:
            return picked
    return None


def _fastest(choices: Sequence[Runtime], remembered: Remembered) -> Runtime | None:
    """The first of the fastest that passed, or the one in use while it is not far behind."""
    passed = [
        (result.speed, each) for each in choices if (result := remembered.results.get(result_key(each))) and result.passed]
    best = max((speed for speed, _each in passed), default=0.0)
    in_use = next((each for speed, each in passed if each.key == remembered.chosen and speed >= STILL_FAST * best), None)
    return in_use or next((each for speed, each in passed if speed >= SAME_SPEED * best), None)

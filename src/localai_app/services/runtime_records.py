"""What is known of the builds of llama.cpp on this computer: which there are, how their self-tests went, which is in use."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import msgspec

from localai_app.engine.build import installed_build
from localai_app.engine.runtimes import INSTALLED_ID, Discovery, Runtime, discover
from localai_app.hardware.report import HardwareReport
from localai_app.paths import AppPaths, installed_engines_dir
from localai_app.services.runtime_choice import choices, pick
from localai_app.services.runtime_memory import (
    Remembered,
    machine_fingerprint,
    read_remembered,
    result_key,
    write_remembered,
)
from localai_app.services.self_test_run import TestResult

log = logging.getLogger(__name__)


class RuntimeRecords:
    """Found, tested and remembered. Safe from any thread; `turn` is for whoever needs several answers that fit together."""

    def __init__(self, paths: AppPaths, report: Callable[[], HardwareReport]) -> None:
        """`report` tells what this computer is (may take a second)."""
        self._paths = paths
        self._report = report
        self._file = paths.cache / "runtimes.json"
        self.turn = threading.RLock()
        self.build_name = read_remembered(self._file).build or installed_build()
        """Changes with the build in use; empty where there is none."""
        self._found: Discovery | None = None
        self._known: Remembered | None = None

    def look_anew(self) -> None:
        """Forget what was found and read: both are looked up again when they are asked for."""
        with self.turn:
            self._found = self._known = None

    def discovery(self) -> Discovery:
        """The builds that there are; the first time their files are read."""
        with self.turn:
            if self._found is None:
                before = self._known or read_remembered(self._file)
                self._found = discover((self._paths.runtimes, installed_engines_dir()), frozenset(before.verified))
                for refused in self._found.refused:
                    log.info("a build of the engine is not used: %s: %s", refused.folder, refused.reason)
            return self._found

    def known(self) -> Remembered:
        """What is remembered for this computer as it is now."""
        with self.turn:
            if self._known is None:
                found = self.discovery()
                machine = machine_fingerprint(self._report())
                read = read_remembered(self._file)
                if read.machine != machine:
                    read = Remembered(machine=machine)
                self._known = msgspec.structs.replace(read, verified=found.verified)
            return self._known

    def instruction_sets(self) -> tuple[str, ...]:
        """What the processor says that it can do."""
        return self._report().cpu.instruction_sets

    def choices(self) -> list[Runtime]:
        """The ways to run, best first."""
        with self.turn:
            return choices(self.discovery().builds, self.known())

    def picked(self) -> Runtime | None:
        """The best that passed; None where nothing has."""
        with self.turn:
            return pick(self.choices(), self.known())

    def has_result(self, runtime: Runtime) -> bool:
        """Whether it was tested on this computer."""
        return result_key(runtime) in self.known().results

    def in_test_order(self) -> list[Runtime]:
        """The processor's variants first, because a GPU's back end runs beside the best of those."""
        return sorted(self.choices(), key=lambda each: each.uses_gpu)

    def keep(self, runtime: Runtime, result: TestResult) -> None:
        """Remember a result until the program ends; `settle` writes it down."""
        with self.turn:
            known = self.known()
            self._known = msgspec.structs.replace(known, results={**known.results, result_key(runtime): result})

    def settle(self) -> Runtime | None:
        """Choose the best that passed, and write everything down."""
        with self.turn:
            picked = self.picked()
            is_plain = picked is None or (picked.build.engine_id == INSTALLED_ID and not picked.build.backends)
            name = "" if is_plain or picked is None else result_key(picked)
            self.build_name = name or installed_build()
            self._known = msgspec.structs.replace(
                self.known(), build=name, chosen=picked.key if picked is not None else "")
            write_remembered(self._file, self._known)
            return picked

"""A pack is tried out before it counts: in child processes, with deadlines, compared with the stored results."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from localai_app.engine.runtimes import Build, Runtime, addition_runtimes, read_build
from localai_app.engine.tiny_model import write_tiny_model
from localai_app.progress import Cancelled
from localai_app.services.runtimes import RuntimeRow
from localai_app.services.self_test_run import FIRST_DEADLINE_S, LATER_DEADLINE_S, TestResult, run_self_test

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a trial ended; `reason` is a clause, empty where every back end passed."""

    reason: str = ""
    is_unsupported: bool = False
    """It is for other hardware."""

    @property
    def passed(self) -> bool:
        """Whether it may be used."""
        return not self.reason


class PackTrial:
    """`rows` lists the builds that are here, with their results."""

    def __init__(
        self, rows: Callable[[], Sequence[RuntimeRow]], cache: Path, worker_dir: Path, *,
        deadlines_s: tuple[float, float] = (FIRST_DEADLINE_S, LATER_DEADLINE_S),
    ) -> None:
        self._rows = rows
        self._cache = cache
        self._worker_dir = worker_dir
        self._deadlines_s = deadlines_s

    def of_folder(self, folder: Path, engine_id: str, given_up: threading.Event) -> Verdict:
        """Whether the pack in `folder` belongs to the build `engine_id` and each of its back ends computes right with it.

        Every file is hashed first. One that fails is tried once more. `Cancelled` when `given_up` is set.
        """
        try:
            manifest, addition = read_build(folder)
        except (OSError, ValueError) as error:
            return Verdict(str(error))
        if manifest.adds_to != engine_id:
            return Verdict(f"it is made for the build {manifest.adds_to or 'of its own'} and not for {engine_id}")
        base = self._base(engine_id)
        if base is None:
            return Verdict(f"the build {engine_id}, to which it belongs, is not here")
        build, processor = base
        runtimes = addition_runtimes(build, addition, processor)
        if not runtimes:
            return Verdict("it has no back end")
        model = write_tiny_model(self._cache)
        for runtime in runtimes:
            result = self._tried(runtime, model, given_up)
            if not result.passed:
                return Verdict(result.reason, result.is_unsupported)
        return Verdict()

    def _tried(self, runtime: Runtime, model: Path, given_up: threading.Event) -> TestResult:
        for deadline_s in self._deadlines_s:
            result = run_self_test(runtime, model, self._worker_dir, deadline_s=deadline_s, given_up=given_up)
            if given_up.is_set():
                raise Cancelled
            log.info("trial of %s: %s", runtime.key, result)
            if result.passed or result.is_unsupported:
                break
        return result

    def _base(self, engine_id: str) -> tuple[Build, Runtime] | None:
        """The build, and what is best of it for the processor."""
        rows = [row for row in self._rows() if row.runtime.build.engine_id == engine_id and not row.runtime.additions]
        on_processor = [row for row in rows if not row.runtime.uses_gpu]
        passed = [row for row in on_processor if row.result is not None and row.result.passed]
        best = max(passed, key=lambda row: row.result.speed if row.result is not None else 0.0, default=None)
        chosen = best or next(iter(on_processor), None)
        return (chosen.runtime.build, chosen.runtime) if chosen is not None else None

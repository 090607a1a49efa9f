"""How long llama.cpp's dry runs take once the worker is up: one plan, and all that the table of variants needs of one file.

Besides the time that passes the table gives the processor time of both processes: what passes on a computer that does nothing
else, for a plan uses one thread.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from localai_app.engine.launch import planner_command
from localai_app.engine.protocol import KvType, LoadOptions
from localai_app.gguf.header import GgufHeader
from localai_app.gguf.plan_header import plan_header, write_plan_file
from localai_app.gguf.reader import read_header_file
from localai_app.services.dry_run import DryRunService
from localai_app.services.planner import Planner
from tests.bench.tables import print_table
from tests.helpers.fit_errors import source_rows
from tests.helpers.synthetic import synthesise, write_sparse

pytestmark = [pytest.mark.bench, pytest.mark.model, pytest.mark.timeout(900)]

WANTED_S = 0.3
CTX = 8192


class Time(NamedTuple):
    """Seconds on the clock, and of the processor."""

    passed_s: float
    busy_s: float


def test_dry_runs_of_the_catalog(tmp_path: Path) -> None:
    headers = [header for row in source_rows() if (header := synthetic_header(tmp_path, row)) is not None]
    assert len(headers) >= 40
    planner = Planner(planner_command(), tmp_path, idle_s=600)
    service = DryRunService(planner_command(), tmp_path, tmp_path / "cache", planner)

    def run(header: GgufHeader) -> Time:
        return timed(planner, lambda: service.run([header], ctx=CTX, kv_type=KvType.F16))

    try:
        first = timed(planner, lambda: plan(planner, tmp_path, headers[0]))
        single = [timed(planner, lambda header=header: plan(planner, tmp_path, header))  # type: ignore[misc]
                  for header in headers]
        whole = [run(header) for header in headers]
        again = [run(header) for header in headers]
    finally:
        service.close()
    print_table(f"Dry runs of {len(headers)} models of the catalog, without a GPU", [
        ("the first one, with the start of the worker", f"{first.passed_s:.2f} s"),
        *figures("one plan", single),
        *figures("all contexts and KV types for one row", whole),
        *figures("the same again, from the cache", again),
    ])
    assert quantile([time.busy_s for time in single], 0.95) < WANTED_S


def synthetic_header(folder: Path, row: dict[str, Any]) -> GgufHeader | None:
    """The header of a catalog model at its true dimensions; None where they are not known."""
    try:
        path = write_sparse(folder / "model.gguf", synthesise(row))
    except KeyError:
        return None
    header = read_header_file(path)
    path.unlink()
    return header


def plan(planner: Planner, folder: Path, header: GgufHeader) -> None:
    """One plan as the service makes it: a sparse file of the header, and the question."""
    path = folder / "plan.gguf"
    write_plan_file(path, plan_header([header]))
    planner.plan(path, LoadOptions(model_path="", ctx=CTX, gpu_layers=0))


def timed(planner: Planner, function: Callable[[], object]) -> Time:
    """How long a call takes, and how much of it this process and the planner's worker are busy."""
    started_s, busy_s = time.perf_counter(), _busy_s(planner)
    function()
    return Time(time.perf_counter() - started_s, _busy_s(planner) - busy_s)


def _busy_s(planner: Planner) -> float:
    worker = sum(psutil.Process(planner.pid).cpu_times()[:2]) if planner.pid is not None else 0.0
    return time.process_time() + worker


def quantile(seconds: Sequence[float], share: float) -> float:
    """The value below which that share of the values lies."""
    return sorted(seconds)[min(len(seconds) - 1, int(share * len(seconds)))]


def figures(name: str, times: Sequence[Time]) -> list[tuple[str, str]]:
    """Middle, 95% and worst of the time that passed and of the processor's, in milliseconds."""
    return [
        (f"{name}, {kind}", f"p50 {statistics.median(values) * 1000:.0f} ms, p95 {quantile(values, 0.95) * 1000:.0f} ms, "
         f"worst {max(values) * 1000:.0f} ms")
        for kind, values in (("passed", [time.passed_s for time in times]), ("processor", [time.busy_s for time in times]))]

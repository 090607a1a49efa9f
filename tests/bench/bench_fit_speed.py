"""How long fits by formula take: 1,000 fresh ones over the whole catalog, and 1,000 whose models were worked out before."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from localai_app.catalog.load import load_catalog
from localai_app.fit.decide import decide_on, machine_of, memory_of
from localai_app.fit.result import Request
from localai_app.hardware.report import HardwareReport
from localai_app.services.subjects import catalog_subject
from tests.bench.tables import print_table
from tests.helpers.fit_subjects import apple, computer, gpu_table, nvidia

pytestmark = pytest.mark.bench

CATALOG_FILE = Path(__file__).resolve().parents[2] / "resources" / "catalog" / "models.json"
MACHINES: dict[str, HardwareReport] = {
    "no GPU, 32 GiB": computer(32), "RTX 4090": computer(64, 56, (nvidia("RTX 4090", 24),)),
    "RTX 4090 and RTX 4060": computer(64, 56, (nvidia("RTX 4090", 24), nvidia("RTX 4060", 8, index=1))),
    "M4 Max, 64 GiB": computer(64, 54, (apple("Apple M4 Max (40-core GPU)", 48),))}
LIMIT_MS = 250
REPEATS = 5


def fastest_ms(work: Callable[[], None], count: int) -> tuple[float, float]:
    """(milliseconds on the clock, of the processor) for 1,000 of `count` fits: the best of a few runs."""
    clock, processor = [], []
    for _repeat in range(REPEATS):
        gc.collect()
        started_s, spent_s = time.perf_counter(), time.process_time()
        work()
        clock.append(time.perf_counter() - started_s)
        processor.append(time.process_time() - spent_s)
    return min(clock) * 1e6 / count, min(processor) * 1e6 / count


def test_a_thousand_fits() -> None:
    catalog, gpus, request = load_catalog(CATALOG_FILE), gpu_table(), Request()
    subjects = [catalog_subject(model, file) for model in catalog.models if model.geometry for file in model.files]
    rows = []
    for name, hardware in MACHINES.items():
        machine = machine_of(hardware, request, gpus)
        memories = [memory_of(subject, request, hardware.cpu) for subject in subjects]

        def fresh(machine=machine) -> None:
            for subject in subjects:
                decide_on(machine, subject, request)

        def kept(machine=machine, memories=memories) -> None:
            for subject, memory in zip(subjects, memories, strict=True):
                decide_on(machine, subject, request, memory=memory)

        for title, work in (("fresh", fresh), ("models worked out before", kept)):
            clock_ms, processor_ms = fastest_ms(work, len(subjects))
            rows.append((f"{name}, {title}", f"{clock_ms:.0f} ms per 1,000 ({processor_ms:.0f} ms of the processor)"))
    print_table(f"fits of {len(subjects)} files of the catalog", rows)

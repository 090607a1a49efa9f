"""How long it takes to rank 1,000 fitted models: cards for a task, the order of the list, and the best variant of each."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
import pytest

from localai_app.catalog.load import load_catalog
from localai_app.catalog.tasks import Task
from localai_app.fit.decide import decide
from localai_app.fit.gpu_table import load_gpu_table
from localai_app.fit.result import FitResult, Request, SpeedRange
from localai_app.gui.models.discover_order import Filters, SortOrder, listed
from localai_app.paths import resources_dir
from localai_app.services.best_variant import best_file
from localai_app.services.catalog_rows import catalog_row
from localai_app.services.subjects import catalog_subject
from localai_app.services.suggest import same_suggestions, suggest
from localai_app.services.views import DiscoveryRow
from tests.bench.tables import print_table
from tests.helpers.fit_subjects import computer, nvidia

pytestmark = [pytest.mark.bench, pytest.mark.timeout(300)]

N_ROWS = 1000
LIMIT_MS = 50.0
REPEATS = 7


def thousand_rows() -> list[DiscoveryRow]:
    """Copies of the catalog's models on a desktop with a 24 GB card, each a little faster and better than the one before."""
    catalog = load_catalog(resources_dir() / "catalog" / "models.json")
    gpus = load_gpu_table(resources_dir() / "catalog" / "gpus.json")
    hardware = computer(64, 50, (nvidia("RTX 4090", 24, free_gib=22),))
    known = [
        catalog_row(model, [decide(hardware, catalog_subject(model, file), Request(), gpus) for file in model.files])
        for model in catalog.models if model.geometry is not None]
    return [_copy(known[number % len(known)], number // len(known)) for number in range(N_ROWS)]


def _copy(row: DiscoveryRow, number: int) -> DiscoveryRow:
    model = msgspec.structs.replace(
        row.model, id=f"{row.model.id}-{number}", family=f"{row.model.family} v{number}",
        quality=min(99.0, row.model.quality + number / 4))
    fits = tuple(fit and _faster(fit, 1 + number / 100) for fit in row.fits)
    place = row.model.files.index(row.file) if row.file is not None else None
    return DiscoveryRow(model, row.file, fits[place] if place is not None else None, fits)


def _faster(fit: FitResult, factor: float) -> FitResult:
    speed = fit.speed
    if speed.low is None or speed.high is None:
        return fit
    return msgspec.structs.replace(fit, speed=SpeedRange(low=speed.low * factor, high=speed.high * factor, basis=speed.basis))


def best_ms(work: Callable[[], object]) -> float:
    """The quickest of several runs in milliseconds: what the work costs, not what else the computer does."""
    times = []
    for _ in range(REPEATS):
        started_s = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - started_s))
    return min(times)


def test_ranking_a_thousand_models() -> None:
    rows = thousand_rows()
    cards = suggest(rows)
    assert len(cards) == 3
    times = {f"suggest, {task.value}": best_ms(lambda task=task: suggest(rows, cards, task=task)) for task in Task}
    times["the same cards again"] = best_ms(lambda: same_suggestions(rows, cards))
    for order in SortOrder:
        times[f"list, {order.value.lower()}"] = best_ms(
            lambda order=order: listed(rows, Filters(fits=False, task=Task.CODE), order))
    times["all of it for another task"] = best_ms(
        lambda: (suggest(rows, cards, task=Task.CODE), listed(rows, Filters(task=Task.CODE), SortOrder.RECOMMENDED)))
    variants = best_ms(lambda: [best_file(row.model, row.fits) for row in rows])
    print_table(f"{N_ROWS:,} fitted models, best of {REPEATS}", [
        *((name, f"{took_ms:.1f} ms") for name, took_ms in times.items()),
        ("best variant of each", f"{variants:.1f} ms")])
    assert max(times.values()) < LIMIT_MS

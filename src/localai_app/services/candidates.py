"""Models that run, with the figures by which they are compared: quality at a task, speed, context."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from localai_app.catalog.model import CatalogFile, CatalogModel
from localai_app.catalog.tasks import Task, can_do, points_for
from localai_app.fit.quality import GOOD_KLD, quantization_kld
from localai_app.fit.result import FitResult, Verdict
from localai_app.services.views import DiscoveryRow

READABLE_TPS = 8.0
"""About as fast as people read."""
RUNS = (Verdict.GPU, Verdict.GPU_PARTIAL, Verdict.CPU)
_POINTS_PER_KLD = 60.0
"""Makes a model at 2 or 3 bits give way to a smaller one at 4 of nearly its quality."""
_POINTS_PER_CONTEXT_HALVING = 3.0
"""What a context shorter than other models get here costs."""
_SLOW_POINTS_PER_HALVING = 25.0
_READABLE_PARAMETERS = 4e9
"""Weights per token that a processor of unknown speed is trusted with."""
_UNKNOWN_SPEED_TPS = {Verdict.GPU: 25.0, Verdict.GPU_PARTIAL: 10.0, Verdict.CPU: 8.0}
"""Where the speed is not known: what a device of that kind reaches at least with a model of four billion weights."""


@dataclass(frozen=True, slots=True)
class Trade:
    """What is looked for: points of quality per doubling of the speed, up to a speed that is enough."""

    points_per_doubling: float
    enough_tps: float


BALANCED_TRADE = Trade(6.0, 80.0)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model in the variant to offer. `points`: its quality at the task less what quantization and a short context cost."""

    model: CatalogModel
    file: CatalogFile
    fit: FitResult
    points: float
    tps: float
    """Tokens per second to compare by."""

    def value(self, trade: Trade) -> float:
        """Points for a trade. Below reading speed every halving costs so much that quality hardly makes up for it."""
        doublings = math.log2(max(0.1, min(self.tps, trade.enough_tps)) / READABLE_TPS)
        per_doubling = trade.points_per_doubling if doublings >= 0 else max(trade.points_per_doubling, _SLOW_POINTS_PER_HALVING)
        return self.points + per_doubling * doublings


def runs(row: DiscoveryRow) -> bool:
    """Whether a model runs with its best variant."""
    return row.fit is not None and row.fit.verdict in RUNS


def candidates(rows: Iterable[DiscoveryRow], task: Task) -> list[Candidate]:
    """What runs and can do the task."""
    running = [
        (row.model, row.file, row.fit) for row in rows
        if row.file is not None and row.fit is not None and row.fit.verdict in RUNS and can_do(row.model, task)]
    wanted_ctx = max((fit.ctx for _model, _file, fit in running), default=1)
    return [candidate(model, file, fit, task, wanted_ctx) for model, file, fit in running]


def candidate(model: CatalogModel, file: CatalogFile, fit: FitResult, task: Task, wanted_ctx: int) -> Candidate:
    """One model with its figures; `wanted_ctx` is the context that others get, in tokens."""
    kld = quantization_kld(file.label)
    lost = _POINTS_PER_KLD * min(1.0, GOOD_KLD if kld is None else kld)
    shorter = _POINTS_PER_CONTEXT_HALVING * math.log2(wanted_ctx / fit.ctx) if 0 < fit.ctx < wanted_ctx else 0.0
    return Candidate(model, file, fit, points_for(model, task) - lost - shorter, typical_tps(fit, model))


def typical_tps(fit: FitResult, model: CatalogModel) -> float:
    """The middle of the speed range in tokens per second; a cautious guess from size and device where it is not known."""
    if fit.speed.low is not None and fit.speed.high is not None:
        return (fit.speed.low + fit.speed.high) / 2
    active = model.params_active or model.params_total or _READABLE_PARAMETERS
    return _UNKNOWN_SPEED_TPS.get(fit.verdict, 1.0) * _READABLE_PARAMETERS / active


def recommended_points(row: DiscoveryRow, task: Task) -> float:
    """Quality at a task, worth more the faster it comes: the trade of the balanced suggestion; for sorting lists."""
    if row.file is None or row.fit is None or row.fit.verdict not in RUNS:
        return points_for(row.model, task)
    return candidate(row.model, row.file, row.fit, task, row.fit.ctx).value(BALANCED_TRADE)


def are_twins(one: CatalogModel, other: CatalogModel) -> bool:
    """Whether two models are the same thing to a user: generations of one family in nearly the same size."""
    return (
        _is_near(one.params_total, other.params_total) and _is_near(one.params_active, other.params_active)
        and _line_of(one.family) == _line_of(other.family))


def _is_near(one: int, other: int) -> bool:
    return 0.8 * other <= one <= 1.25 * other


@cache
def _line_of(family: str) -> str:
    """The family without its generation: Qwen for Qwen3.5 and Qwen3.6."""
    return re.sub(r"[\s\d.]+$", "", family.split("-")[0]).lower()

"""Which catalog models the Discover list shows, and in what order."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from localai_app.catalog.model import CatalogModel
from localai_app.fit.result import Verdict
from localai_app.services.suggest import READABLE_TPS, typical_tps
from localai_app.services.views import DiscoveryRow

_RUNS = (Verdict.GPU, Verdict.GPU_PARTIAL, Verdict.CPU)
_POINTS_PER_DOUBLING = 6.0
_POINTS_PER_HALVING = 25.0
_ENOUGH_TPS = 80.0


class SortOrder(StrEnum):
    """How the list is sorted; the value is what the box says."""

    RECOMMENDED = "Recommended"
    QUALITY = "Quality"
    SPEED = "Speed"
    SIZE = "Smallest"


@dataclass(frozen=True, slots=True)
class Filters:
    """What a model has to be to be listed."""

    words: str = ""
    fits: bool = True
    vision: bool = False
    thinking: bool = False


def listed(rows: Sequence[DiscoveryRow], filters: Filters, order: SortOrder) -> list[DiscoveryRow]:
    """The rows that pass, what runs here first."""
    key = _KEYS[order]
    return sorted((row for row in rows if passes(row, filters)), key=lambda row: (not runs(row), -key(row), row.model.name))


def runs(row: DiscoveryRow) -> bool:
    """Whether any variant runs on this computer."""
    return row.fit is not None and row.fit.verdict in _RUNS


def passes(row: DiscoveryRow, filters: Filters) -> bool:
    """Whether a model matches the words and every filter that is on."""
    model = row.model
    return (
        matches(model, filters.words)
        and (not filters.fits or runs(row))
        and (not filters.vision or "vision" in model.tasks)
        and (not filters.thinking or model.thinking != "never"))


def matches(model: CatalogModel, words: str) -> bool:
    """Whether every word is part of a name of the model."""
    text = f"{model.name} {model.publisher} {model.family} {model.repo_id}".lower()
    return all(word in text for word in words.lower().split())


def _points(row: DiscoveryRow) -> float:
    """Quality, worth more the faster it comes and much less below reading speed: the trade of the balanced suggestion."""
    if row.fit is None:
        return row.model.quality
    doublings = math.log2(max(0.1, min(typical_tps(row.fit, row.model), _ENOUGH_TPS)) / READABLE_TPS)
    return row.model.quality + doublings * (_POINTS_PER_DOUBLING if doublings >= 0 else _POINTS_PER_HALVING)


def _speed(row: DiscoveryRow) -> float:
    return typical_tps(row.fit, row.model) if row.fit is not None else 0.0


_KEYS: dict[SortOrder, Callable[[DiscoveryRow], float]] = {
    SortOrder.RECOMMENDED: _points,
    SortOrder.QUALITY: lambda row: row.model.quality,
    SortOrder.SPEED: _speed,
    SortOrder.SIZE: lambda row: -float(row.model.params_total or math.inf),
}

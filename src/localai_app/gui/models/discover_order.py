"""Which catalog models the Discover list shows, and in what order."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from localai_app.catalog.model import CatalogModel
from localai_app.catalog.tasks import Task, is_meant_for, points_for
from localai_app.hub.model import SearchHit
from localai_app.services.candidates import recommended_points, runs, typical_tps
from localai_app.services.views import DiscoveryRow


class SizeClass(StrEnum):
    """How many weights a model has; the value is what the box says."""

    ANY = "Any size"
    SMALL = "Up to 5B"
    MEDIUM = "5B to 15B"
    LARGE = "15B to 40B"
    HUGE = "Over 40B"


_SIZES: dict[SizeClass, tuple[float, float]] = {
    SizeClass.ANY: (-1, math.inf), SizeClass.SMALL: (0, 5e9), SizeClass.MEDIUM: (5e9, 15e9), SizeClass.LARGE: (15e9, 40e9),
    SizeClass.HUGE: (40e9, math.inf),
}
"""More weights than the first number, at most the second."""


class LicenceClass(StrEnum):
    """What a licence allows; the value is what the box says."""

    ANY = "Any licence"
    FREE = "Free use"
    TERMS = "With terms"


_FREE_LICENCES = ("apache-2.0", "mit")
"""Licences that allow any use, commercial as well; others, and those not stated, have terms to read."""


class SortOrder(StrEnum):
    """How the list is sorted; the value is what the box says."""

    RECOMMENDED = "Recommended"
    QUALITY = "Quality"
    SPEED = "Speed"
    SIZE = "Smallest"
    DOWNLOADS = "Downloads"
    NEWEST = "Newest"


HUB_ORDERS = (SortOrder.DOWNLOADS, SortOrder.NEWEST)
"""By what only the Hub knows: its finds come first, the catalog after them as recommended."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What a model has to be to be listed."""

    words: str = ""
    fits: bool = True
    thinking: bool = False
    task: Task = Task.CHAT
    size: SizeClass = SizeClass.ANY
    licence: LicenceClass = LicenceClass.ANY


def listed(rows: Sequence[DiscoveryRow], filters: Filters, order: SortOrder) -> list[DiscoveryRow]:
    """The rows that pass, what runs here first; recommended and quality are those for the task."""
    key = _KEYS[order]
    return sorted(
        (row for row in rows if passes(row, filters)), key=lambda row: (not runs(row), -key(row, filters.task), row.model.name))


def passes(row: DiscoveryRow, filters: Filters) -> bool:
    """Whether a model matches the words and every filter that is on; everyday chat leaves no model out."""
    model = row.model
    return (
        matches(model, filters.words)
        and (not filters.fits or runs(row))
        and (filters.task is Task.CHAT or is_meant_for(model, filters.task))
        and (not filters.thinking or model.thinking != "never")
        and is_of_size(model, filters.size)
        and filters.licence in (LicenceClass.ANY, licence_class(model)))


def is_of_size(model: CatalogModel, size: SizeClass) -> bool:
    """Whether its number of weights lies in a class; where that is not known, only in all of them."""
    more_than, most = _SIZES[size]
    return more_than < model.params_total <= most


def licence_class(model: CatalogModel) -> LicenceClass:
    """Whether a licence is one of those that allow any use."""
    return LicenceClass.FREE if model.license.lower() in _FREE_LICENCES else LicenceClass.TERMS


def matches(model: CatalogModel, words: str) -> bool:
    """Whether every word is part of a name of the model."""
    text = f"{model.name} {model.publisher} {model.family} {model.repo_id}".lower()
    return all(word in text for word in words.lower().split())


def _speed(row: DiscoveryRow, _task: Task) -> float:
    return typical_tps(row.fit, row.model) if row.fit is not None else 0.0


_KEYS: dict[SortOrder, Callable[[DiscoveryRow, Task], float]] = {
    SortOrder.RECOMMENDED: recommended_points,
    SortOrder.QUALITY: lambda row, task: points_for(row.model, task),
    SortOrder.SPEED: _speed,
    SortOrder.SIZE: lambda row, _task: -float(row.model.params_total or math.inf),
    **dict.fromkeys(HUB_ORDERS, recommended_points),
}


def hub_order(hits: Sequence[SearchHit], order: SortOrder) -> list[SearchHit]:
    """What the Hub found, most downloaded or newest first; else as the Hub ranks it."""
    if order is SortOrder.DOWNLOADS:
        return sorted(hits, key=lambda hit: -hit.downloads)
    return sorted(hits, key=lambda hit: hit.last_modified, reverse=True) if order is SortOrder.NEWEST else list(hits)

"""A catalog model as a row: every variant fitted on one computer, and the best of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from localai_app.catalog.model import CatalogModel
from localai_app.errors import AppError
from localai_app.fit.result import FitResult, Request
from localai_app.hardware.report import HardwareReport
from localai_app.services.best_variant import best_file
from localai_app.services.estimate_service import EstimateService
from localai_app.services.views import DiscoveryRow


def catalog_fits(
    estimate: EstimateService, model: CatalogModel, request: Request, report: HardwareReport | None,
) -> tuple[FitResult | None, ...]:
    """A fit for each of `model.files`; None where nothing can be said. `report` None: this computer as it is now."""
    return tuple(_fit_or_none(estimate, model, place, request, report) for place in range(len(model.files)))


def catalog_rows(
    estimate: EstimateService, models: Iterable[CatalogModel], request: Request, report: HardwareReport | None,
    rest: Callable[[float], bool],
) -> tuple[DiscoveryRow, ...] | None:
    """A row for each model. `rest` is called after every fit with the seconds that it took; None as soon as it says True.

    Python runs one thread at a time: who rests for as long as a fit took leaves the window's thread its turn.
    """
    rows = []
    for model in models:
        fits = []
        for place in range(len(model.files)):
            started_s = time.perf_counter()
            fits.append(_fit_or_none(estimate, model, place, request, report))
            if rest(time.perf_counter() - started_s):
                return None
        rows.append(catalog_row(model, fits))
    return tuple(rows)


def catalog_row(model: CatalogModel, fits: Sequence[FitResult | None]) -> DiscoveryRow:
    """The model with the variant to offer."""
    chosen = best_file(model, fits)
    return DiscoveryRow(model, chosen, fits[model.files.index(chosen)] if chosen is not None else None, tuple(fits))


def _fit_or_none(
    estimate: EstimateService, model: CatalogModel, place: int, request: Request, report: HardwareReport | None,
) -> FitResult | None:
    if model.geometry is None:
        return None
    try:
        return estimate.fit_catalog(model, model.files[place], request, report)
    except AppError:
        return None

"""The catalog on this machine: what would run, and what to suggest."""

from __future__ import annotations

import threading
from collections.abc import Callable

from localai_app.catalog.model import Catalog, CatalogModel
from localai_app.errors import AppError
from localai_app.fit.quality import loss_words
from localai_app.fit.result import FitResult, Request, Verdict
from localai_app.hardware.report import HardwareReport
from localai_app.services.background import BackgroundPool
from localai_app.services.estimate_service import EstimateService
from localai_app.services.events import Event, EventBus, HardwareReported, MemoryMeasured, SettingChanged, SuggestionsChanged
from localai_app.services.suggest import best_file, suggest
from localai_app.services.views import DiscoveryRow, Suggestion, Suggestions, VariantRow

FIT_SETTINGS = ("context_tokens", "kv_type", "gpu_layers")
MEMORY_STEP_BYTES = 512 * 1024**2
"""Suggestions are computed anew only when free memory moved by more than this."""


class DiscoveryService:
    """Fits every model of the catalog in the background and keeps the answer."""

    def __init__(
        self, events: EventBus, pool: BackgroundPool, catalog: Catalog, estimate: EstimateService,
        report: Callable[[], HardwareReport | None],
    ) -> None:
        self._events = events
        self._pool = pool
        self._catalog = catalog
        self._estimate = estimate
        self._report = report
        self._lock = threading.Lock()
        self._rows: tuple[DiscoveryRow, ...] = ()
        self._suggestions: Suggestions | None = None
        self._computed_for: tuple[int, ...] = ()
        events.subscribe(self._on_event)

    @property
    def suggestions(self) -> Suggestions | None:
        """The cards of the first page; None until the hardware is known."""
        return self._suggestions

    def rows(self) -> tuple[DiscoveryRow, ...]:
        """Every model of the catalog with its best variant here; empty until the hardware is known."""
        return self._rows

    def model(self, model_id: str) -> CatalogModel | None:
        """A catalog model by its id."""
        return next((model for model in self._catalog.models if model.id == model_id), None)

    def variants(self, model: CatalogModel, request: Request | None = None) -> tuple[VariantRow, ...]:
        """The known variants of a catalog model with their fits for `request` (None: the settings); sizes may be estimates.

        Takes about a millisecond, so it may follow a slider.
        """
        return tuple(
            VariantRow(
                label=file.label, size_bytes=file.size_bytes, size_is_exact=file.is_exact,
                loss_words=loss_words(file.label), fit=fit)
            for file, fit in zip(model.files, self._fits(model, request), strict=True))

    def refresh(self) -> None:
        """Compute again in the background."""
        self._pool.submit(self.compute_now)

    def compute_now(self) -> Suggestions:
        """Compute in the calling thread; also publishes SuggestionsChanged if the answer is a new one."""
        rows = tuple(self._row(model) for model in self._catalog.models)
        runnable = sum(row.fit is not None and row.fit.verdict not in (Verdict.NO, Verdict.UNKNOWN) for row in rows)
        suggestions = Suggestions(cards=suggest(rows, previous=self._cards()), runnable_count=runnable, total_count=len(rows))
        with self._lock:
            self._rows = rows
            is_new = suggestions != self._suggestions
            self._suggestions = suggestions
        if is_new:
            self._events.publish(SuggestionsChanged())
        return suggestions

    def _cards(self) -> tuple[Suggestion, ...]:
        """The cards on screen, which stay unless something is clearly better."""
        return self._suggestions.cards if self._suggestions is not None else ()

    def _row(self, model: CatalogModel) -> DiscoveryRow:
        fits = self._fits(model)
        chosen = best_file(model, fits)
        if chosen is None:
            return DiscoveryRow(model, None, None)
        return DiscoveryRow(model, chosen, fits[model.files.index(chosen)])

    def _fits(self, model: CatalogModel, request: Request | None = None) -> tuple[FitResult | None, ...]:
        if model.geometry is None:
            return tuple(None for _file in model.files)
        return tuple(self._fit_or_none(model, index, request) for index in range(len(model.files)))

    def _fit_or_none(self, model: CatalogModel, index: int, request: Request | None) -> FitResult | None:
        try:
            return self._estimate.fit_catalog(model, model.files[index], request)
        except AppError:
            return None

    def _on_event(self, event: Event) -> None:
        match event:
            case HardwareReported():
                self._computed_for = ()
                self._refresh_if_moved()
            case MemoryMeasured():
                self._refresh_if_moved()
            case SettingChanged(key=key) if key in FIT_SETTINGS:
                self.refresh()
            case _:
                pass

    def _refresh_if_moved(self) -> None:
        report = self._report()
        if report is None:
            return
        now = (report.memory.available_bytes, *(gpu.free_bytes or 0 for gpu in report.gpus))
        before = self._computed_for
        if len(before) == len(now) and all(abs(a - b) < MEMORY_STEP_BYTES for a, b in zip(before, now, strict=True)):
            return
        self._computed_for = now
        self.refresh()

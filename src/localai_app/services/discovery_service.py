"""The catalog on this machine: what would run, and what to suggest."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import msgspec

from localai_app.catalog.model import Catalog, CatalogModel
from localai_app.catalog.sizes import with_sizes
from localai_app.catalog.tasks import Task
from localai_app.fit.quality import loss_words
from localai_app.fit.result import FitResult, Request
from localai_app.hardware.report import HardwareReport
from localai_app.services.background import BackgroundPool, Wishes
from localai_app.services.candidates import runs
from localai_app.services.catalog_rows import catalog_fits, catalog_row, catalog_rows
from localai_app.services.estimate_service import EstimateService
from localai_app.services.events import (
    Event,
    EventBus,
    HardwareReported,
    MeasurementsChanged,
    MemoryMeasured,
    ModelLoaded,
    SettingChanged,
    SizesLearned,
    SuggestionsChanged,
)
from localai_app.services.memory_band import MemoryBand, free_bytes
from localai_app.services.settings_service import SettingsService
from localai_app.services.suggest import same_suggestions, suggest
from localai_app.services.verdict_changes import VerdictChanges
from localai_app.services.views import DiscoveryRow, Suggestions, VariantRow

FIT_SETTINGS = ("context_tokens", "kv_type", "gpu_layers")
MEMORY_STEP_BYTES = 512 * 1024**2
"""Fits are computed anew only when free memory moved by more than this."""
MEMORY_INTERVAL_S = 3.0
"""And not more often than this, because a model that loads moves it all the time."""


class DiscoveryService:
    """Fits every model of the catalog in the background and keeps the answer."""

    def __init__(
        self, events: EventBus, pool: BackgroundPool, settings: SettingsService, catalog: Catalog, estimate: EstimateService,
        report: Callable[[], HardwareReport | None], credit: Callable[[Request], Request | None] = lambda request: request,
    ) -> None:
        """`credit` adds what the loaded model would give back; None while one is being loaded: free memory says little then."""
        self._settings = settings
        self._events = events
        self._catalog = catalog
        self._estimate = estimate
        self._report = report
        self._credit = credit
        self._lock = threading.Lock()
        self._wishes = Wishes(pool, self._compute)
        self._is_other = False
        """Whether something else than free memory changed, so that cards may be chosen anew."""
        self._rows: tuple[DiscoveryRow, ...] = ()
        self._suggestions: Suggestions | None = None
        self._band = MemoryBand()
        self._changes = VerdictChanges()
        self._computed_for: tuple[int, ...] = ()
        self._computed_machine: tuple[object, ...] | None = None
        self._memory_due_s = 0.0
        self._unsubscribe = events.subscribe(self._on_event)

    def close(self) -> None:
        """Compute no more; what is being computed ends within milliseconds."""
        self._unsubscribe()
        self._wishes.close()

    @property
    def suggestions(self) -> Suggestions | None:
        """The cards of the first page; None until the hardware is known."""
        return self._suggestions

    @property
    def task(self) -> Task:
        """What models are ranked for, as the settings say."""
        return Task(self._settings.text("task"))

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
            for file, fit in zip(
                model.files, catalog_fits(self._estimate, model, self.request(request), self._report()), strict=True))

    def request(self, wanted: Request | None = None) -> Request:
        """What is asked for (None: what the settings ask for), with the memory that the loaded model would give back."""
        asked = wanted or self._estimate.default_request()
        return self._credit(asked) or asked

    def with_change(self, asker: str, fit: FitResult, request: Request | None = None) -> FitResult:
        """The fit with a sentence of how much more or less memory is free, where its verdict changed a short while ago.

        `asker` names the model, its variant and the place that shows it.
        """
        wanted = request or self._estimate.default_request()
        asked = msgspec.structs.replace(wanted, credit_bytes=0, device_credits=())
        return self._changes.told(f"{asker} {asked}", fit)

    def refresh(self) -> None:
        """Compute again in the background; wishes that come while it computes are granted together, once."""
        self._wishes.wish()

    def compute_now(self, task: Task | None = None) -> Suggestions:
        """Compute in the calling thread, for `task` or the one in the settings; publishes SuggestionsChanged if that is new."""
        report = self._report()
        rows = self._rows_for(report, lambda _seconds: False) or ()
        if report is not None:
            self._band.is_left_by(report)
        return self._keep(rows, task or self.task, may_choose=True)

    def _compute(self) -> None:
        report = self._report()
        rows = self._rows_at_ease(report)
        if rows is not None:
            self._take(rows, report)

    def _rows_at_ease(self, report: HardwareReport | None) -> tuple[DiscoveryRow, ...] | None:
        """All rows for one report, at half speed. None: it is closing."""
        return self._rows_for(report, self._wishes.rest)

    def _rows_for(self, report: HardwareReport | None, rest: Callable[[float], bool]) -> tuple[DiscoveryRow, ...] | None:
        request = self.request()
        rows = catalog_rows(self._estimate, self._catalog.models, request, report, rest)
        return tuple(self._with_changes(row, request) for row in rows) if rows is not None else None

    def _take(self, rows: tuple[DiscoveryRow, ...], report: HardwareReport | None) -> Suggestions:
        """Keep new rows; the cards stay as they are while free memory only goes up and down a little."""
        has_moved = report is None or self._band.is_left_by(report)
        with self._lock:
            may_choose, self._is_other = self._is_other or has_moved, False
        return self._keep(rows, self.task, may_choose=may_choose)

    def _rank(self) -> None:
        """Choose cards for another task from the fits that are there; takes milliseconds."""
        if self._rows:
            self._keep(None, self.task, may_choose=True)

    def _keep(self, new_rows: tuple[DiscoveryRow, ...] | None, task: Task, *, may_choose: bool) -> Suggestions:
        with self._lock:
            rows, before = self._rows if new_rows is None else new_rows, self._suggestions
            shown = before.cards if before is not None and before.task is task else ()
            cards = None if may_choose else same_suggestions(rows, shown, task=task)
            suggestions = Suggestions(
                cards=suggest(rows, previous=shown, task=task) if cards is None else cards,
                runnable_count=sum(runs(row) for row in rows), total_count=len(rows), task=task)
            is_new = suggestions != before or rows != self._rows
            self._rows, self._suggestions = rows, suggestions
        if is_new:
            self._events.publish(SuggestionsChanged())
        return suggestions

    def _with_changes(self, row: DiscoveryRow, request: Request) -> DiscoveryRow:
        model = row.model
        return catalog_row(model, tuple(
            fit and self.with_change(f"{model.id}:{file.label}", fit, request)
            for file, fit in zip(model.files, row.fits, strict=True)))

    def _on_event(self, event: Event) -> None:
        match event:
            case HardwareReported() | MemoryMeasured():
                self._refresh_if_moved()
            case SettingChanged(key=key) if key in FIT_SETTINGS:
                self._is_other = True
                self.refresh()
            case ModelLoaded() | MeasurementsChanged():
                self.refresh()
            case SizesLearned(repo_id=repo_id, sizes=sizes):
                self._catalog = with_sizes(self._catalog, {repo_id.lower(): sizes})
                self.refresh()
            case SettingChanged(key="task"):
                self._rank()
            case _:
                pass

    def _refresh_if_moved(self) -> None:
        report = self._report()
        if report is None or self._credit(self._estimate.default_request()) is None:
            return
        machine = (report.system, report.cpu, report.memory.total_bytes, report.memory.bandwidth_bytes_per_s, report.notes, *(
            msgspec.structs.replace(gpu, free_bytes=None) for gpu in report.gpus))
        free = tuple(free_bytes(report))
        now_s = time.monotonic()
        if machine == self._computed_machine:
            moved = any(abs(now - before) >= MEMORY_STEP_BYTES for now, before in zip(free, self._computed_for, strict=True))
            if not moved or now_s < self._memory_due_s:
                return
        self._is_other = self._is_other or machine != self._computed_machine
        self._computed_machine, self._computed_for = machine, free
        self._memory_due_s = now_s + MEMORY_INTERVAL_S
        self.refresh()

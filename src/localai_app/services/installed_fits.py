"""How every installed model would run now, as it would be loaded: the badges of lists and menus."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from localai_app.errors import AppError
from localai_app.fit.result import FitResult
from localai_app.hardware.report import HardwareReport
from localai_app.services.background import BackgroundPool, Wishes
from localai_app.services.discovery_service import FIT_SETTINGS, MEMORY_STEP_BYTES
from localai_app.services.events import (
    EngineChanged,
    EngineFailed,
    Event,
    EventBus,
    HardwareReported,
    InstalledFitsChanged,
    LibraryChanged,
    LoadSettingsChanged,
    MeasurementsChanged,
    MemoryMeasured,
    ModelLoaded,
    SettingChanged,
)
from localai_app.services.library_service import LibraryService
from localai_app.services.load_previews import LoadPreview, LoadPreviews
from localai_app.services.memory_band import MemoryBand
from localai_app.services.verdict_changes import VerdictChanges
from localai_app.services.views import InstalledModel

_Stamp = tuple[tuple[Path, int, int], ...]


class InstalledFits:
    """Worked out in the background, from headers that are read once, whenever something changes that they depend on.

    Figures are those that are known at once; llama.cpp is not asked. `fit` may be called from the window's thread.
    """

    def __init__(
        self, events: EventBus, pool: BackgroundPool, library: LibraryService, previews: LoadPreviews,
        report: Callable[[], HardwareReport | None],
    ) -> None:
        self._events = events
        self._library = library
        self._previews = previews
        self._report = report
        self._wishes = Wishes(pool, self._compute)
        self._band = MemoryBand(MEMORY_STEP_BYTES // 2)
        self._changes = VerdictChanges()
        self._opened: dict[str, tuple[_Stamp, LoadPreview]] = {}
        self._fits: dict[str, FitResult] = {}
        self._is_put_off = False
        """Until a load under way is over, however it ends."""
        self._unsubscribe = events.subscribe(self._on_event)

    def close(self) -> None:
        """Compute no more."""
        self._unsubscribe()
        self._wishes.close()

    def fit(self, model_key: str) -> FitResult | None:
        """The newest fit of an installed model; None where none is known yet, or where its files are not usable."""
        return self._fits.get(model_key)

    def refresh(self) -> None:
        """Compute again in the background; wishes that come while it computes are granted together, once."""
        self._wishes.wish()

    def _compute(self) -> None:
        """All fits, at half speed: Python runs one thread at a time, and the window's must not have to wait for this one."""
        if self._report() is None:
            return
        self._is_put_off = True
        if self._previews.is_loading:
            return
        self._is_put_off = False
        fits: dict[str, FitResult] = {}
        models = self._library.models()
        for model in models:
            started_s = time.perf_counter()
            preview = self._preview(model)
            if preview is not None:
                asked = f"{model.key} {self._previews.remembered(model.key)} {self._previews.default_request()}"
                fits[model.key] = self._changes.told(asked, preview.fit())
            if self._wishes.rest(time.perf_counter() - started_s):
                return
        keys = {model.key for model in models}
        self._opened = {key: opened for key, opened in self._opened.items() if key in keys}
        if fits != self._fits:
            self._fits = fits
            self._events.publish(InstalledFitsChanged())

    def _preview(self, model: InstalledModel) -> LoadPreview | None:
        """The model with its headers, read again only where a file changed; None where a part is missing or not readable."""
        try:
            stamp = tuple((path, (status := path.stat()).st_size, status.st_mtime_ns) for path in model.paths)
            known = self._opened.get(model.key)
            if known is not None and known[0] == stamp:
                return known[1]
            preview = self._previews.of(model)
        except (AppError, OSError):
            return None
        self._opened[model.key] = (stamp, preview)
        return preview

    def _on_event(self, event: Event) -> None:
        match event:
            case (
                HardwareReported() | LibraryChanged() | LoadSettingsChanged() | ModelLoaded() | EngineFailed()
                | MeasurementsChanged()):
                self.refresh()
            case EngineChanged() if self._is_put_off and not self._previews.is_loading:
                self.refresh()
            case SettingChanged(key=key) if key in FIT_SETTINGS:
                self.refresh()
            case MemoryMeasured():
                report = self._report()
                if report is not None and self._band.is_left_by(report):
                    self.refresh()
            case _:
                pass

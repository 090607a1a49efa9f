"""How an installed model is to be loaded now: what `fit` chose, from llama.cpp's own plan, against the memory that is free."""

from __future__ import annotations

import msgspec

from localai_app import errors
from localai_app.errors import AppError
from localai_app.fit.result import Request, Verdict
from localai_app.services.engine_service import LoadPlan
from localai_app.services.estimate_service import EstimateService
from localai_app.services.library_service import LibraryService
from localai_app.services.settings_service import SettingsService
from localai_app.units import format_gib


class LoadPlanner:
    """Makes the plan of a load; what it says is used as it is."""

    def __init__(self, settings: SettingsService, library: LibraryService, estimate: EstimateService) -> None:
        self._settings = settings
        self._library = library
        self._estimate = estimate

    def plan(self, model_key: str, request: Request | None = None) -> LoadPlan:
        """How to load an installed model now; AppError if it is missing, damaged or too large for this machine."""
        model = self._library.get(model_key)
        result = self._estimate.fit_for_load(model, request)
        if result.load_options is None:
            if result.verdict is Verdict.NO:
                available = max((device.free_bytes for device in result.devices), default=0)
                raise AppError(
                    errors.MODEL_TOO_LARGE, name=model.name, needed=format_gib(result.total_bytes),
                    available=format_gib(available), detail="\n".join(result.reasons))
            raise AppError(errors.MODEL_LOAD_FAILED, name=model.name, reason="; ".join(result.reasons))
        options = msgspec.structs.replace(
            result.load_options, model_path=str(model.paths[0]), threads=self._settings.integer("threads"))
        return LoadPlan(model, options)

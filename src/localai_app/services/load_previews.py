"""What a load with other settings would need: what the load panel and the badges of installed models show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from localai_app.errors import AppError
from localai_app.fit.budgets import budgets_of
from localai_app.fit.decide import unknown_result
from localai_app.fit.result import FitResult, Request
from localai_app.gguf.dimensions import geometry_of
from localai_app.gguf.geometry import Geometry
from localai_app.gguf.header import GgufHeader
from localai_app.services.drafting import DraftPlanner
from localai_app.services.engine_service import EngineService
from localai_app.services.engine_slot import MAY_BE_TRIED
from localai_app.services.estimate_service import EstimateService
from localai_app.services.hardware_service import HardwareService
from localai_app.services.library_service import LibraryService
from localai_app.services.load_settings import LoadSettings, LoadSettingsService
from localai_app.services.memory_credit import credited
from localai_app.services.views import EngineStatus, InstalledModel


@dataclass(frozen=True, slots=True)
class LoadGpu:
    """A GPU that can be used or left alone. `id`: llama.cpp's name for it, or its own where llama.cpp was not asked."""

    id: str
    name: str
    free_bytes: int


@dataclass(frozen=True, slots=True)
class LoadFacts:
    """What is known of a model before it is loaded; 0 and None where its header does not tell."""

    model: InstalledModel
    ctx_train: int = 0
    layers: int = 0
    """Blocks plus one for the output head."""
    blocks_with_experts: int = 0
    chat_template: str = ""
    """The one in the file; empty where it has none."""
    draft_models: tuple[InstalledModel, ...] = ()
    """Installed models that may draft tokens for it, where that was asked for."""
    problem: AppError | None = None
    """Why its header tells nothing."""


class LoadPreviews:
    """Opens models for previews. Opening reads headers: not for the window's thread."""

    def __init__(
        self, library: LibraryService, estimate: EstimateService, hardware: HardwareService, load_settings: LoadSettingsService,
        engine: EngineService, drafts: DraftPlanner,
    ) -> None:
        self._library = library
        self._estimate = estimate
        self._hardware = hardware
        self._load_settings = load_settings
        self._engine = engine
        self._drafts = drafts

    @property
    def is_loading(self) -> bool:
        """Whether a model is being loaded: free memory says little then."""
        return self._engine.state.status is EngineStatus.LOADING

    def open(self, model_key: str) -> LoadPreview:
        """An installed model or a .gguf path; AppError if it is not there, not whole, or no GGUF file at all."""
        preview = self.of(self._library.get(model_key))
        draft_models = self._drafts.candidates(preview.facts.model)
        return LoadPreview(self, replace(preview.facts, draft_models=draft_models), preview.headers)

    def of(self, model: InstalledModel) -> LoadPreview:
        """The same for a model of the library's list."""
        try:
            headers = self._estimate.headers_of(model)
            geometry = geometry_of(headers[0])
        except AppError as error:
            if error.spec not in MAY_BE_TRIED:
                raise
            return LoadPreview(self, LoadFacts(model, problem=error), ())
        return LoadPreview(self, _facts(model, geometry, headers[0].chat_template), headers)

    def remembered(self, model_key: str) -> LoadSettings:
        """What is remembered for a model."""
        return self._load_settings.get(model_key)

    def default_request(self) -> Request:
        """What the program's settings ask for."""
        return self._estimate.default_request()

    def gpus(self) -> tuple[LoadGpu, ...]:
        """The GPUs that the engine can use on this computer, as far as it was looked at."""
        report = self._hardware.report
        if report is None:
            return ()
        return tuple(
            LoadGpu(budget.engine_name or budget.name, budget.name, budget.free_bytes)
            for group in budgets_of(report).groups for budget in group)

    def fit(self, preview: LoadPreview, settings: LoadSettings, *, asks_engine: bool) -> FitResult:
        """The fit of an opened model with the memory that is free, and that of loaded models, which can make room, besides."""
        request = credited(settings.applied_to(self.default_request()), self._engine.loaded())
        if preview.facts.problem is not None:
            return unknown_result(preview.facts.problem.message, request)
        try:
            draft = self._drafts.plan(preview.facts.model, request)
            if draft is not None:
                request = draft.room_in(request)
            result = self._estimate.fit_headers(preview.facts.model, preview.headers, request, asks_engine=asks_engine)
            return result if draft is None else draft.told_in(result)
        except AppError as error:
            return unknown_result(error.message, request)


class LoadPreview:
    """One model about to be loaded."""

    def __init__(self, previews: LoadPreviews, facts: LoadFacts, headers: Sequence[GgufHeader]) -> None:
        self._previews = previews
        self.facts = facts
        self.headers = tuple(headers)

    def fit(self, settings: LoadSettings | None = None) -> FitResult:
        """At once (milliseconds), from what is known; `settings` None: those that are remembered."""
        return self._previews.fit(self, self._chosen(settings), asks_engine=False)

    def fit_as_planned(self, settings: LoadSettings | None = None) -> FitResult:
        """After llama.cpp was asked what it would allocate; may take a second."""
        return self._previews.fit(self, self._chosen(settings), asks_engine=True)

    def _chosen(self, settings: LoadSettings | None) -> LoadSettings:
        return self._previews.remembered(self.facts.model.key) if settings is None else settings


def credited_now(request: Request, engine: EngineService) -> Request | None:
    """A request that counts what all loaded models would give back; None while a model is being loaded."""
    return None if engine.state.status is EngineStatus.LOADING else credited(request, engine.loaded())


def _facts(model: InstalledModel, geometry: Geometry, chat_template: str) -> LoadFacts:
    return LoadFacts(
        model, ctx_train=geometry.ctx_train, layers=geometry.n_layer + 1,
        blocks_with_experts=geometry.blocks_with_experts, chat_template=chat_template)

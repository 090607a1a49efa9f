"""How an installed model is to be loaded now: what `fit` chose, from llama.cpp's own plan, against the memory that is free."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from localai_app import errors
from localai_app.engine.protocol import LoadOptions
from localai_app.engine.tuning import Tuning
from localai_app.errors import AppError
from localai_app.fit.result import DeviceNeed, FitResult, Request, Verdict
from localai_app.gguf.dimensions import geometry_of
from localai_app.services.drafting import DraftPlanner
from localai_app.services.engine_slot import MAY_BE_TRIED
from localai_app.services.estimate_service import EstimateService
from localai_app.services.library_service import LibraryService
from localai_app.services.load_ladder import LadderFacts
from localai_app.services.load_settings import LoadSettingsService
from localai_app.services.load_way import LoadPlan
from localai_app.services.memory_credit import credited
from localai_app.services.settings_service import SettingsService
from localai_app.services.tuning_memory import TuningMemory
from localai_app.services.views import InstalledModel, LoadedModel
from localai_app.units import format_gib


class LoadPlanner:
    """Makes the plan of a load; what it says is used as it is."""

    def __init__(
        self, settings: SettingsService, library: LibraryService, estimate: EstimateService, load_settings: LoadSettingsService,
        tuning: TuningMemory, drafts: DraftPlanner,
    ) -> None:
        self._settings = settings
        self._library = library
        self._estimate = estimate
        self._load_settings = load_settings
        self._tuning = tuning
        self._drafts = drafts

    def request_for(self, model_key: str) -> Request:
        """How an installed model is asked to be loaded: as remembered for it, and else as the program's settings say.

        A step has as many tokens as were fastest when the model was measured here.
        """
        request = self._load_settings.get(model_key).applied_to(self._estimate.default_request())
        measured = self._tuning.all_of(self._library.get(model_key))
        ubatch = next((known.tuning.ubatch for known in measured if known.tuning.ubatch), request.ubatch)
        return msgspec.structs.replace(request, ubatch=ubatch)

    def plan(
        self, model_key: str, request: Request | None = None, *, anyway: bool = False,
        instead_of: Sequence[LoadedModel] = (),
    ) -> LoadPlan:
        """How to load an installed model now; AppError if it is missing, damaged or too large for this machine.

        `request` None: as remembered for it. `instead_of`: what these models hold counts as free. `anyway`:
        a model that is too large or whose header cannot be read is given to the engine as the request says, without layers
        on a GPU unless it names a number.
        """
        model = self._library.get(model_key)
        asked = request or self.request_for(model.key)
        wanted = credited(asked, instead_of)
        draft = self._drafts.plan(model, wanted)
        if draft is not None:
            wanted = draft.room_in(wanted)
        try:
            result = self._estimate.fit_for_load(model, wanted)
        except AppError as error:
            if not anyway or error.spec not in MAY_BE_TRIED:
                raise
            return self._blind_plan(model, wanted, ())
        if result.load_options is None:
            if not anyway:
                raise refusal(model, wanted, result)
            return self._blind_plan(model, wanted, result.devices)
        options = self._here(result.load_options, model)
        if draft is not None:
            options, result = draft.applied_to(options), draft.told_in(result)
        return LoadPlan(model, options, result, lambda: self._ladder_facts(model, asked))

    def _blind_plan(self, model: InstalledModel, request: Request, devices: Sequence[DeviceNeed]) -> LoadPlan:
        """Without any fact of the model: what was asked for, and else what every computer can do.

        A GPU that is to be left alone is: where llama.cpp's names of the others are not known, none is used.
        """
        layers = max(0, request.gpu_layers or 0)
        others = tuple(device.engine_name for device in devices if device.engine_name) if request.excluded_devices else ()
        if request.excluded_devices and not others:
            layers = 0
        options = LoadOptions(
            model_path="", ctx=request.ctx or request.default_ctx, gpu_layers=layers, kv_type=request.kv_type,
            ubatch=max(1, request.ubatch), devices=others, cpu_expert_blocks=request.experts_on_cpu or 0 if layers else 0)
        return LoadPlan(model, self._here(options, model), facts=lambda: self._ladder_facts(model, request))

    def _ladder_facts(self, model: InstalledModel, request: Request) -> LadderFacts:
        """What somebody chose for this model, and what its header says of it as far as it can be read."""
        remembered, usual = self._load_settings.get(model.key), self._estimate.default_request()
        fixed = {name for name, value in (
            ("ctx", request.ctx), ("gpu_layers", request.gpu_layers), ("cpu_expert_blocks", request.experts_on_cpu),
            ("kv_type", remembered.kv_type)) if value is not None}
        if request.kv_type is not usual.kv_type:
            fixed.add("kv_type")
        try:
            geometry = geometry_of(self._estimate.headers_of(model)[0])
        except AppError:
            return LadderFacts(frozenset(fixed))
        return LadderFacts(frozenset(fixed), geometry.ctx_train, geometry.blocks_with_experts)

    def _here(self, options: LoadOptions, model: InstalledModel) -> LoadOptions:
        """The options for this computer: with the threads that somebody chose, or else those that were measured as fastest."""
        threads, known = self._settings.integer("threads"), self._tuning.find(model, options)
        measured = known.tuning if known is not None and not threads else Tuning()
        return msgspec.structs.replace(
            options, model_path=str(model.paths[0]), threads=threads or measured.threads,
            prompt_threads=measured.prompt_threads, chat_template=self._load_settings.get(model.key).chat_template)


def refusal(model: InstalledModel, request: Request, result: FitResult) -> AppError:
    """Why a model is not loaded, for a fit without load options: of its own size, or of what was set for it."""
    is_set = any(value is not None for value in (request.ctx, request.gpu_layers, request.experts_on_cpu))
    if result.verdict is Verdict.NO and is_set and result.reasons:
        reason = result.reasons[0].removesuffix(".")
        return AppError(
            errors.LOAD_SETTINGS_DO_NOT_FIT, name=model.name, reason=reason[0].lower() + reason[1:],
            detail="\n".join(result.reasons))
    if result.verdict is Verdict.NO:
        usable = [(max(0, device.free_bytes - device.reserve_bytes), device.shares_host) for device in result.devices]
        together = sum(size for size, shares_host in usable if not shares_host)
        available = max([together, *(size for size, _shares_host in usable)])
        return AppError(
            errors.MODEL_TOO_LARGE, name=model.name, needed=format_gib(result.total_bytes), available=format_gib(available),
            detail="\n".join(result.reasons))
    return AppError(errors.MODEL_LOAD_FAILED, name=model.name, reason="; ".join(result.reasons))

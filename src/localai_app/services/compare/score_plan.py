"""How two models are loaded at once into one worker."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from localai_app import errors
from localai_app.engine.load_options import LoadOptions
from localai_app.errors import AppError
from localai_app.services.load_planner import LoadPlanner
from localai_app.services.load_way import LoadPlan
from localai_app.units import format_gib


class ScorePlanner:
    """Plans with what `fit` says of each model alone. `free_bytes`: main memory that is free now."""

    def __init__(self, planner: LoadPlanner, free_bytes: Callable[[], int]) -> None:
        self._planner = planner
        self._free_bytes = free_bytes

    def attempts(self, reference_key: str, variant_key: str, ctx: int) -> tuple[tuple[LoadOptions, LoadOptions], ...]:
        """Options for reference and variant, the best first; the next ones are for where GPUs have no room for both.

        AppError where one of them cannot be loaded, or main memory does not hold both.
        """
        reference, variant = self._plan(reference_key, ctx), self._plan(variant_key, ctx)
        on_cpu = [msgspec.structs.replace(plan.options, gpu_layers=0, cpu_expert_blocks=0) for plan in (reference, variant)]
        if not reference.options.gpu_layers and not variant.options.gpu_layers:
            self._require_room(reference, variant)
            return ((reference.options, variant.options),)
        found = [(reference.options, variant.options), (on_cpu[0], variant.options), (on_cpu[0], on_cpu[1])]
        return tuple(dict.fromkeys(found))

    def _plan(self, model_key: str, ctx: int) -> LoadPlan:
        return self._planner.plan(model_key, msgspec.structs.replace(self._planner.request_for(model_key), ctx=ctx))

    def _require_room(self, reference: LoadPlan, variant: LoadPlan) -> None:
        if reference.fit is None or variant.fit is None:
            return
        needed, free = reference.fit.total_bytes + variant.fit.total_bytes, self._free_bytes()
        if needed > free:
            raise AppError(
                errors.LOSS_TOO_LARGE, reference=reference.model.label or reference.model.name,
                variant=variant.model.label or variant.model.name, needed=format_gib(needed), free=format_gib(free))

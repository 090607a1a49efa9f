"""How each contestant is to be loaded on this computer now, and what it takes: the facts that a schedule is made from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from localai_app import errors
from localai_app.compare.comparison import ComparisonSpec, Schedule, Way
from localai_app.compare.contestant import Contestant
from localai_app.compare.schedule import PROCESSOR, ContestantNeed, DeviceUse
from localai_app.engine.protocol import LoadOptions
from localai_app.errors import AppError
from localai_app.fit.result import FitResult
from localai_app.services.load_planner import LoadPlanner
from localai_app.services.load_way import LoadPlan
from localai_app.services.views import InstalledModel, LoadedModel
from localai_app.units import MIB, format_gib

WORKER_BYTES = 64 * MIB
"""What a worker takes before it has loaded anything (46 MiB measured), and what answers add to the plan of a load."""


@dataclass(frozen=True, slots=True)
class PlannedContestant:
    """One contestant: how it is loaded, or why it cannot be."""

    need: ContestantNeed
    plan: LoadPlan | None = None
    error: AppError | None = None

    @property
    def reason(self) -> str:
        """Why it cannot be loaded, and what to do; empty where it can."""
        return f"{self.error.message} {self.error.action}" if self.error is not None else ""


def compared_options(options: LoadOptions, schedule: Schedule, place: int) -> LoadOptions:
    """Planned options with the contestant's share of the threads; nothing of an answer is kept for later ones."""
    options = msgspec.structs.replace(options, kept_bytes=0, starts_empty=True)
    if schedule.way is Way.SIDE_BY_SIDE:
        options = msgspec.structs.replace(options, threads=schedule.threads[place], prompt_threads=0)
    return options


class ContestantPlanner:
    """Plans contestants, each as if it had the computer for itself; slow where llama.cpp has to be asked."""

    def __init__(self, planner: LoadPlanner, rest: Callable[[], None] = lambda: None) -> None:
        """`rest` ends the worker that llama.cpp plans in, which would take memory while models answer."""
        self._planner = planner
        self._rest = rest

    def plan(
        self, spec: ComparisonSpec, limit_bytes: int, instead_of: Sequence[LoadedModel] = (),
    ) -> tuple[PlannedContestant, ...]:
        """All of them, by their places. `limit_bytes`: more than this none of them may take; 0: no limit.

        `instead_of`: what these models hold counts as free.
        """
        planned = tuple(self._planned(contestant, spec, limit_bytes, instead_of) for contestant in spec.contestants)
        self._rest()
        return planned

    def _planned(
        self, contestant: Contestant, spec: ComparisonSpec, limit_bytes: int, instead_of: Sequence[LoadedModel],
    ) -> PlannedContestant:
        own = contestant.settings
        try:
            request = self._planner.request_for(contestant.model_key)
            ctx = own.ctx if own.ctx is not None else spec.ctx
            plan = self._planner.plan(contestant.model_key, msgspec.structs.replace(
                request, ctx=ctx if ctx is not None else request.ctx,
                kv_type=own.kv_type if own.kv_type is not None else request.kv_type,
                gpu_layers=own.gpu_layers if own.gpu_layers is not None else request.gpu_layers), instead_of=instead_of)
        except AppError as error:
            return PlannedContestant(ContestantNeed(problem=error.message), error=error)
        need = need_of(plan)
        if limit_bytes and need.total_bytes > limit_bytes:
            over = AppError(
                errors.OVER_MEMORY_LIMIT, name=plan.model.name, needed=format_gib(need.total_bytes),
                limit=format_gib(limit_bytes))
            return PlannedContestant(ContestantNeed(problem=over.message), error=over)
        return PlannedContestant(need, plan)


def need_of(plan: LoadPlan) -> ContestantNeed:
    """What a planned load takes and how fast it is alone: as it was when it was last used, else as predicted."""
    devices = plan.fit.devices if plan.fit is not None else ()
    uses = tuple(
        DeviceUse(
            PROCESSOR if device.kind == "cpu" else device.engine_name or device.name,
            device.total_bytes + (WORKER_BYTES if device.kind == "cpu" else 0),
            max(0, device.free_bytes - device.reserve_bytes), computes=bool(device.layers or device.expert_blocks),
            shares_host=device.shares_host)
        for device in devices if device.kind == "cpu" or device.total_bytes > 0)
    return ContestantNeed(uses, speed_alone(plan.model, plan.fit), plan.options.threads)


def speed_alone(model: InstalledModel, fit: FitResult | None) -> float | None:
    """Tokens per second; None where nothing tells."""
    if model.tps:
        return model.tps
    speed = fit.speed if fit is not None else None
    if speed is None or not speed.low or not speed.high:
        return None
    return math.sqrt(speed.low * speed.high)

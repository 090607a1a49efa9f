"""The verdict: where a model runs on this computer, with which context, and how it is to be loaded."""

from __future__ import annotations

from dataclasses import dataclass

from localai_app.engine.protocol import KvType, LoadOptions
from localai_app.fit.budgets import Budget, Budgets, budgets_of
from localai_app.fit.explain import Explanation, explain
from localai_app.fit.gpu_table import GpuTable
from localai_app.fit.kv_cache import CELL_STEP
from localai_app.fit.memory import ModelMemory
from localai_app.fit.placement import Placement, Placer, Share, longest_context
from localai_app.fit.result import (
    Basis,
    DeviceNeed,
    FitResult,
    Request,
    SpeedBasis,
    SpeedRange,
    Subject,
    Verdict,
)
from localai_app.fit.speed import estimate_speed
from localai_app.hardware.report import HardwareReport

SHORTEST_CTX = 4096
"""A context that nobody asked for is not shortened below this many tokens."""
LONGEST_CTX = 1_048_576
"""Where the model does not say what it was trained for."""
_UNKNOWN_SPEED = SpeedRange(low=None, high=None, basis=SpeedBasis.UNKNOWN)
_RANK = {Verdict.GPU: 3, Verdict.GPU_PARTIAL: 2, Verdict.CPU: 1}


@dataclass(frozen=True, slots=True)
class _Choice:
    verdict: Verdict
    placement: Placement


def decide(hardware: HardwareReport, subject: Subject, request: Request, gpus: GpuTable) -> FitResult:
    """Where the model would run with the memory that is free now. Pure and quick; never raises for odd figures.

    A context that the request leaves open starts at `default_ctx` and is shortened, to 4,096 tokens at the least, where
    that keeps all layers on the GPU or lets the model run at all. `gpu_layers` is honoured as it is. `max_ctx` is the
    longest context with the same verdict (where it does not run: with which it runs at all).
    """
    missing = _missing(hardware, subject, request.kv_type)
    if missing:
        return unknown_result(missing, request, subject.basis)
    memory = ModelMemory(subject.geometry, subject.weights, max(1, request.ubatch), subject.planned)
    budgets = budgets_of(hardware, request.credit_bytes)
    return _Decision(memory, budgets, request).result(hardware, subject, gpus)


def unknown_result(reason: str, request: Request, basis: Basis = Basis.HEADER) -> FitResult:
    """The answer where nothing can be computed, such as for a header that was refused; `reason` is a whole sentence."""
    return FitResult(
        verdict=Verdict.UNKNOWN, basis=basis, ctx=request.ctx or request.default_ctx, kv_type=request.kv_type, weights_bytes=0,
        kv_bytes=0, compute_bytes=0, total_bytes=0, devices=(), max_ctx={kv_type.value: 0 for kv_type in KvType},
        speed=_UNKNOWN_SPEED, reasons=(reason,))


def _missing(hardware: HardwareReport, subject: Subject, kv_type: KvType) -> str:
    if not subject.weights.layers_bytes or subject.weights.file_bytes <= 0:
        return "The sizes of this model's layers are not known, so its memory cannot be computed."
    if hardware.memory.total_bytes <= 0:
        return "The main memory of this computer could not be measured."
    if subject.planned is not None and kv_type in subject.planned.refused:
        return f"llama.cpp cannot store the context of this model as {kv_type.value}; choose another type of cache."
    return ""


class _Decision:
    """One question, answered step by step."""

    def __init__(self, memory: ModelMemory, budgets: Budgets, request: Request) -> None:
        self._placer = Placer(memory, budgets.host)
        self._budgets = budgets
        self._request = request
        self._trained = memory.geometry.ctx_train or LONGEST_CTX
        wanted = request.ctx if request.ctx is not None else request.default_ctx
        self._target = max(1, min(wanted, self._trained))
        self._shortest = self._target if request.ctx is not None else min(SHORTEST_CTX, self._target)
        self._sets = [chosen for group in budgets.groups for chosen in _gpu_sets(group)]
        layers = request.gpu_layers
        self._fixed = None if layers is None or not self._sets else max(0, min(layers, self._placer.all_layers))

    def result(self, hardware: HardwareReport, subject: Subject, gpus: GpuTable) -> FitResult:
        """The whole answer."""
        choice = self._choose()
        placement = choice.placement
        max_ctx = {kv_type.value: self._max_ctx(choice.verdict, kv_type) for kv_type in KvType}
        runs = choice.verdict is not Verdict.NO
        memory = self._placer.memory
        speed = estimate_speed(placement, memory, subject.label, hardware, gpus) if runs else _UNKNOWN_SPEED
        reasons, remedies = explain(Explanation(
            choice.verdict, placement, self._placer, self._budgets, self._request, subject, max_ctx, speed, self._fixed))
        shares = _with_idle(placement, self._budgets)
        return FitResult(
            verdict=choice.verdict, basis=_basis(subject, placement, memory), ctx=placement.ctx, kv_type=placement.kv_type,
            weights_bytes=sum(share.weights_bytes for share in shares), kv_bytes=sum(share.kv_bytes for share in shares),
            compute_bytes=sum(share.compute_bytes for share in shares), total_bytes=placement.total_bytes,
            devices=tuple(_need(share) for share in shares), max_ctx=max_ctx, speed=speed, reasons=reasons, remedies=remedies,
            load_options=_load_options(placement, self._budgets, subject, self._request) if runs else None)

    def _choose(self) -> _Choice:
        kv_type = self._request.kv_type
        if self._fixed is None:
            return self._on_gpu() or self._partly() or self._on_cpu()
        if self._fixed == 0:
            return self._on_cpu()
        verdict = Verdict.GPU if self._fixed == self._placer.all_layers else Verdict.GPU_PARTIAL
        placed = self._longest_placed(self._fixed)
        return _Choice(verdict, placed) if placed else _Choice(Verdict.NO, self._placer.on_cpu(self._shortest, kv_type))

    def _on_gpu(self) -> _Choice | None:
        placed = self._longest_placed(self._placer.all_layers)
        return _Choice(Verdict.GPU, placed) if placed else None

    def _partly(self) -> _Choice | None:
        """At the context that was wanted if main memory allows it: a shorter one wins a layer or two, no more."""
        kv_type = self._request.kv_type
        ctx = longest_context(lambda ctx: self._partly_fits(ctx, kv_type), self._shortest, self._target)
        if not ctx:
            return None
        plans = [plan for chosen in self._sets if (plan := self._placer.most(chosen, ctx, kv_type)) is not None]
        return _Choice(Verdict.GPU_PARTIAL, max(plans, key=lambda plan: plan.gpu_layers)) if plans else None

    def _on_cpu(self) -> _Choice:
        kv_type = self._request.kv_type
        ctx = longest_context(lambda ctx: self._placer.fits_on_cpu(ctx, kv_type), self._shortest, self._target)
        verdict = Verdict.CPU if ctx else Verdict.NO
        return _Choice(verdict, self._placer.on_cpu(ctx or self._shortest, kv_type))

    def _longest_placed(self, gpu_layers: int) -> Placement | None:
        """That many layers on as few GPUs as do it, with the longest context up to the wanted one."""
        kv_type = self._request.kv_type
        for ctx_wanted in dict.fromkeys((self._target, self._shortest)):
            for chosen in self._sets:
                if not self._placer.fits(chosen, gpu_layers, ctx_wanted, kv_type):
                    continue
                ctx = longest_context(
                    lambda ctx, chosen=chosen: self._placer.fits(chosen, gpu_layers, ctx, kv_type),  # type: ignore[misc]
                    ctx_wanted, self._target)
                return self._placer.with_layers(chosen, gpu_layers, ctx, kv_type)
        return None

    def _max_ctx(self, verdict: Verdict, kv_type: KvType) -> int:
        planned = self._placer.memory.planned
        if planned is not None and kv_type in planned.refused:
            return 0
        rank = _RANK.get(verdict, 1)
        shortest = min(CELL_STEP, self._trained)
        return longest_context(lambda ctx: self._reaches(rank, ctx, kv_type), shortest, self._trained)

    def _reaches(self, rank: int, ctx: int, kv_type: KvType) -> bool:
        """Whether the verdict at this context is at least of that rank."""
        if self._fixed:
            return self._fits_somewhere(self._fixed, ctx, kv_type)
        if self._fixed is None and self._fits_somewhere(self._placer.all_layers, ctx, kv_type):
            return True
        if rank == _RANK[Verdict.GPU]:
            return False
        if self._fixed is None and self._partly_fits(ctx, kv_type):
            return True
        return rank == _RANK[Verdict.CPU] and self._placer.fits_on_cpu(ctx, kv_type)

    def _fits_somewhere(self, gpu_layers: int, ctx: int, kv_type: KvType) -> bool:
        return any(self._placer.fits(chosen, gpu_layers, ctx, kv_type) for chosen in self._sets)

    def _partly_fits(self, ctx: int, kv_type: KvType) -> bool:
        return any(self._placer.fits(chosen, None, ctx, kv_type) for chosen in self._sets)


def _gpu_sets(group: tuple[Budget, ...]) -> list[tuple[Budget, ...]]:
    """The GPUs to try together: the one with most room, the two with most room, and so on; each set in device order."""
    by_room = sorted(range(len(group)), key=lambda index: -group[index].usable_bytes)
    return [tuple(group[index] for index in sorted(by_room[:count])) for count in range(1, len(group) + 1)]


def _with_idle(placement: Placement, budgets: Budgets) -> tuple[Share, ...]:
    """The plan's devices, and the GPUs that it leaves alone."""
    used = [share.budget for share in placement.gpus]
    idle = [budget for group in budgets.groups for budget in group if not any(budget is other for other in used)]
    return (*placement.gpus, *(Share(budget, 0, 0, False, 0, 0, 0) for budget in idle), placement.host)


def _basis(subject: Subject, placement: Placement, memory: ModelMemory) -> Basis:
    """Where the figures come from: llama.cpp's plan counts where it was asked for the devices and the KV type in use."""
    planned = memory.planned
    if planned is not None and planned.covers(placement.kv_type, on_gpu=bool(placement.gpus)):
        return Basis.DRY_RUN
    return subject.basis


def _need(share: Share) -> DeviceNeed:
    budget = share.budget
    return DeviceNeed(
        name=budget.name, kind=budget.kind, layers=share.layers, weights_bytes=share.weights_bytes, kv_bytes=share.kv_bytes,
        compute_bytes=share.compute_bytes, free_bytes=budget.free_bytes, reserve_bytes=budget.reserve_bytes,
        total_bytes=share.total_bytes, capacity_bytes=budget.total_bytes)


def _load_options(placement: Placement, budgets: Budgets, subject: Subject, request: Request) -> LoadOptions:
    """What the worker is told. GPUs are named where llama.cpp was asked; else a split of zero leaves one out."""
    used = [share.budget for share in placement.gpus]
    group = next((group for group in budgets.groups if used and any(used[0] is budget for budget in group)), ())
    layers_of = {id(share.budget): float(share.layers) for share in placement.gpus}
    devices: tuple[str, ...] = ()
    split: tuple[float, ...] = ()
    if used and all(budget.engine_name for budget in used):
        devices = tuple(budget.engine_name for budget in used)
        split = tuple(layers_of[id(budget)] for budget in used) if len(used) > 1 else ()
    elif len(group) > 1:
        split = tuple(layers_of.get(id(budget), 0.0) for budget in group)
    return LoadOptions(
        model_path=subject.model_path, ctx=placement.ctx, gpu_layers=placement.gpu_layers, kv_type=placement.kv_type,
        ubatch=max(1, request.ubatch), devices=devices, tensor_split=split)

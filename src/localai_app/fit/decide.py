"""The verdict: where a model runs on this computer, with which context, and how it is to be loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from localai_app.engine.protocol import KvType, LoadOptions
from localai_app.fit.budgets import Budgets, budgets_of
from localai_app.fit.calibration import NO_CALIBRATION, Calibration, Run
from localai_app.fit.choice import LONGEST_CTX, SHORTEST_CTX, Choice, Chooser
from localai_app.fit.exact import ExactPlan, with_plan
from localai_app.fit.explain import Explanation, reasons_of
from localai_app.fit.gpu_table import GpuTable
from localai_app.fit.memory import ModelMemory
from localai_app.fit.remedies import remedies_of
from localai_app.fit.result import (
    Basis,
    DeviceNeed,
    FitResult,
    Request,
    Subject,
    Verdict,
)
from localai_app.fit.shares import Placement, Share
from localai_app.fit.speed import UNKNOWN_SPEED, speed_parts, speed_range
from localai_app.fit.speed_parts import SpeedParts
from localai_app.gguf.rearranged import rearranging_of
from localai_app.hardware.report import Cpu, HardwareReport
from localai_app.units import GIB, format_gib

__all__ = ["LONGEST_CTX", "SHORTEST_CTX", "Machine", "decide", "decide_on", "machine_of", "memory_of", "unknown_result"]

_MOST_KEPT_BYTES = 2 * GIB
"""Two conversations of 8,000 tokens with an 8B model (128 KiB a token), or some thirty with a 1B one."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A computer as plans see it; made once for many models that are asked about with the same wishes."""

    hardware: HardwareReport
    budgets: Budgets
    gpus: GpuTable
    calibration: Calibration = NO_CALIBRATION


def machine_of(
    hardware: HardwareReport, request: Request, gpus: GpuTable, surcharges: Sequence[tuple[str, int]] = (),
    calibration: Calibration = NO_CALIBRATION,
) -> Machine:
    """The computer for a request: its replaced model's memory is free, its excluded GPUs are left out.

    `surcharges`: (llama.cpp's name of a GPU, empty for main memory; bytes) that a plan took beyond the formulas.
    `calibration`: what was measured on it.
    """
    budgets = calibrated_budgets(budgets_of(hardware, request, surcharges), calibration)
    return Machine(hardware, budgets, gpus, calibration)


def memory_of(subject: Subject, request: Request, cpu: Cpu) -> ModelMemory:
    """What a model takes by place: whatever is free, so it can be kept for the next question about the same processor."""
    return ModelMemory(
        subject.geometry, subject.weights, max(1, request.ubatch), subject.planned, rearranging_of(cpu.instruction_sets))


def decide(
    hardware: HardwareReport, subject: Subject, request: Request, gpus: GpuTable, calibration: Calibration = NO_CALIBRATION,
) -> FitResult:
    """Where the model would run with the memory that is free now. Pure and quick; never raises for odd figures.

    A context that the request leaves open starts at `default_ctx` and is shortened, to 4,096 tokens at the least, where that
    keeps all layers on the GPU or lets the model run at all. What the request fixes is honoured, the rest is planned around
    it. `max_ctx` is the longest context with the same verdict (where it does not run: with which it runs at all).
    """
    return decide_on(machine_of(hardware, request, gpus, calibration=calibration), subject, request)


def decide_on(
    machine: Machine, subject: Subject, request: Request, *, memory: ModelMemory | None = None, exact: ExactPlan | None = None,
) -> FitResult:
    """The same on a computer that was made for this request. `memory`: from `memory_of`, where it was kept.

    `exact`: llama.cpp's plan of the load that will be chosen; its figures replace the formulas' if it is of that load.
    """
    missing = _missing(machine.hardware, subject, request.kv_type)
    if missing:
        return unknown_result(missing, request, subject.basis)
    chooser = Chooser(memory or memory_of(subject, request, machine.hardware.cpu), machine.budgets, request)
    choice = chooser.choose()
    runs = choice.verdict is not Verdict.NO
    options = _load_options(choice.placement, machine.budgets, subject) if runs else None
    if exact is not None and options is not None and exact.is_of(options):
        planned = with_plan(choice.placement, exact, subject.weights.projector_bytes)
        choice = choice if planned is None else Choice(choice.verdict, planned, choice.placer)
    if runs and (uncounted := _uncounted(subject, choice)):
        return unknown_result(uncounted, request, subject.basis)
    max_ctx = {kv_type.value: ctx for kv_type, ctx in chooser.limits(choice.verdict).items()}
    parts = None
    if runs:
        parts = speed_parts(choice.placement, choice.placer.memory, subject.label, machine.hardware, machine.gpus)
    corrected = machine.calibration.speed(_run(choice, options, subject, machine.hardware.cpu), parts)
    speed = UNKNOWN_SPEED
    if runs and corrected.parts is not None:
        speed = speed_range(corrected.parts, choice.placement.ctx, basis=corrected.basis)
    told = Explanation(
        choice, chooser, machine.budgets, request, subject, max_ctx, speed, corrected.reason if runs else "")
    return _result(told, options, parts)


def calibrated_budgets(budgets: Budgets, calibration: Calibration) -> Budgets:
    """The budgets with what earlier loads on these devices took beyond llama.cpp's buffers."""
    if not calibration.has_loads:
        return budgets
    groups = tuple(
        tuple(
            replace(budget, overhead_bytes=calibration.gpu_overhead_bytes(budget.name, budget.overhead_bytes))
            for budget in group)
        for group in budgets.groups)
    host_bytes = calibration.host_overhead_bytes(has_gpu=bool(groups))
    return replace(budgets, host=replace(budgets.host, overhead_bytes=host_bytes), groups=groups)


def _run(choice: Choice, options: LoadOptions | None, subject: Subject, cpu: Cpu) -> Run:
    return Run(
        model_key=subject.key, processor=cpu.model, gpus=tuple(share.budget.name for share in choice.placement.gpus),
        place=choice.verdict.value, gpu_layers=options.gpu_layers if options is not None else 0,
        kv_type=choice.placement.kv_type.value, expert_blocks=options.cpu_expert_blocks if options is not None else 0)


def unknown_result(reason: str, request: Request, basis: Basis = Basis.HEADER) -> FitResult:
    """The answer where nothing can be computed, such as for a header that was refused; `reason` is a whole sentence."""
    return FitResult(
        verdict=Verdict.UNKNOWN, basis=basis, ctx=request.ctx or request.default_ctx, kv_type=request.kv_type, weights_bytes=0,
        kv_bytes=0, compute_bytes=0, total_bytes=0, devices=(), max_ctx={kv_type.value: 0 for kv_type in KvType},
        speed=UNKNOWN_SPEED, reasons=(reason,))


def _missing(hardware: HardwareReport, subject: Subject, kv_type: KvType) -> str:
    if not subject.weights.layers_bytes or subject.weights.file_bytes <= 0:
        return "The sizes of this model's layers are not known, so its memory cannot be computed."
    if hardware.memory.total_bytes <= 0:
        return "The main memory of this computer could not be measured."
    if subject.planned is not None and kv_type in subject.planned.refused:
        return f"llama.cpp cannot store the context of this model as {kv_type.value}; choose another type of cache."
    return ""


def _uncounted(subject: Subject, choice: Choice) -> str:
    """Why it is not known that a model runs whose counted parts find room: only llama.cpp knows the others."""
    if not subject.geometry.unknown_parts or _basis(subject, choice) is Basis.DRY_RUN:
        return ""
    return (
        f"At least {format_gib(choice.placement.total_bytes)} are needed, and there is room for that. How much "
        f"{' and '.join(subject.geometry.unknown_parts)} take beyond is not known before llama.cpp has planned the load.")


def _result(told: Explanation, options: LoadOptions | None, parts: SpeedParts | None) -> FitResult:
    placement = told.choice.placement
    shares = _with_idle(placement, told.budgets)
    return FitResult(
        verdict=told.choice.verdict, basis=_basis(told.subject, told.choice), ctx=placement.ctx, kv_type=placement.kv_type,
        weights_bytes=sum([share.weights_bytes for share in shares]), kv_bytes=sum([share.kv_bytes for share in shares]),
        compute_bytes=sum([share.compute_bytes for share in shares]), total_bytes=placement.total_bytes,
        devices=tuple([_need(share) for share in shares]), max_ctx=told.max_ctx, speed=told.speed, reasons=reasons_of(told),
        remedies=remedies_of(told), load_options=options, overhead_bytes=sum([share.overhead_bytes for share in shares]),
        tokenizer_bytes=told.placer.memory.tokenizer_bytes, speed_parts=parts)


def _with_idle(placement: Placement, budgets: Budgets) -> tuple[Share, ...]:
    """The plan's devices, and the GPUs that it leaves alone."""
    used = {id(share.budget) for share in placement.gpus}
    idle = [budget for group in budgets.groups for budget in group if id(budget) not in used]
    return (*placement.gpus, *(Share(budget, 0, 0, False, 0, 0, 0) for budget in idle), placement.host)


def _basis(subject: Subject, choice: Choice) -> Basis:
    """Where the figures come from: llama.cpp's plan counts where it was asked for the devices and the KV type in use."""
    placement, memory = choice.placement, choice.placer.memory
    is_planned = placement.is_planned or memory.is_planned(placement.kv_type, on_gpu=bool(placement.gpus))
    return Basis.DRY_RUN if is_planned else subject.basis


def _need(share: Share) -> DeviceNeed:
    budget = share.budget
    return DeviceNeed(
        name=budget.name, kind=budget.kind, layers=share.layers, weights_bytes=share.weights_bytes, kv_bytes=share.kv_bytes,
        compute_bytes=share.compute_bytes, free_bytes=budget.free_bytes, reserve_bytes=budget.reserve_bytes,
        total_bytes=share.total_bytes, capacity_bytes=budget.total_bytes, engine_name=budget.engine_name,
        expert_blocks=share.expert_blocks, repacked_bytes=share.repacked_bytes, overhead_bytes=share.overhead_bytes,
        shares_host=budget.shares_host)


def _load_options(placement: Placement, budgets: Budgets, subject: Subject) -> LoadOptions:
    """What the worker is told. GPUs are named where llama.cpp was asked; else a split of zero leaves one out.

    llama.cpp counts blocks for next-token prediction among the last layers, though it does not load them.
    """
    unused = subject.geometry.n_layer_unused
    used = [share.budget for share in placement.gpus]
    group = next((group for group in budgets.groups if used and any(used[0] is budget for budget in group)), ())
    layers_of = {id(share.budget): float(share.layers + (unused if share.has_head else 0)) for share in placement.gpus}
    devices: tuple[str, ...] = ()
    split: tuple[float, ...] = ()
    if used and all(budget.engine_name for budget in used):
        devices = tuple(budget.engine_name for budget in used)
        split = tuple(layers_of[id(budget)] for budget in used) if len(used) > 1 else ()
    elif len(group) > 1:
        split = tuple(layers_of.get(id(budget), 0.0) for budget in group)
    return LoadOptions(
        model_path=subject.model_path, ctx=placement.ctx, gpu_layers=placement.gpu_layers + (unused if used else 0),
        kv_type=placement.kv_type, ubatch=placement.ubatch, devices=devices, tensor_split=split,
        cpu_expert_blocks=placement.expert_blocks, kept_bytes=_kept_bytes(placement),
        main_device=0 if len(devices) == 1 and used[0].is_main else None)


def _kept_bytes(placement: Placement) -> int:
    """Main memory for copies of conversations: half of what the plan leaves, at most."""
    host = placement.host
    in_host = host.total_bytes + sum(share.total_bytes for share in placement.gpus if share.budget.shares_host)
    return min(_MOST_KEPT_BYTES, max(0, host.budget.usable_bytes - in_host) // 2)

"""The reasons of a verdict as whole sentences with their numbers."""

from __future__ import annotations

import msgspec

from localai_app.fit.budgets import Budget, Budgets
from localai_app.fit.choice import Choice, Chooser
from localai_app.fit.difference import difference_reason, repacked_reason
from localai_app.fit.placement import Placer
from localai_app.fit.result import Basis, Request, SpeedBasis, SpeedRange, Subject, Verdict
from localai_app.fit.shares import Placement, Share
from localai_app.units import MIB, format_count, format_gib

WORTH_TELLING_BYTES = 100 * MIB
"""Less than this vanishes in a rounded sum."""


class Explanation(msgspec.Struct, frozen=True):
    """Everything that the sentences tell of."""

    choice: Choice
    chooser: Chooser
    budgets: Budgets
    request: Request
    subject: Subject
    max_ctx: dict[str, int]
    speed: SpeedRange
    speed_reason: str = ""
    """Which measurements corrected the speed."""

    @property
    def verdict(self) -> Verdict:
        """What was decided."""
        return self.choice.verdict

    @property
    def placement(self) -> Placement:
        """The plan that the verdict stands for."""
        return self.choice.placement

    @property
    def placer(self) -> Placer:
        """What made the plan."""
        return self.choice.placer

    @property
    def fixed_layers(self) -> int | None:
        """The number of layers that was asked for."""
        return self.chooser.fixed_layers


def reasons_of(told: Explanation) -> tuple[str, ...]:
    """Why the verdict is as it is, the headline first."""
    headline = {
        Verdict.GPU: _on_gpu, Verdict.GPU_PARTIAL: _partly, Verdict.CPU: _on_cpu,
    }.get(told.verdict, _too_large)(told)
    return (
        headline, *_why_not_gpu(told), *told.budgets.notes, *_about_context(told), *_about_steps(told), *_about_figures(told))


def _at_context(told: Explanation) -> str:
    return f"at a context of {format_count(told.placement.ctx)} tokens"


def _free(budget: Budget, place: str) -> str:
    kept = f", of which {format_gib(budget.reserve_bytes)} is kept for other programs" if budget.reserve_bytes else ""
    return f"{format_gib(budget.free_bytes)} is free {place}{kept}"


def _on_gpu(told: Explanation) -> str:
    shares = told.placement.gpus
    if len(shares) == 1:
        share = shares[0]
        need, free = format_gib(share.total_bytes), _free(share.budget, "there")
        return f"Needs {need} on {share.budget.name} {_at_context(told)}; {free}."
    total = sum(share.total_bytes for share in shares)
    return f"Needs {format_gib(total)}, split over {_listed(shares)}, {_at_context(told)}."


def _listed(shares: tuple[Share, ...]) -> str:
    parts = [
        f"{share.budget.name} ({format_gib(share.total_bytes)} of {format_gib(share.budget.usable_bytes)} usable)"
        for share in shares
    ]
    return ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1]


def _partly(told: Explanation) -> str:
    host = told.placement.host
    in_memory, free = format_gib(host.total_bytes), _free(host.budget, "there")
    return (
        f"Runs partly on the GPU: {_divided(told.placement)}, which is slower; "
        f"main memory holds {in_memory} of it, and {free} ({_at_context(told)}).")


def _divided(placement: Placement) -> str:
    """Which layers lie on the GPUs, and what of them does not."""
    layers, experts = placement.gpu_layers, placement.host.expert_blocks
    total = layers + placement.host.layers
    if not experts:
        return f"{layers} of {total} layers on {_listed(placement.gpus)}, the rest on the processor"
    text = f"all {total} layers on" if layers == total else f"{layers} of {total} layers on"
    text = f"{text} {_listed(placement.gpus)}, the experts of {experts} of them in main memory"
    return text if layers == total else f"{text}, the rest on the processor"


def _on_cpu(told: Explanation) -> str:
    host = told.placement.host
    return (
        f"Runs on the processor: needs {format_gib(host.total_bytes)} of main memory {_at_context(told)}; "
        f"{_free(host.budget, 'there')}.")


def _too_large(told: Explanation) -> str:
    if told.fixed_layers:
        usable = format_gib(max((budget.usable_bytes for group in told.budgets.groups for budget in group), default=0))
        return (
            f"The {told.fixed_layers} layers that were asked for on the GPU do not fit {_at_context(told)}: "
            f"{usable} can be used there.")
    host = told.budgets.host
    rooms = [f"{format_gib(host.usable_bytes)} of main memory"]
    for group in told.budgets.groups:
        usable = format_gib(sum(budget.usable_bytes for budget in group))
        rooms.append(f"{usable} on {' and '.join(dict.fromkeys(budget.name for budget in group))}")
    shares_host = any(budget.shares_host for group in told.budgets.groups for budget in group)
    rooms_text = " and ".join(rooms) + (" (the same memory)" if shares_host else "")
    return (
        f"Too large for this computer right now: needs {format_gib(told.placement.total_bytes)} {_at_context(told)}, and "
        f"{rooms_text} can be used ({format_gib(host.reserve_bytes)} of main memory is kept for other programs).")


def _why_not_gpu(told: Explanation) -> list[str]:
    if told.verdict in (Verdict.GPU, Verdict.UNKNOWN):
        return []
    groups = told.budgets.groups
    if not groups:
        return [] if told.budgets.notes else ["No GPU was found that could run it."]
    if told.fixed_layers is not None:
        return ["Layers on the GPU are set to 0."] if told.fixed_layers == 0 else []
    need = told.placer.gpu_need(told.placement.ctx, told.request.kv_type)
    usable = max(sum(budget.usable_bytes for budget in group) for group in groups)
    text = f"All of it on the GPU would need {format_gib(need)}, and {format_gib(usable)} can be used there."
    if told.verdict is Verdict.CPU and need <= usable:
        text = "The GPU shares main memory, which does not hold the model beside other programs when the GPU runs it."
    return [text]


def _about_context(told: Explanation) -> list[str]:
    reasons = []
    trained = told.subject.geometry.ctx_train
    request, ctx = told.request, told.placement.ctx
    wanted = request.ctx if request.ctx is not None else request.default_ctx
    if request.ctx is not None and trained and request.ctx > trained:
        reasons.append(f"The model was made for contexts of up to {format_count(trained)} tokens, so no more is reserved.")
    elif request.ctx is None and ctx < min(wanted, trained or wanted) and told.verdict is not Verdict.NO:
        purpose = "everything fits on the GPU" if told.verdict is Verdict.GPU else "the model fits"
        reasons.append(f"The context is {format_count(ctx)} instead of {format_count(wanted)} tokens, so that {purpose}.")
    return reasons


def _about_steps(told: Explanation) -> list[str]:
    wanted, used = told.request.ubatch, told.placement.ubatch
    if used >= wanted or told.verdict is Verdict.NO:
        return []
    purpose = "everything fits on the GPU" if told.verdict is Verdict.GPU else "it runs in this way"
    return [f"Prompts are read in steps of {used} instead of {wanted} tokens, so that {purpose}."]


def _about_figures(told: Explanation) -> list[str]:
    memory, placement = told.placer.memory, told.placement
    is_planned = placement.is_planned or memory.is_planned(placement.kv_type, on_gpu=bool(placement.gpus))
    if is_planned:
        about = (difference_reason, repacked_reason)
        reasons = [reason for tell in about if (reason := tell(told.placement, told.placer.memory))]
    else:
        reasons = [
            f"This sum lacks {part}, for which there is no formula: the real need is higher."
            for part in told.subject.geometry.unknown_parts
        ]
    if told.subject.basis is Basis.CATALOG and not is_planned:
        reasons.append("The figures come from the model's dimensions, not from its file, and may be off by a few percent.")
    if told.verdict is not Verdict.NO and told.speed.basis is SpeedBasis.UNKNOWN:
        devices = [share.budget.name for share in placement.gpus]
        devices += ["main memory"] if placement.host.layers or placement.host.expert_bytes or not devices else []
        which = " or ".join(dict.fromkeys(devices))
        reasons.append(f"The speed is unknown until the first run: there is no figure for the bandwidth of {which}.")
    if told.speed_reason:
        reasons.append(told.speed_reason)
    return reasons + _about_overhead(told)


def _about_overhead(told: Explanation) -> list[str]:
    measured = sum(share.budget.overhead_bytes for share in told.placement.shares)
    if measured < WORTH_TELLING_BYTES:
        return []
    return [f"{format_gib(measured)} of it is what the engine takes on this computer beyond llama.cpp's buffers."]

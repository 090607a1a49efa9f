"""What would make a model fit, or fit better, as whole sentences with their numbers."""

from __future__ import annotations

from localai_app.engine.protocol import KvType
from localai_app.fit.choice import SHORTEST_CTX
from localai_app.fit.explain import Explanation
from localai_app.fit.result import Verdict
from localai_app.units import format_count, format_file_size, format_gib


def remedies_of(told: Explanation) -> tuple[str, ...]:
    """Empty where all of it runs on the GPU."""
    if told.verdict is Verdict.GPU:
        return ()
    remedies = [*_close_programs(told), *_automatic(told)]
    if told.verdict is Verdict.NO:
        return (*remedies, *_smaller_context(told), "Choose a smaller variant or a smaller model.")
    if told.budgets.groups and told.fixed_layers is None and not told.request.experts_on_cpu:
        remedies += _all_on_gpu(told)
    return tuple(remedies)


def _automatic(told: Explanation) -> list[str]:
    """What the user has set and could leave to the program."""
    remedies = []
    if told.fixed_layers == 0:
        remedies.append("Set the layers on the GPU to automatic.")
    elif told.fixed_layers is not None and told.verdict is Verdict.NO:
        remedies.append("Let the number of layers on the GPU be chosen automatically.")
    if told.request.experts_on_cpu is not None and told.placer.memory.sums.experts and told.budgets.groups:
        remedies.append("Let the number of experts in main memory be chosen automatically.")
    return remedies


def _close_programs(told: Explanation) -> list[str]:
    """How much memory other programs would have to give back, where they hold that much."""
    remedies = []
    ctx, kv_type = told.placement.ctx, told.request.kv_type
    if told.fixed_layers is None:
        need = told.placer.gpu_need(ctx, kv_type)
        for budget in (group[0] for group in told.budgets.groups if len(group) == 1 and not group[0].shares_host):
            short, held = need - budget.usable_bytes, max(0, budget.total_bytes - budget.free_bytes)
            if 0 < short <= held:
                remedies.append(f"Close programs that hold {format_gib(short)} on {budget.name}: then all of it runs there.")
    if told.verdict is Verdict.NO:
        host = told.budgets.host
        short = told.placer.on_cpu(ctx, kv_type).total_bytes - host.usable_bytes
        if 0 < short <= max(0, host.total_bytes - host.free_bytes):
            remedies.append(f"Close programs that hold {format_gib(short)} of main memory.")
    return remedies


def _smaller_context(told: Explanation) -> list[str]:
    remedies = []
    fits = told.max_ctx.get(told.request.kv_type.value, 0)
    if fits and fits < told.placement.ctx:
        remedies.append(f"Use a context of {format_count(fits)} tokens or less.")
    smaller = told.max_ctx.get(KvType.Q8_0.value, 0)
    if told.request.kv_type is KvType.F16 and smaller > fits and smaller >= told.placement.ctx:
        remedies.append(f"Store the context as q8_0: then {format_count(smaller)} tokens fit.")
    return remedies


def _all_on_gpu(told: Explanation) -> list[str]:
    """What would bring all of it onto the GPU: a shorter context, a smaller cache, or a smaller variant."""
    remedies = []
    ctx, kv_type = told.placement.ctx, told.request.kv_type
    worthwhile = min(ctx, SHORTEST_CTX)
    fits = told.chooser.max_ctx(Verdict.GPU, kv_type) if told.request.ctx is not None else 0
    if worthwhile <= fits < ctx:
        remedies.append(f"Use a context of {format_count(fits)} tokens or less: then all of it runs on the GPU.")
    if kv_type is KvType.F16:
        smaller = told.chooser.max_ctx(Verdict.GPU, KvType.Q8_0)
        if smaller >= worthwhile and smaller > fits:
            remedies.append(f"Store the context as q8_0: then {format_count(smaller)} tokens run on the GPU.")
    memory = told.placer.memory
    usable = max(sum(budget.usable_bytes for budget in group) for group in told.budgets.groups)
    weights = memory.weights_between(0, memory.blocks) + memory.weights.output_bytes
    room = usable - told.placer.gpu_need(ctx, kv_type) + weights
    size = memory.weights.file_bytes * room // max(1, weights)
    if 0 < size < memory.weights.file_bytes:
        remedies.append(f"Choose a variant of {format_file_size(size)} or less, which runs on the GPU alone and is faster.")
    else:
        remedies.append("Choose a smaller model, which runs faster.")
    return remedies

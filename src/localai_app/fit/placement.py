"""Which layers lie where: contiguous runs of layers over the GPUs of one group, the rest on the processor.

llama.cpp offloads the *last* `gpu_layers` of blocks plus head and gives each GPU one contiguous run in device order
(`llama_model_base::load_tensors`). Experts of the first blocks may stay in main memory while the rest of those blocks is on
a GPU (`tensor_buft_overrides`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import NamedTuple

from localai_app.engine.protocol import KvType
from localai_app.fit.budgets import Budget
from localai_app.fit.memory import ModelMemory, Moment
from localai_app.fit.shares import Placement, Share

_BALANCE_STEPS = 6
Gpus = tuple[Budget, ...]
"""GPUs that share one model, in device order."""


class Layout(NamedTuple):
    """So many layers on GPUs, experts of so many blocks in main memory, at one context."""

    gpu_layers: int
    expert_blocks: int
    at: Moment


def proportional_counts(parts: Sequence[float], layers: int) -> tuple[int, ...]:
    """Layers per GPU as `tensor_split` of llama.cpp divides them: layer i of n to the first whose parts reach beyond i/n."""
    total = sum(parts)
    counts, at = [0] * len(parts), 0
    reached = parts[0]
    for layer in range(layers):
        while at < len(parts) - 1 and reached / total <= layer / layers:
            at += 1
            reached += parts[at]
        counts[at] += 1
    return tuple(counts)


def _fewest(fits: Callable[[int], bool], low: int, high: int, guess: int) -> int:
    """The smallest number above `low` that fits, where `high` does: looked for around a guess, in steps that grow."""
    probe, step = guess, 1
    while high - low > 1:
        probe = min(max(probe, low + 1), high - 1)
        if fits(probe):
            high, probe = probe, probe - step
        else:
            low, probe = probe, probe + step
        step *= 2
    return high


class Placer:
    """Places one model on one computer."""

    def __init__(self, memory: ModelMemory, host: Budget) -> None:
        self.memory = memory
        self.host = host
        self.all_layers = memory.blocks + 1
        weights = memory.weights
        self._head_bytes = weights.output_bytes + weights.projector_bytes
        self._overhead = memory.tokenizer_bytes + host.overhead_bytes
        self._copied_experts = memory.copied_bytes(has_blocks=False)
        self._copied_blocks = memory.copied_bytes(has_blocks=True)
        self._cpu_weights = memory.host_weights(memory.blocks, has_head=True) + weights.projector_bytes
        self._fixed: dict[tuple[int, int], tuple[int, int]] = {}

    def on_cpu(self, ctx: int, kv_type: KvType) -> Placement:
        """Everything in main memory, whether it fits or not."""
        share = self._host_share(Layout(0, 0, self.memory.at(ctx, kv_type)), ())
        return Placement(ctx, kv_type, self.memory.ubatch, (), share)

    def cpu_room(self, at: Moment) -> int:
        """Bytes of main memory that are left when the processor runs everything; negative where it does not fit."""
        needed = self._cpu_weights + at.kv(0, self.memory.blocks) + at.host_with_head + self._overhead
        return self.host.usable_bytes - needed

    def room(self, group: Gpus, layout: Layout) -> int:
        """Bytes that are left in the tighter of both memories; negative where the layout does not fit.

        Of several GPUs each but one leaves about half a layer's place unused.
        """
        need, host_need = self._needs(group, layout)
        is_alone = len(group) == 1
        left = (group[0].usable_bytes if is_alone else sum(budget.usable_bytes for budget in group)) - need
        host_room = self.host.usable_bytes - host_need - (need if group[0].shares_host else 0)
        left = host_room if host_room < left else left
        if left < 0 or is_alone:
            return left
        left -= (len(group) - 1) * need // (2 * layout.gpu_layers)
        return max(left, 0) if self._filled(group, layout, 1.0) is not None else min(left, -1)

    def host_room(self, group: Gpus, layout: Layout) -> int:
        """Bytes of main memory that are left beside a layout whose part on the GPUs is known to fit."""
        need, host_need = self._needs(group, layout)
        return self.host.usable_bytes - host_need - (need if group[0].shares_host else 0)

    def placed(self, group: Gpus, layout: Layout) -> Placement:
        """The plan of a layout that fits, balanced over the GPUs."""
        return self._placement(group, self._counts(group, layout), layout)

    def again(self, placement: Placement) -> Placement:
        """The same layers on the same devices, with this placer's figures."""
        if not placement.gpus:
            return self.on_cpu(placement.ctx, placement.kv_type)
        layout = Layout(placement.gpu_layers, placement.expert_blocks, self.memory.at(placement.ctx, placement.kv_type))
        return self._placement(
            tuple(share.budget for share in placement.gpus), tuple(share.layers for share in placement.gpus), layout)

    def most_layers(self, group: Gpus, expert_blocks: int, at: Moment) -> int:
        """The most layers, counted from the head, that the GPUs hold when each is filled; at most one less than all."""
        wanted = Layout(self.all_layers - 1, expert_blocks, at)
        counts = self._filled(group, wanted, 1.0, may_fall_short=True)
        return sum(counts) if counts is not None else 0

    def fewest_expert_blocks(self, group: Gpus, gpu_layers: int, at: Moment) -> int | None:
        """Of how many blocks the experts must stay in main memory for so many layers to fit; None where it does not help."""
        start, blocks, experts = self.all_layers - gpu_layers, self.memory.blocks, self.memory.sums.experts
        if not experts or start >= blocks:
            return None
        if len(group) == 1:
            some = Layout(gpu_layers, start + 1, at)
            over = self._needs(group, some)[0] + experts[start + 1] - experts[start] - group[0].usable_bytes
            found = max(start + 1, bisect_left(experts, experts[start] + over))
            return found if found <= blocks else None
        if self._filled(group, Layout(gpu_layers, blocks, at), 1.0) is None:
            return None
        over = self._needs(group, Layout(gpu_layers, 0, at))[0] - sum(budget.usable_bytes for budget in group)
        guess = bisect_left(experts, experts[start] + over)
        return _fewest(
            lambda count: self._filled(group, Layout(gpu_layers, count, at), 1.0) is not None, start, blocks, guess)

    def gpu_need(self, ctx: int, kv_type: KvType) -> int:
        """Bytes on one GPU that holds every layer."""
        moment = self.memory.at(ctx, kv_type)
        blocks = self.memory.blocks
        return self.memory.weights_between(0, blocks) + self._head_bytes + moment.kv(0, blocks) + moment.gpu_with_head

    def _counts(self, group: Gpus, layout: Layout) -> tuple[int, ...]:
        """Layers per GPU, balanced: the smallest share of every budget that still holds them all.

        In the parts that were asked for, where some were; on devices of other computers only what those of this one leave.
        """
        if len(group) == 1:
            return (layout.gpu_layers,)
        if group[0].part is not None:
            return proportional_counts([budget.part or 0.0 for budget in group], layout.gpu_layers)
        if len({budget.copies_weights for budget in group}) > 1:
            return self._filled(group, layout, 1.0) or ()
        best = self._filled(group, layout, 1.0) or ()
        low, high = 0.0, 1.0
        for _ in range(_BALANCE_STEPS):
            middle = (low + high) / 2
            counts = self._filled(group, layout, middle)
            if counts is None:
                low = middle
            else:
                best, high = counts, middle
        return best

    def _filled(self, group: Gpus, layout: Layout, share: float, may_fall_short: bool = False) -> tuple[int, ...] | None:
        """Layers per GPU, the last one filled first, up to `share` of each budget; None where they do not all fit."""
        if len(group) > 1 and group[0].part is not None:
            return self._in_parts(group, layout, may_fall_short=may_fall_short)
        stop, has_head, left = self.memory.blocks, True, layout.gpu_layers
        counts = [0] * len(group)
        first_beside, beside = self._beside(group, layout)
        for index in range(len(group) - 1, -1, -1):
            limit = int(group[index].usable_bytes * share)
            extra = (beside if index else first_beside) + group[index].overhead_bytes
            if left == 0:
                break
            if has_head and self._gpu_bytes(layout, stop, stop, extra) > limit:
                continue
            most = min(stop, left - has_head)
            blocks = self._most_blocks(layout, stop, most, limit - extra, has_head)
            if index == 0 and blocks < most and not may_fall_short:
                return None
            counts[index] = blocks + has_head
            left -= counts[index]
            stop -= blocks
            has_head = False
        return tuple(counts) if left == 0 or may_fall_short else None

    def _in_parts(self, group: Gpus, layout: Layout, *, may_fall_short: bool) -> tuple[int, ...] | None:
        """Layers per GPU in the parts that were asked for; None where a GPU cannot hold its part."""
        def fits(index: int, counts: tuple[int, ...], layout: Layout) -> bool:
            start = self.all_layers - layout.gpu_layers + sum(counts[:index])
            stop = start + counts[index]
            has_head = counts[index] > 0 and stop == self.all_layers
            beside = self._beside(group, layout)[index > 0] + group[index].overhead_bytes
            return self._gpu_bytes(layout, start, stop - has_head, beside, has_head) <= group[index].usable_bytes

        parts = [budget.part or 0.0 for budget in group]
        for layers in range(layout.gpu_layers, 0, -1):
            counts = proportional_counts(parts, layers)
            if all(fits(index, counts, layout._replace(gpu_layers=layers)) for index in range(len(group))):
                return counts
            if not may_fall_short:
                return None
        return (0,) * len(group)

    def _most_blocks(self, layout: Layout, stop: int, most: int, limit: int, has_head: bool) -> int:
        """How many blocks in front of `stop` fit into `limit` bytes; blocks are much alike, so few are tried."""
        whole = self._gpu_bytes(layout, stop - most, stop, 0, has_head)
        if whole <= limit:
            return most
        low, high = 0, most
        low_bytes, high_bytes = self._gpu_bytes(layout, stop, stop, 0, has_head), whole
        asked = 0
        while high - low > 1:
            asked += 1
            middle = low + (high - low) * (limit - low_bytes) // (high_bytes - low_bytes) if asked % 3 else (low + high) // 2
            middle = min(max(middle, low + 1), high - 1)
            needed = self._gpu_bytes(layout, stop - middle, stop, 0, has_head)
            if needed <= limit:
                low, low_bytes = middle, needed
            else:
                high, high_bytes = middle, needed
        return low

    def _needs(self, group: Gpus, layout: Layout) -> tuple[int, int]:
        """What the GPUs' part would take if they were one, and what is not on them takes in main memory."""
        at, start = layout.at, self.all_layers - layout.gpu_layers
        on_gpu, on_host = self._fixed_bytes(layout)
        on_gpu += at.kv(start, self.memory.blocks) + at.gpu_with_head + self._beside(group, layout)[0] + group[0].overhead_bytes
        if start:
            return on_gpu, on_host + at.kv(0, start) + at.host
        return on_gpu, on_host + (at.host if layout.expert_blocks else at.inputs)

    def _gpu_bytes(self, layout: Layout, start: int, stop: int, beside_bytes: int, has_head: bool = True) -> int:
        """What blocks `start` to `stop` (excluded), and the head, take on one GPU."""
        at = layout.at
        needed = self.memory.weights_between(start, stop, layout.expert_blocks) + at.kv(start, stop) + beside_bytes
        return needed + self._head_bytes + at.gpu_with_head if has_head else needed + at.gpu

    def _beside(self, group: Gpus, layout: Layout) -> tuple[int, int]:
        """Buffers that depend on where the other layers are, on the first GPU and on each other one.

        Those are copies of weights in main memory on the first; and copies of the inputs where llama.cpp works in a pipeline,
        which it does only with everything on several GPUs (`llama_context` constructor).
        """
        is_whole = layout.gpu_layers == self.all_layers
        if is_whole and not layout.expert_blocks:
            return (layout.at.pipeline, layout.at.pipeline) if len(group) > 1 else (0, 0)
        if not group[0].copies_weights:
            return 0, 0
        return self._copied_experts if is_whole else self._copied_blocks, 0

    def _placement(self, group: Gpus, counts: tuple[int, ...], layout: Layout) -> Placement:
        at = layout.at
        start = self.all_layers - layout.gpu_layers
        shares = []
        extras = self._beside(group, layout)
        for index, (budget, count) in enumerate(zip(group, counts, strict=True)):
            if count == 0:
                continue
            has_head = start + count == self.all_layers
            stop = start + count - has_head
            compute = (at.gpu_with_head if has_head else at.gpu) + extras[index > 0]
            shares.append(Share(
                budget, start, stop, has_head,
                weights_bytes=self.memory.weights_between(start, stop, layout.expert_blocks) + has_head * self._head_bytes,
                kv_bytes=at.kv(start, stop), compute_bytes=compute,
                expert_blocks=max(0, min(stop, layout.expert_blocks) - start), overhead_bytes=budget.overhead_bytes))
            start = stop
        host = self._host_share(layout, group)
        return Placement(
            at.ctx, at.kv_type, self.memory.ubatch, tuple(shares), host,
            layout.expert_blocks if host.expert_blocks else 0)

    def _host_share(self, layout: Layout, group: Gpus) -> Share:
        is_alone = not group
        memory, at = self.memory, layout.at
        blocks = self.all_layers - layout.gpu_layers - is_alone
        expert_bytes = memory.experts_between(blocks, layout.expert_blocks)
        weights = self._cpu_weights if is_alone else memory.host_weights(blocks, has_head=False) + expert_bytes
        compute = at.host_with_head if is_alone else at.host if blocks or expert_bytes else at.inputs
        # GPUs whose driver lends memory for copies keep the weights of the processor's layers as they are.
        is_plain = not is_alone and any(budget.copies_weights for budget in group)
        rearranged = 0 if is_plain else memory.rearranged_bytes(blocks, has_head=is_alone)
        holders = memory.weights.layers_expert_bytes[blocks : layout.expert_blocks] if expert_bytes else ()
        return Share(
            self.host, 0, blocks, is_alone, weights_bytes=weights, kv_bytes=at.kv(0, blocks), compute_bytes=compute,
            expert_blocks=sum(map(bool, holders)), expert_bytes=expert_bytes, repacked_bytes=rearranged,
            overhead_bytes=self._overhead)

    def _fixed_bytes(self, layout: Layout) -> tuple[int, int]:
        """What a layout takes on the GPUs and in main memory at any context: the weights, and what the process adds."""
        key = layout.gpu_layers, layout.expert_blocks
        found = self._fixed.get(key)
        if found is None:
            memory, start = self.memory, self.all_layers - layout.gpu_layers
            on_gpu = memory.weights_between(start, memory.blocks, layout.expert_blocks) + self._head_bytes
            experts = memory.experts_between(start, layout.expert_blocks)
            found = self._fixed[key] = on_gpu, memory.host_weights(start, has_head=False) + experts + self._overhead
        return found

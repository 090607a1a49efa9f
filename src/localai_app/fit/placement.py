"""Which layers lie where: contiguous runs of layers over the GPUs of one group, the rest on the processor.

llama.cpp offloads the *last* `gpu_layers` of blocks plus head and gives each GPU one contiguous run in device order
(`llama_model_base::load_tensors`). Experts of the first blocks may stay in main memory while the rest of those blocks is on
a GPU (`tensor_buft_overrides`).
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import NamedTuple

from localai_app.engine.protocol import KvType
from localai_app.fit.budgets import Budget
from localai_app.fit.memory import ModelMemory, Moment

_BALANCE_STEPS = 6
Gpus = tuple[Budget, ...]
"""GPUs that share one model, in device order."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one device holds: blocks `start` to `stop` (excluded), and the output head or not. Bytes."""

    budget: Budget
    start: int
    stop: int
    has_head: bool
    weights_bytes: int
    kv_bytes: int
    compute_bytes: int
    expert_blocks: int = 0
    """On a GPU: blocks of this share whose experts lie in main memory. In main memory: all those blocks."""
    expert_bytes: int = 0
    """Main memory only: the experts of those blocks, part of `weights_bytes`."""
    repacked_bytes: int = 0
    """Main memory only: part of `weights_bytes` that the processor holds rearranged."""
    overhead_bytes: int = 0
    """What the process takes beyond llama.cpp's buffers: the tokenizer's tables, and what earlier loads showed."""

    @property
    def layers(self) -> int:
        """Blocks, and one for the head."""
        return self.stop - self.start + self.has_head

    @property
    def total_bytes(self) -> int:
        """Everything it takes there."""
        return self.weights_bytes + self.kv_bytes + self.compute_bytes + self.overhead_bytes


@dataclass(frozen=True, slots=True)
class Placement:
    """A whole plan. `gpus` in device order; a GPU without layers is left out."""

    ctx: int
    kv_type: KvType
    ubatch: int
    gpus: tuple[Share, ...]
    host: Share
    expert_blocks: int = 0
    """Experts of so many blocks, from the first one, stay in main memory; blocks that lie there whole are counted too."""
    is_planned: bool = False
    """Its figures are llama.cpp's own for just this placement."""

    @property
    def gpu_layers(self) -> int:
        """Layers on GPUs, the head included."""
        return sum(share.layers for share in self.gpus)

    @property
    def shares(self) -> tuple[Share, ...]:
        """Every device of the plan, GPUs first."""
        return (*self.gpus, self.host)

    @property
    def total_bytes(self) -> int:
        """Everything the model takes, on all devices."""
        return sum(share.total_bytes for share in self.shares)


class Layout(NamedTuple):
    """So many layers on GPUs, experts of so many blocks in main memory, at one context."""

    gpu_layers: int
    expert_blocks: int
    at: Moment


class Placer:
    """Places one model on one computer."""

    def __init__(self, memory: ModelMemory, host: Budget) -> None:
        self.memory = memory
        self.host = host
        self.all_layers = memory.blocks + 1
        weights = memory.weights
        self._head_bytes = weights.output_bytes + weights.projector_bytes
        self._overhead = memory.tokenizer_bytes + host.overhead_bytes
        self._cpu_weights = memory.host_weights(memory.blocks, has_head=True) + weights.projector_bytes

    def on_cpu(self, ctx: int, kv_type: KvType) -> Placement:
        """Everything in main memory, whether it fits or not."""
        share = self._host_share(Layout(0, 0, self.memory.at(ctx, kv_type)), ())
        return Placement(ctx, kv_type, self.memory.ubatch, (), share)

    def cpu_room(self, at: Moment) -> int:
        """Bytes of main memory that are left when the processor runs everything; negative where it does not fit."""
        needed = self._cpu_weights + at.kv(0, self.memory.blocks) + at.host_with_head + self._overhead
        return self.host.usable_bytes - needed

    def room(self, group: Gpus, layout: Layout) -> int:
        """Bytes that are left in the tighter of both memories; negative where the layout does not fit."""
        host_room = self._host_room(group, layout)
        if len(group) == 1:
            blocks = self.memory.blocks
            need = self._gpu_bytes(group, 0, self.all_layers - layout.gpu_layers, blocks, layout)
            return min(host_room, group[0].usable_bytes - need)
        if self._filled(group, layout, 1.0) is not None:
            return max(0, host_room) if host_room >= 0 else host_room
        pooled = sum(budget.usable_bytes for budget in group)
        need = self._gpu_bytes(group, 0, self.all_layers - layout.gpu_layers, self.memory.blocks, layout)
        return min(host_room, pooled - need, -1)

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
            need = self._gpu_bytes(group, 0, start, blocks, some) + experts[start + 1] - experts[start]
            found = max(start + 1, bisect_left(experts, experts[start] + need - group[0].usable_bytes))
            return found if found <= blocks else None
        if self._filled(group, Layout(gpu_layers, blocks, at), 1.0) is None:
            return None
        low, high = start, blocks
        while high - low > 1:
            middle = (low + high) // 2
            if self._filled(group, Layout(gpu_layers, middle, at), 1.0) is None:
                low = middle
            else:
                high = middle
        return high

    def gpu_need(self, ctx: int, kv_type: KvType) -> int:
        """Bytes on one GPU that holds every layer."""
        moment = self.memory.at(ctx, kv_type)
        blocks = self.memory.blocks
        return self.memory.weights_between(0, blocks) + self._head_bytes + moment.kv(0, blocks) + moment.gpu_with_head

    def _counts(self, group: Gpus, layout: Layout) -> tuple[int, ...]:
        """Layers per GPU, balanced: the smallest share of every budget that still holds them all."""
        best = self._filled(group, layout, 1.0) or ()
        if len(group) == 1:
            return (layout.gpu_layers,)
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
        stop, needs_head, left = self.memory.blocks, True, layout.gpu_layers
        counts = [0] * len(group)
        for index in range(len(group) - 1, -1, -1):
            if left == 0:
                break
            limit = int(group[index].usable_bytes * share)
            if needs_head and self._gpu_bytes(group, index, stop, stop, layout) > limit:
                continue
            low, high = 0, min(stop, left - needs_head)
            if self._gpu_bytes(group, index, stop - high, stop, layout, needs_head) <= limit:
                low = high
            elif index == 0 and not may_fall_short:
                return None
            while low < high:
                middle = (low + high + 1) // 2
                if self._gpu_bytes(group, index, stop - middle, stop, layout, needs_head) <= limit:
                    low = middle
                else:
                    high = middle - 1
            counts[index] = low + needs_head
            left -= counts[index]
            stop -= low
            needs_head = False
        return tuple(counts) if left == 0 or may_fall_short else None

    def _is_pipelined(self, group: Gpus, layout: Layout) -> bool:
        """llama.cpp works in a pipeline only with everything on several GPUs (`llama_context` constructor)."""
        return len(group) > 1 and layout.gpu_layers == self.all_layers and not layout.expert_blocks

    def _gpu_bytes(self, group: Gpus, index: int, start: int, stop: int, layout: Layout, has_head: bool = True) -> int:
        """What blocks `start` to `stop` (excluded), and the head, take on one GPU."""
        at = layout.at
        needed = self.memory.weights_between(start, stop, layout.expert_blocks) + at.kv(start, stop)
        needed += self._head_bytes + at.gpu_with_head if has_head else at.gpu
        return needed + self._beside(group, index, layout) + group[index].overhead_bytes

    def _beside(self, group: Gpus, index: int, layout: Layout) -> int:
        """Buffers of a GPU that depend on where the other layers are: copies of a pipeline, and of weights in main memory."""
        if self._is_pipelined(group, layout):
            return layout.at.pipeline
        host_blocks = self.all_layers - layout.gpu_layers
        if index == 0 and (host_blocks or layout.expert_blocks) and group[0].copies_weights:
            return self.memory.copied_bytes(has_blocks=host_blocks > 0)
        return 0

    def _placement(self, group: Gpus, counts: tuple[int, ...], layout: Layout) -> Placement:
        at = layout.at
        start = self.all_layers - layout.gpu_layers
        shares = []
        for index, (budget, count) in enumerate(zip(group, counts, strict=True)):
            if count == 0:
                continue
            has_head = start + count == self.all_layers
            stop = start + count - has_head
            compute = (at.gpu_with_head if has_head else at.gpu) + self._beside(group, index, layout)
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

    def _host_room(self, group: Gpus, layout: Layout) -> int:
        """Main memory that is left beside what is not on the GPUs, and beside the GPU's part where it is the same memory."""
        memory, at = self.memory, layout.at
        blocks = self.all_layers - layout.gpu_layers
        need = memory.host_weights(blocks, has_head=False) + memory.experts_between(blocks, layout.expert_blocks)
        need += at.kv(0, blocks) + (at.host if blocks or layout.expert_blocks else at.inputs) + self._overhead
        if group[0].shares_host:
            need += self._gpu_bytes(group, 0, blocks, memory.blocks, layout)
        return self.host.usable_bytes - need

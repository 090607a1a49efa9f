"""Which layers lie where: contiguous runs of layers over the GPUs of one group, the rest on the processor.

llama.cpp offloads the *last* `gpu_layers` of blocks plus head and gives each GPU one contiguous run in device order
(`llama_model_base::load_tensors`). Experts travel with their block here; a plan that keeps them in main memory needs
another way to count `ModelMemory.weights_between`, nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from localai_app.engine.protocol import KvType
from localai_app.fit.budgets import Budget
from localai_app.fit.kv_cache import CELL_STEP
from localai_app.fit.memory import ModelMemory

_BALANCE_STEPS = 6


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

    @property
    def layers(self) -> int:
        """Blocks, and one for the head."""
        return self.stop - self.start + self.has_head

    @property
    def total_bytes(self) -> int:
        """Everything it takes there."""
        return self.weights_bytes + self.kv_bytes + self.compute_bytes


@dataclass(frozen=True, slots=True)
class Placement:
    """A whole plan. `gpus` in device order; a GPU without layers is left out."""

    ctx: int
    kv_type: KvType
    gpus: tuple[Share, ...]
    host: Share

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


class Placer:
    """Places one model on one computer."""

    def __init__(self, memory: ModelMemory, host: Budget) -> None:
        self.memory = memory
        self.host = host
        self.all_layers = memory.blocks + 1

    def on_cpu(self, ctx: int, kv_type: KvType) -> Placement:
        """Everything in main memory, whether it fits or not."""
        return Placement(ctx, kv_type, (), self._host_share(self.all_layers, ctx, kv_type, None))

    def fits_on_cpu(self, ctx: int, kv_type: KvType) -> bool:
        """Whether the processor can run it within the budget of main memory."""
        return self._host_share(self.all_layers, ctx, kv_type, None).total_bytes <= self.host.usable_bytes

    def with_layers(self, group: tuple[Budget, ...], gpu_layers: int, ctx: int, kv_type: KvType) -> Placement | None:
        """Exactly `gpu_layers` layers on the GPUs of a group; None where that does not fit."""
        if gpu_layers < 1 or self._most_layers(group, ctx, kv_type) < gpu_layers:
            return None
        counts = self._counts(group, gpu_layers, ctx, kv_type)
        if not self._host_holds_rest(group, gpu_layers, ctx, kv_type):
            return None
        return self._placement(group, counts, ctx, kv_type)

    def most(self, group: tuple[Budget, ...], ctx: int, kv_type: KvType) -> Placement | None:
        """As many layers on the GPUs as fit; None where not even one block does, or the rest does not fit in main memory."""
        layers = self._most_layers(group, ctx, kv_type)
        return self.with_layers(group, layers, ctx, kv_type) if layers > 1 else None

    def fits(self, group: tuple[Budget, ...], gpu_layers: int | None, ctx: int, kv_type: KvType) -> bool:
        """Whether `gpu_layers` layers (None: at least one block and the head) fit, without balancing them."""
        if gpu_layers is not None:
            counts = self._filled(group, gpu_layers, ctx, kv_type, 1.0)
            return counts is not None and self._host_holds_rest(group, gpu_layers, ctx, kv_type)
        wanted = self._most_layers(group, ctx, kv_type)
        if wanted < 2:
            return False
        return self._host_holds_rest(group, wanted, ctx, kv_type)

    def gpu_need(self, ctx: int, kv_type: KvType) -> int:
        """Bytes on one GPU that holds every layer."""
        return self._gpu_bytes(0, self.memory.blocks, True, ctx, kv_type, several=False)

    def _most_layers(self, group: tuple[Budget, ...], ctx: int, kv_type: KvType) -> int:
        """The most layers, counted from the head, that the GPUs hold when each is filled to its budget."""
        counts = self._filled(group, self.all_layers, ctx, kv_type, 1.0, may_fall_short=True)
        return sum(counts) if counts is not None else 0

    def _counts(self, group: tuple[Budget, ...], gpu_layers: int, ctx: int, kv_type: KvType) -> tuple[int, ...]:
        """Layers per GPU, balanced: the smallest share of every budget that still holds them all."""
        best = self._filled(group, gpu_layers, ctx, kv_type, 1.0) or ()
        if len(group) == 1:
            return best
        low, high = 0.0, 1.0
        for _ in range(_BALANCE_STEPS):
            middle = (low + high) / 2
            counts = self._filled(group, gpu_layers, ctx, kv_type, middle)
            if counts is None:
                low = middle
            else:
                best, high = counts, middle
        return best

    def _filled(
        self, group: tuple[Budget, ...], gpu_layers: int, ctx: int, kv_type: KvType, share: float,
        may_fall_short: bool = False,
    ) -> tuple[int, ...] | None:
        """Layers per GPU, the last one filled first, up to `share` of each budget; None where they do not all fit."""
        several = len(group) > 1
        stop, needs_head, left = self.memory.blocks, True, gpu_layers
        counts = [0] * len(group)
        for index in range(len(group) - 1, -1, -1):
            if left == 0:
                break
            limit = int(group[index].usable_bytes * share)
            if needs_head and self._gpu_bytes(stop, stop, True, ctx, kv_type, several) > limit:
                continue
            most_blocks = min(stop, left - needs_head)
            low, high = 0, most_blocks
            if self._gpu_bytes(stop - high, stop, needs_head, ctx, kv_type, several) <= limit:
                low = high
            elif index == 0 and not may_fall_short:
                return None
            while low < high:
                middle = (low + high + 1) // 2
                if self._gpu_bytes(stop - middle, stop, needs_head, ctx, kv_type, several) <= limit:
                    low = middle
                else:
                    high = middle - 1
            counts[index] = low + needs_head
            left -= counts[index]
            stop -= low
            needs_head = False
        return tuple(counts) if left == 0 or may_fall_short else None

    def _gpu_bytes(self, start: int, stop: int, has_head: bool, ctx: int, kv_type: KvType, several: bool) -> int:
        memory = self.memory
        head = memory.weights.output_bytes + memory.weights.projector_bytes if has_head else 0
        return (
            memory.weights_between(start, stop) + head + memory.kv_between(start, stop, ctx, kv_type)
            + memory.gpu_compute(ctx, kv_type, has_head=has_head, several_gpus=several)
        )

    def _placement(self, group: tuple[Budget, ...], counts: tuple[int, ...], ctx: int, kv_type: KvType) -> Placement:
        several = len(group) > 1
        gpu_layers = sum(counts)
        start = self.all_layers - gpu_layers
        shares = []
        for budget, count in zip(group, counts, strict=True):
            if count == 0:
                continue
            has_head = start + count == self.all_layers
            stop = start + count - has_head
            head = self.memory.weights.output_bytes + self.memory.weights.projector_bytes if has_head else 0
            shares.append(Share(
                budget, start, stop, has_head,
                weights_bytes=self.memory.weights_between(start, stop) + head,
                kv_bytes=self.memory.kv_between(start, stop, ctx, kv_type),
                compute_bytes=self.memory.gpu_compute(ctx, kv_type, has_head=has_head, several_gpus=several)))
            start = stop
        return Placement(ctx, kv_type, tuple(shares), self._host_share(self.all_layers - gpu_layers, ctx, kv_type, group))

    def _host_share(self, layers: int, ctx: int, kv_type: KvType, group: tuple[Budget, ...] | None) -> Share:
        has_head = layers == self.all_layers
        blocks = layers - has_head
        projector = self.memory.weights.projector_bytes if group is None or has_head else 0
        return Share(
            self.host, 0, blocks, has_head,
            weights_bytes=self.memory.host_weights(blocks, has_head=has_head) + projector,
            kv_bytes=self.memory.kv_between(0, blocks, ctx, kv_type),
            compute_bytes=self.memory.host_compute(ctx, kv_type, host_blocks=blocks, has_head=has_head))

    def _host_holds_rest(self, group: tuple[Budget, ...], gpu_layers: int, ctx: int, kv_type: KvType) -> bool:
        """Whether main memory holds what is not on the GPUs, and the GPU's part too where it is the same memory."""
        memory = self.memory
        blocks = self.all_layers - max(1, gpu_layers)
        need = (
            memory.host_weights(blocks, has_head=False) + memory.kv_between(0, blocks, ctx, kv_type)
            + memory.host_compute(ctx, kv_type, host_blocks=blocks, has_head=False)
        )
        if group[0].shares_host:
            need += self._gpu_bytes(blocks, memory.blocks, True, ctx, kv_type, several=False)
        return need <= self.host.usable_bytes


def longest_context(fits: Callable[[int], bool], shortest: int, longest: int) -> int:
    """The longest context in tokens for which `fits` holds, in steps of 256 or exactly `longest`; 0 where none does.

    `fits` must not hold for a longer context where it fails for a shorter one.
    """
    if longest < shortest or not fits(shortest):
        return 0
    if fits(longest):
        return longest
    low, high = shortest // CELL_STEP, -(-longest // CELL_STEP)
    while high - low > 1:
        middle = (low + high) // 2
        if fits(middle * CELL_STEP):
            low = middle
        else:
            high = middle
    return max(shortest, low * CELL_STEP)

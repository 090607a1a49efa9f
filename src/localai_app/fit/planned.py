"""llama.cpp's own plan of a model's buffers, taken at a few contexts, and what lies between them.

With flash attention a cache and a compute buffer grow by the same bytes for each position (the mask, and nothing else that
depends on the context), from one ubatch and one window upwards; so what lies between two plans is on their line.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable

import msgspec

from localai_app.engine.protocol import KvType

LOG_ROUNDING_BYTES = 32 * 1024
"""llama.cpp logs each cache in MiB with two decimals, and a model has three caches at most."""


class PlannedPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One dry run: bytes of the whole cache, and of the compute buffers in main memory and on the GPU."""

    ctx: int
    kv_type: KvType
    kv_bytes: int
    host_bytes: int
    """Compute buffer and logits in main memory."""
    gpu_bytes: int = 0
    repacked_bytes: int = 0
    """Weights that the processor rearranges into a copy of its own."""


class PlannedMemory(msgspec.Struct, frozen=True, kw_only=True):
    """Dry runs of one model at several contexts and KV types."""

    ubatch: int
    on_cpu: tuple[PlannedPoint, ...]
    """With every layer on the processor."""
    on_gpu: tuple[PlannedPoint, ...] = ()
    """With every layer on one GPU; empty where there is none."""
    refused: tuple[KvType, ...] = ()
    """Cache types that llama.cpp does not take for this model: heads that do not fill whole blocks."""
    build: str = ""
    """Which llama.cpp was asked."""

    @property
    def repacked_bytes(self) -> int:
        """Weights that are copied when all layers run on the processor."""
        return max((point.repacked_bytes for point in self.on_cpu), default=0)

    def without_repacked(self) -> PlannedMemory:
        """The same for a sister of the model with other types of weights, of which it is not known what is rearranged."""
        points = tuple(msgspec.structs.replace(point, repacked_bytes=0) for point in self.on_cpu)
        return msgspec.structs.replace(self, on_cpu=points)

    def covers(self, kv_type: KvType, *, on_gpu: bool) -> bool:
        """Whether a load with this KV type was planned there."""
        return any(point.kv_type is kv_type for point in (self.on_gpu if on_gpu else self.on_cpu))


class Correction:
    """Turns formula bytes into planned bytes at any context: on the line between two plans, in proportion beyond them."""

    def __init__(self, samples: Iterable[tuple[int, int]], formula: Callable[[int], int], rounding_bytes: int = 0) -> None:
        self._samples = sorted(dict(samples).items())
        self._formula = formula
        self._rounding_bytes = rounding_bytes
        self._known: dict[int, tuple[int, int]] = {}

    def apply(self, formula_bytes: int, ctx: int) -> int:
        """`formula_bytes`, which is a part or all of what the formula says at `ctx`, as planned."""
        planned, formula = self.total(ctx)
        return formula_bytes if planned == formula else formula_bytes * planned // max(1, formula)

    def total(self, ctx: int) -> tuple[int, int]:
        """(planned, formula) bytes of everything at a context; their proportion is what counts."""
        known = self._known.get(ctx)
        if known is None:
            known = self._known[ctx] = self._at(ctx)
        return known

    def _at(self, ctx: int) -> tuple[int, int]:
        formula = self._formula(ctx)
        if not self._samples:
            return formula, formula
        index = bisect_left(self._samples, (ctx, 0))
        around = self._samples[max(0, index - 1) : index + 1]
        if all(abs(planned - self._formula(at)) <= self._rounding_bytes for at, planned in around):
            return formula, formula
        at, planned = around[-1]
        if at == ctx:
            return planned, formula
        if len(around) == 1:
            return planned, self._formula(at)
        before, planned_before = around[0]
        return planned_before + (planned - planned_before) * (ctx - before) // (at - before), formula

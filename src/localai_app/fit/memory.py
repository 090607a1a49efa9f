"""How many bytes a model takes: weights, KV cache and compute buffers, per range of layers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from localai_app.engine.protocol import KvType
from localai_app.fit.compute import compute_shape
from localai_app.fit.kv_cache import cell_bytes, kv_cache_bytes, padded_context, sliding_cells
from localai_app.fit.planned import LOG_ROUNDING_BYTES, Correction, PlannedMemory, PlannedPoint
from localai_app.gguf.geometry import Geometry, RearrangedWeights, Weights
from localai_app.gguf.rearranged import Rearranging

PIPELINE_COPIES = 4
"""Copies of the inputs that llama.cpp keeps when several GPUs work in a pipeline (`GGML_SCHED_MAX_COPIES`)."""


_NOTHING_REARRANGED = RearrangedWeights(way="", layers_bytes=(), output_bytes=0)


class ModelMemory:
    """Bytes of any range of layers of one model, answered in constant time from running sums.

    `blocks` is the number of transformer blocks; the output head counts as one more layer, as llama.cpp counts.
    """

    def __init__(
        self, geometry: Geometry, weights: Weights, ubatch: int, planned: PlannedMemory | None = None,
        rearranging: Rearranging | None = None,
    ) -> None:
        """`planned`: llama.cpp's own figures. `rearranging`: how the processor has its weights; None: as they are."""
        self.geometry = geometry
        self.weights = weights
        self.ubatch = ubatch
        self._compute = compute_shape(geometry, ubatch)
        self.blocks = len(weights.layers_bytes)
        self._weights = [0, *accumulate(weights.layers_bytes)]
        self._rearranged = next((each for each in weights.rearranged if each.way == rearranging), _NOTHING_REARRANGED)
        self._state = self._running_state()
        self._sizes: dict[int, tuple[int, int, int, int]] = {}
        self._full: dict[KvType, list[int]] = {}
        self._sliding: dict[KvType, list[int]] = {}
        self.planned = planned if planned is not None and planned.ubatch == ubatch else None
        self._corrections: dict[tuple[str, KvType], Correction] = {}

    def weights_between(self, start: int, stop: int) -> int:
        """Weights of blocks `start` to `stop` (excluded) in bytes."""
        return self._weights[stop] - self._weights[start]

    def kv_between(self, start: int, stop: int, ctx: int, kv_type: KvType) -> int:
        """Cache and recurrent state of blocks `start` to `stop` (excluded) in bytes."""
        if kv_type not in self._full:
            self._add_running_cells(kv_type)
        full, sliding = self._full[kv_type], self._sliding[kv_type]
        padded, cells, _with_head, _without_head = self._sizes_at(ctx)
        needed = (
            (full[stop] - full[start]) * padded
            + (sliding[stop] - sliding[start]) * cells
            + self._state[stop] - self._state[start]
        )
        if self.planned is None:
            return needed
        planned, formula = self._correction("kv", kv_type).total(padded)
        if formula == 0:
            return planned * stop // self.blocks - planned * start // self.blocks
        return needed if planned == formula else needed * planned // formula

    def gpu_compute(self, ctx: int, kv_type: KvType, *, has_head: bool, several_gpus: bool) -> int:
        """Compute buffer of a GPU that runs some of the layers, in bytes."""
        needed = self._sizes_at(ctx)[2 if has_head else 3]
        if self.planned is not None:
            needed = self._corrected("gpu", needed, ctx, kv_type)
        if several_gpus:
            needed += (PIPELINE_COPIES - 1) * (self._compute.mask_bytes(ctx) + self._compute.embedding_bytes)
        return needed

    def host_compute(self, ctx: int, kv_type: KvType, *, host_blocks: int, has_head: bool) -> int:
        """Compute buffer in main memory in bytes: the inputs only, unless the processor runs layers."""
        runs_layers = host_blocks > 0 or has_head
        needed = self._sizes_at(ctx)[2 if has_head else 3] if runs_layers else self._compute.input_bytes(ctx)
        return needed if self.planned is None else self._corrected("cpu" if runs_layers else "inputs", needed, ctx, kv_type)

    def host_weights(self, host_blocks: int, *, has_head: bool) -> int:
        """Weights in main memory: input tables always, the first blocks, and a head that is not the token table itself.

        Each counts once, though rearranged ones lie in the page cache too, from which the system takes them back. A tied
        head that is rearranged is a tensor of its own.
        """
        is_own = not self.weights.tied_embeddings or self._rearranged.output_bytes > 0
        head = self.weights.output_bytes if has_head and is_own else 0
        return self.weights.input_bytes + self._weights[host_blocks] + head

    def rearranged_bytes(self, host_blocks: int, *, has_head: bool) -> int:
        """The part of `host_weights` that the processor holds rearranged, in a copy of its own."""
        if self.planned is not None and has_head and host_blocks == self.blocks:
            return self.planned.repacked_bytes
        head = self._rearranged.output_bytes if has_head else 0
        return sum(self._rearranged.layers_bytes[:host_blocks]) + head

    def _sizes_at(self, ctx: int) -> tuple[int, int, int, int]:
        """(cells of full layers, cells of sliding layers, compute bytes with the head, compute bytes without) at a context."""
        sizes = self._sizes.get(ctx)
        if sizes is None:
            shape = self._compute
            sizes = self._sizes[ctx] = (
                padded_context(ctx), sliding_cells(ctx, shape.window, shape.ubatch),
                shape.device_bytes(ctx, has_head=True), shape.device_bytes(ctx, has_head=False))
        return sizes

    def _corrected(self, part: str, formula_bytes: int, ctx: int, kv_type: KvType) -> int:
        """Bytes of one part (kv, cpu, gpu, inputs) by the formula, or by llama.cpp's plan of that part if there is one."""
        return self._correction(part, kv_type).apply(formula_bytes, padded_context(ctx))

    def _correction(self, part: str, kv_type: KvType) -> Correction:
        correction = self._corrections.get((part, kv_type))
        if correction is None:
            correction = self._corrections[(part, kv_type)] = self._made_correction(part, kv_type)
        return correction

    def _made_correction(self, part: str, kv_type: KvType) -> Correction:
        assert self.planned is not None
        on_cpu = [point for point in self.planned.on_cpu if point.kv_type is kv_type]
        on_gpu = [point for point in self.planned.on_gpu if point.kv_type is kv_type]

        def formula_kv(ctx: int) -> int:
            return kv_cache_bytes(self.geometry, ctx, kv_type, self.ubatch)

        def formula_compute(ctx: int) -> int:
            return self._compute.device_bytes(ctx, has_head=True)

        if part == "kv":
            return Correction(_samples(on_cpu or on_gpu, "kv_bytes"), formula_kv, LOG_ROUNDING_BYTES)
        if part == "cpu":
            return Correction(_samples(on_cpu, "host_bytes"), formula_compute)
        if part == "gpu":
            return Correction(_samples(on_gpu, "gpu_bytes"), formula_compute)
        return Correction(_samples(on_gpu, "host_bytes"), self._compute.input_bytes)

    def _running_state(self) -> list[int]:
        """Recurrent state up to each block (spread over all of them where the model does not say which keep it)."""
        per_block, keepers = [0] * self.blocks, self.geometry.recurrent_blocks or range(self.blocks)
        total = self.geometry.recurrent_state_bytes
        for number, block in enumerate(keepers):
            per_block[block] = total * (number + 1) // len(keepers) - total * number // len(keepers)
        return [0, *accumulate(per_block)]

    def _add_running_cells(self, kv_type: KvType) -> None:
        full, sliding = [0] * self.blocks, [0] * self.blocks
        sizes: dict[tuple[int, int], int] = {}
        for layer in self.geometry.cache_layers:
            shape = (layer.k_elements, layer.v_elements)
            size = sizes.get(shape)
            if size is None:
                size = sizes[shape] = cell_bytes(layer, kv_type)
            (sliding if layer.sliding else full)[layer.block] += size
        self._full[kv_type] = [0, *accumulate(full)]
        self._sliding[kv_type] = [0, *accumulate(sliding)]


def _samples(points: Sequence[PlannedPoint], field: str) -> list[tuple[int, int]]:
    return [(point.ctx, int(getattr(point, field))) for point in points]

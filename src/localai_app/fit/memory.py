"""The bytes of one model for any range of its layers at any context, from running sums."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from localai_app.engine.protocol import KvType
from localai_app.fit.compute import ComputeShape, compute_shape
from localai_app.fit.kv_cache import KV_BLOCKS, cell_bytes, kv_cache_bytes
from localai_app.fit.planned import LOG_ROUNDING_BYTES, Correction, PlannedMemory, PlannedPoint
from localai_app.gguf.geometry import Geometry, RearrangedWeights, Weights
from localai_app.gguf.rearranged import Rearranging

PIPELINE_COPIES = 4
"""Copies of the inputs that llama.cpp keeps when several GPUs work in a pipeline (`GGML_SCHED_MAX_COPIES`)."""
COPYING_UBATCH = 32
"""From so many tokens on, GPUs multiply weights of main memory themselves (`min_batch_size` of ggml-cuda and others)."""
UNIT = 32
UNIT_BYTES: dict[KvType, int] = {kv_type: UNIT // elements * size for kv_type, (elements, size) in KV_BLOCKS.items()}
"""Bytes of 32 elements of each cache type."""
TOKENIZER_BYTES_PER_ENTRY = 154
"""Main memory that the tokenizer's tables take for each entry of the vocabulary, beside llama.cpp's buffers.

Least squares over 20 loads of SmolLM2 135M (49,152 entries, with merges) and Gemma 3 270M (262,144) at five contexts and two
KV types: growth of the worker after a prompt of one ubatch, less the buffers that llama.cpp logged (13-20 and 17-47 MiB).
"""
_NOTHING_REARRANGED = RearrangedWeights(way="", layers_bytes=(), output_bytes=0)


class Moment:
    """What one context takes wherever layers may lie: everything that depends on the context alone, worked out once. Bytes."""

    __slots__ = ("_full", "_known", "_per_cell", "_per_window_cell", "_planned", "_sliding", "_state",
                 "ctx", "gpu", "gpu_with_head", "host", "host_with_head", "inputs", "kv_type", "pipeline")

    def __init__(self, memory: ModelMemory, ctx: int, kv_type: KvType) -> None:
        self.ctx, self.kv_type = ctx, kv_type
        shape, sums = memory.shape, memory.sums
        self._full, self._sliding, unit_bytes = sums.cells(kv_type)
        cells = padded, window_cells = shape.cells(ctx)
        mask_bytes = shape.mask_bytes(cells)
        self._per_cell, self._per_window_cell = padded * unit_bytes, window_cells * unit_bytes
        self._state = sums.state
        self._planned = self._known = 0
        layer_bytes, logits_bytes = mask_bytes + shape.activation_bytes, shape.logits_bytes
        self.gpu = self.host = layer_bytes
        self.gpu_with_head = self.host_with_head = layer_bytes if layer_bytes > logits_bytes else logits_bytes
        self.inputs = mask_bytes + 2 * shape.embedding_bytes + shape.side_input_bytes
        self.pipeline = (PIPELINE_COPIES - 1) * (mask_bytes + shape.embedding_bytes)
        if memory.planned is not None:
            self._correct(memory, padded, kv_type)

    def kv(self, start: int, stop: int) -> int:
        """Cache and recurrent state of blocks `start` to `stop` (excluded) in bytes."""
        needed = (self._full[stop] - self._full[start]) * self._per_cell
        if self._sliding:
            needed += (self._sliding[stop] - self._sliding[start]) * self._per_window_cell
        if self._state:
            needed += self._state[stop] - self._state[start]
        if self._planned == self._known:
            return needed
        blocks = len(self._full) - 1
        if self._known == 0:
            return self._planned * stop // blocks - self._planned * start // blocks
        return needed * self._planned // self._known

    def _correct(self, memory: ModelMemory, padded: int, kv_type: KvType) -> None:
        self._planned, self._known = memory.correction("kv", kv_type).total(padded)
        on_gpu, on_cpu = memory.correction("gpu", kv_type), memory.correction("cpu", kv_type)
        self.gpu, self.gpu_with_head = on_gpu.apply(self.gpu, padded), on_gpu.apply(self.gpu_with_head, padded)
        self.host, self.host_with_head = on_cpu.apply(self.host, padded), on_cpu.apply(self.host_with_head, padded)
        self.inputs = memory.correction("inputs", kv_type).apply(self.inputs, padded)


class RunningSums:
    """Bytes and cells of one model up to each of its blocks, so that any range is a difference of two."""

    def __init__(self, geometry: Geometry, weights: Weights) -> None:
        self.blocks = len(weights.layers_bytes)
        self.weights = [0, *accumulate(weights.layers_bytes)]
        self.largest_experts = max(weights.layers_expert_bytes, default=0)
        self.experts = [0, *accumulate(weights.layers_expert_bytes)] if self.largest_experts else []
        self.file_bytes = weights.file_bytes
        self.first_dense = weights.layers_bytes[0] - weights.layers_expert_bytes[0]
        self.state = self._running_state(geometry) if geometry.recurrent_state_bytes else []
        self._layers = geometry.cache_layers
        self.sliding_layers = [layer.sliding for layer in self._layers].count(True)
        self._cells: dict[KvType, tuple[list[int], list[int], int]] = {}
        self._units = self._in_units()
        self.is_aligned = self._units is not None

    def cells(self, kv_type: KvType) -> tuple[list[int], list[int], int]:
        """(full layers, sliding layers, factor): running sums that give bytes per position when multiplied by the factor.

        Rows of whole blocks of 32 elements are counted in these, for all cache types at once. No sliding layers: an empty list.
        """
        found = self._cells.get(kv_type)
        if found is None:
            found = self._cells[kv_type] = (*self._units, UNIT_BYTES[kv_type]) if self._units else (*self._in_bytes(kv_type), 1)
        return found

    def _in_bytes(self, kv_type: KvType) -> tuple[list[int], list[int]]:
        full, sliding = [0] * self.blocks, [0] * self.blocks
        for layer in self._layers:
            (sliding if layer.sliding else full)[layer.block] += cell_bytes(layer, kv_type)
        return self._accumulated(full, sliding)

    def _in_units(self) -> tuple[list[int], list[int]] | None:
        """The running sums in blocks of 32 elements; None where a row is not made of whole ones."""
        full, sliding = [0] * self.blocks, [0] * self.blocks
        all_bits = 0
        for layer in self._layers:
            keys, values = layer.k_elements, layer.v_elements
            all_bits |= keys | values
            (sliding if layer.sliding else full)[layer.block] += (keys + values) // UNIT
        return None if all_bits % UNIT else self._accumulated(full, sliding)

    def _accumulated(self, full: list[int], sliding: list[int]) -> tuple[list[int], list[int]]:
        return [0, *accumulate(full)], [0, *accumulate(sliding)] if self.sliding_layers else []

    def _running_state(self, geometry: Geometry) -> list[int]:
        """Recurrent state up to each block (spread over all of them where the model does not say which keep it)."""
        per_block, keepers = [0] * self.blocks, geometry.recurrent_blocks or range(self.blocks)
        total = geometry.recurrent_state_bytes
        for number, block in enumerate(keepers):
            per_block[block] = total * (number + 1) // len(keepers) - total * number // len(keepers)
        return [0, *accumulate(per_block)]


class ModelMemory:
    """Bytes of any range of layers of one model, answered in constant time from running sums.

    `blocks` is the number of transformer blocks; the output head counts as one more layer, as llama.cpp counts.
    """

    def __init__(
        self, geometry: Geometry, weights: Weights, ubatch: int, planned: PlannedMemory | None = None,
        rearranging: Rearranging | None = None, like: ModelMemory | None = None,
    ) -> None:
        """`planned`: llama.cpp's own figures. `rearranging`: how the processor has its weights; None: as they are.

        `like`: the same model with another ubatch, or with and without plans.
        """
        self.geometry = geometry
        self.weights = weights
        self.ubatch = ubatch
        self.planned = planned
        self.rearranging = rearranging
        self._rearranged = next((each for each in weights.rearranged if each.way == rearranging), _NOTHING_REARRANGED)
        self.sums: RunningSums = like.sums if like is not None else RunningSums(geometry, weights)
        self.blocks = self.sums.blocks
        self.tokenizer_bytes = geometry.n_vocab * TOKENIZER_BYTES_PER_ENTRY
        self.shape: ComputeShape = like.shape.with_ubatch(ubatch) if like is not None else compute_shape(geometry, ubatch)
        self._planned_shape = self.shape if planned is None else self.shape.with_ubatch(planned.ubatch)
        self._moments: dict[tuple[int, KvType], Moment] = {}
        self._corrections: dict[tuple[str, KvType], Correction] = {}

    def with_ubatch(self, ubatch: int) -> ModelMemory:
        """The same model in steps of another length; what was planned for the first length counts in proportion."""
        if ubatch == self.ubatch:
            return self
        return ModelMemory(self.geometry, self.weights, ubatch, self.planned, self.rearranging, self)

    def by_formula(self) -> ModelMemory:
        """The same without what was planned."""
        return ModelMemory(self.geometry, self.weights, self.ubatch, None, self.rearranging, self)

    def is_planned(self, kv_type: KvType, *, on_gpu: bool) -> bool:
        """Whether llama.cpp itself was asked about this ubatch and KV type, on a GPU or on the processor."""
        return self.planned is not None and self.planned.ubatch == self.ubatch and self.planned.covers(kv_type, on_gpu=on_gpu)

    def at(self, ctx: int, kv_type: KvType) -> Moment:
        """What depends on the context."""
        moment = self._moments.get((ctx, kv_type))
        if moment is None:
            moment = self._moments[(ctx, kv_type)] = Moment(self, ctx, kv_type)
        return moment

    def weights_between(self, start: int, stop: int, expert_blocks: int = 0) -> int:
        """Weights of blocks `start` to `stop` (excluded) in bytes, without the experts of the first `expert_blocks` blocks."""
        sums = self.sums
        needed = sums.weights[stop] - sums.weights[start]
        return needed - self.experts_between(start, min(stop, expert_blocks)) if expert_blocks > start else needed

    def experts_between(self, start: int, stop: int) -> int:
        """Routed experts of blocks `start` to `stop` (excluded) in bytes."""
        experts = self.sums.experts
        return experts[stop] - experts[start] if experts and stop > start else 0

    def copied_bytes(self, *, has_blocks: bool) -> int:
        """What a GPU holds of weights in main memory while it reads a prompt, in bytes: one tensor at a time.

        With a ubatch of 32 or more, ggml's scheduler copies such weights to the first GPU instead of multiplying them on the
        processor (`ggml_backend_sched_backend_id_from_cur`). The largest tensor of a block is taken as half of its experts,
        or two fifths of what else is in it. `has_blocks`: whole blocks lie there, not only experts.
        """
        if self.ubatch < COPYING_UBATCH:
            return 0
        return max(self.sums.largest_experts // 2, self.sums.first_dense * 2 // 5 if has_blocks else 0)

    def host_weights(self, host_blocks: int, *, has_head: bool) -> int:
        """Weights in main memory: input tables always, the first blocks, and a head that is not the token table itself.

        Each counts once, though rearranged ones lie in the page cache too, from which the system takes them back. A tied
        head that is rearranged is a tensor of its own.
        """
        is_own = not self.weights.tied_embeddings or self._rearranged.output_bytes > 0
        head = self.weights.output_bytes if has_head and is_own else 0
        return self.weights.input_bytes + self.sums.weights[host_blocks] + head

    def rearranged_bytes(self, host_blocks: int, *, has_head: bool) -> int:
        """The part of `host_weights` that the processor holds rearranged, in a copy of its own."""
        if self.planned is not None and has_head and host_blocks == self.blocks:
            return self.planned.repacked_bytes
        head = self._rearranged.output_bytes if has_head else 0
        return sum(self._rearranged.layers_bytes[:host_blocks]) + head

    def correction(self, part: str, kv_type: KvType) -> Correction:
        """From formula to plan for one part (kv, cpu, gpu, inputs); of the plan's own ubatch."""
        correction = self._corrections.get((part, kv_type))
        if correction is None:
            correction = self._corrections[(part, kv_type)] = self._made_correction(part, kv_type)
        return correction

    def _made_correction(self, part: str, kv_type: KvType) -> Correction:
        assert self.planned is not None
        on_cpu = [point for point in self.planned.on_cpu if point.kv_type is kv_type]
        on_gpu = [point for point in self.planned.on_gpu if point.kv_type is kv_type]
        shape = self._planned_shape

        def formula_kv(ctx: int) -> int:
            return kv_cache_bytes(self.geometry, ctx, kv_type, shape.ubatch)

        def formula_compute(ctx: int) -> int:
            return shape.device_bytes(ctx, has_head=True)

        if part == "kv":
            return Correction(_samples(on_cpu or on_gpu, "kv_bytes"), formula_kv, LOG_ROUNDING_BYTES)
        if part == "cpu":
            return Correction(_samples(on_cpu, "host_bytes"), formula_compute)
        if part == "gpu":
            return Correction(_samples(on_gpu, "gpu_bytes"), formula_compute)
        return Correction(_samples(on_gpu, "host_bytes"), shape.input_bytes)


def _samples(points: Sequence[PlannedPoint], field: str) -> list[tuple[int, int]]:
    return [(point.ctx, int(getattr(point, field))) for point in points]

"""How many bytes a model takes: KV cache, compute buffers and weights, per range of layers.

Formulas: `llama_kv_cache` (src/llama-kv-cache.cpp), `llama_kv_cache_iswa` (src/llama-kv-cache-iswa.cpp) and
`llama_context::sched_reserve` of llama.cpp as in llama-cpp-python 0.3.36, with flash attention on and `swa_full` off, as
the worker sets them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from localai_app.engine.protocol import KvType
from localai_app.fit.planned import LOG_ROUNDING_BYTES, Correction, PlannedMemory, PlannedPoint
from localai_app.gguf.geometry import CacheLayer, Geometry, Weights

CELL_STEP = 256
"""Contexts are rounded up to this many positions (`llama_context` constructor)."""
KV_BLOCKS: dict[KvType, tuple[int, int]] = {KvType.F16: (1, 2), KvType.Q8_0: (32, 34), KvType.Q4_0: (32, 18)}
"""(elements, bytes) of one block of each cache type."""
LOGIT_ROWS: int | None = 1
"""Rows of logits for which the compute buffer is reserved: the worker sets `n_outputs_max = 1`.

None stands for llama.cpp's default, a whole ubatch: 300-500 MiB more where the vocabulary is large.
"""
PIPELINE_COPIES = 4
"""Copies of the inputs that llama.cpp keeps when several GPUs work in a pipeline (`GGML_SCHED_MAX_COPIES`)."""
F32_BYTES = 4
MASK_BYTES = 2


def padded_context(ctx: int) -> int:
    """Positions that llama.cpp really reserves for a context of `ctx` tokens."""
    return max(1, -(-ctx // CELL_STEP)) * CELL_STEP


def sliding_cells(ctx: int, window: int, ubatch: int) -> int:
    """Positions of a sliding layer's cache: the window and one ubatch, never more than the context."""
    return min(padded_context(ctx), padded_context(min(padded_context(ctx), window + ubatch)))


def row_bytes(kv_type: KvType, elements: int) -> int:
    """Bytes of one cache row (`ggml_row_size`); a started block counts whole."""
    block_elements, block_bytes = KV_BLOCKS[kv_type]
    return -(-elements // block_elements) * block_bytes


def cell_bytes(layer: CacheLayer, kv_type: KvType) -> int:
    """Bytes that one position takes in one layer, K and V together."""
    return row_bytes(kv_type, layer.k_elements) + row_bytes(kv_type, layer.v_elements)


def kv_cache_bytes(geometry: Geometry, ctx: int, kv_type: KvType, ubatch: int = 512) -> int:
    """The whole cache of one sequence in bytes, fixed recurrent state included."""
    full = sum(cell_bytes(layer, kv_type) for layer in geometry.cache_layers if not layer.sliding)
    sliding = sum(cell_bytes(layer, kv_type) for layer in geometry.cache_layers if layer.sliding)
    cells = sliding_cells(ctx, geometry.sliding_window, ubatch)
    return full * padded_context(ctx) + sliding * cells + geometry.recurrent_state_bytes


@dataclass(frozen=True, slots=True)
class ComputeShape:
    """What decides a compute buffer, worked out once per model; bytes for one ubatch."""

    ubatch: int
    slides: bool
    window: int
    embedding_bytes: int
    activation_bytes: int
    logits_bytes: int

    def mask_bytes(self, ctx: int) -> int:
        """The attention mask in bytes; a second one where layers slide."""
        cells = padded_context(ctx) + (sliding_cells(ctx, self.window, self.ubatch) if self.slides else 0)
        return cells * self.ubatch * MASK_BYTES

    def device_bytes(self, ctx: int, *, has_head: bool) -> int:
        """The buffer of a device that runs layers, in bytes: the larger of its two moments."""
        layer = self.mask_bytes(ctx) + self.activation_bytes
        return max(self.logits_bytes, layer) if has_head else layer

    def input_bytes(self, ctx: int) -> int:
        """Main memory that the inputs take while every layer runs on a GPU: masks, and embeddings in and out."""
        return self.mask_bytes(ctx) + 2 * self.embedding_bytes


def compute_shape(geometry: Geometry, ubatch: int, logit_rows: int | None = LOGIT_ROWS) -> ComputeShape:
    """The compute buffer of a model with flash attention, as a function of the context.

    The larger of two moments: the logits with two rows of embeddings beside them, or one layer's masks and activations.
    The table of what this misses is in docs/fit-errors.md.
    """
    embedding = geometry.n_embd * ubatch * F32_BYTES
    activations = (_feed_forward_row(geometry) + _attention_row(geometry) + geometry.n_embd_side) * ubatch * F32_BYTES
    rows = ubatch if logit_rows is None else min(logit_rows, ubatch)
    return ComputeShape(
        ubatch=ubatch, slides=any(layer.sliding for layer in geometry.cache_layers), window=geometry.sliding_window,
        embedding_bytes=embedding, activation_bytes=activations,
        logits_bytes=rows * geometry.n_vocab * F32_BYTES + 2 * embedding)


def _feed_forward_row(geometry: Geometry) -> int:
    """Elements per token at the widest moment of a feed-forward: gate, up and their product.

    What comes out of the experts, one row of embeddings each, lies in the place of gate and up if it fits there (ggml-alloc
    takes the smallest free block that is large enough), else behind them.
    """
    out = geometry.n_expert_used * geometry.n_embd
    experts = 3 * geometry.n_ff_experts + (out if out > 2 * geometry.n_ff_experts else 0)
    return max(3 * geometry.n_ff, experts if geometry.n_expert else 0)


def _attention_row(geometry: Geometry) -> int:
    """Elements per token that lie beside a feed-forward: the input, the residual, its norm, and the place of the queries.

    Where the queries took more than two rows of embeddings, one of the others lies in their place.
    """
    mla_rows = (layer.k_elements for layer in geometry.cache_layers if layer.v_elements == 0)
    heads = geometry.n_head * max(geometry.head_dim, *mla_rows, 0)
    return max(heads, geometry.n_embd) + (2 if heads > 2 * geometry.n_embd else 3) * geometry.n_embd


class ModelMemory:
    """Bytes of any range of layers of one model, answered in constant time from running sums.

    `blocks` is the number of transformer blocks; the output head counts as one more layer, as llama.cpp counts.
    """

    def __init__(self, geometry: Geometry, weights: Weights, ubatch: int, planned: PlannedMemory | None = None) -> None:
        self.geometry = geometry
        self.weights = weights
        self.ubatch = ubatch
        self._compute = compute_shape(geometry, ubatch)
        self.blocks = len(weights.layers_bytes)
        self._weights = [0, *accumulate(weights.layers_bytes)]
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
        """Weights in main memory: input tables always, the first blocks, and a head that is not the token table itself."""
        head = self.weights.output_bytes if has_head and not self.weights.tied_embeddings else 0
        return self.weights.input_bytes + self._weights[host_blocks] + head

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

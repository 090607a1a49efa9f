"""How many bytes a model takes: KV cache, compute buffers and weights, per range of layers.

Formulas: `llama_kv_cache` (src/llama-kv-cache.cpp), `llama_kv_cache_iswa` (src/llama-kv-cache-iswa.cpp) and
`llama_context::sched_reserve` of llama.cpp as in llama-cpp-python 0.3.36, with flash attention on and `swa_full` off, as
the worker sets them.
"""

from __future__ import annotations

from itertools import accumulate

from localai_app.engine.protocol import KvType
from localai_app.gguf.geometry import CacheLayer, Geometry, Weights

CELL_STEP = 256
"""Contexts are rounded up to this many positions (`llama_context` constructor)."""
KV_BLOCKS: dict[KvType, tuple[int, int]] = {KvType.F16: (1, 2), KvType.Q8_0: (32, 34), KvType.Q4_0: (32, 18)}
"""(elements, bytes) of one block of each cache type."""
LOGIT_ROWS: int | None = None
"""Rows of logits for which the compute buffer is reserved; None: a whole ubatch, llama.cpp's default.

It has to follow the worker: one that sets `n_outputs_max = 1` reserves a single row (300-500 MiB less where the
vocabulary is large), and then this is 1.
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


def mask_bytes(geometry: Geometry, ctx: int, ubatch: int) -> int:
    """The attention mask of one ubatch in bytes; a second one where layers slide."""
    masks = padded_context(ctx) * ubatch * MASK_BYTES
    if any(layer.sliding for layer in geometry.cache_layers):
        masks += sliding_cells(ctx, geometry.sliding_window, ubatch) * ubatch * MASK_BYTES
    return masks


def compute_bytes(geometry: Geometry, ctx: int, ubatch: int, *, logit_rows: int | None = None, has_head: bool = True) -> int:
    """The compute buffer of one device in bytes, for a whole ubatch with flash attention.

    The larger of two moments: the logits with two rows of embeddings beside them, or one layer's masks and activations
    (three feed-forward rows, three of embeddings, one of heads; for experts one of embeddings each). Fitted to dry runs of
    llama-cpp-python 0.3.36 on the CPU for eight dense and mixture models from 135 M to 70 B weights: within 8 % of each.
    """
    embedding = geometry.n_embd * ubatch * F32_BYTES
    heads = geometry.n_head * _widest_key(geometry) * ubatch * F32_BYTES
    activations = 3 * geometry.n_ff * ubatch * F32_BYTES + 3 * embedding + max(heads, embedding)
    if geometry.n_expert:
        activations += embedding * geometry.n_expert_used
    layer = mask_bytes(geometry, ctx, ubatch) + activations
    if not has_head:
        return layer
    rows = logit_rows if logit_rows is not None else LOGIT_ROWS if LOGIT_ROWS is not None else ubatch
    logits = min(rows, ubatch) * geometry.n_vocab * F32_BYTES + 2 * embedding
    return max(logits, layer)


def host_compute_bytes(geometry: Geometry, ctx: int, ubatch: int) -> int:
    """Main memory that the inputs take while every layer runs on a GPU: the masks, and the embeddings in and out."""
    return mask_bytes(geometry, ctx, ubatch) + 2 * geometry.n_embd * ubatch * F32_BYTES


def _widest_key(geometry: Geometry) -> int:
    """Elements of one head's key; MLA layers compute with the row that they store, once per head."""
    mla_rows = (layer.k_elements for layer in geometry.cache_layers if layer.v_elements == 0)
    return max(geometry.head_dim, *mla_rows, 0)


class ModelMemory:
    """Bytes of any range of layers of one model, answered in constant time from running sums.

    `blocks` is the number of transformer blocks; the output head counts as one more layer, as llama.cpp counts.
    """

    def __init__(self, geometry: Geometry, weights: Weights, ubatch: int) -> None:
        self.geometry = geometry
        self.weights = weights
        self.ubatch = ubatch
        self.blocks = len(weights.layers_bytes)
        self._weights = [0, *accumulate(weights.layers_bytes)]
        self._owners = _cache_owners(geometry, self.blocks)
        self._state = self._running_state()
        self._full: dict[KvType, list[int]] = {}
        self._sliding: dict[KvType, list[int]] = {}

    def weights_between(self, start: int, stop: int) -> int:
        """Weights of blocks `start` to `stop` (excluded) in bytes."""
        return self._weights[stop] - self._weights[start]

    def kv_between(self, start: int, stop: int, ctx: int, kv_type: KvType) -> int:
        """Cache and recurrent state of blocks `start` to `stop` (excluded) in bytes."""
        if kv_type not in self._full:
            self._add_running_cells(kv_type)
        full, sliding = self._full[kv_type], self._sliding[kv_type]
        cells = sliding_cells(ctx, self.geometry.sliding_window, self.ubatch)
        return (
            (full[stop] - full[start]) * padded_context(ctx)
            + (sliding[stop] - sliding[start]) * cells
            + self._state[stop] - self._state[start]
        )

    def gpu_compute(self, ctx: int, *, has_head: bool, several_gpus: bool) -> int:
        """Compute buffer of a GPU that runs some of the layers, in bytes."""
        needed = compute_bytes(self.geometry, ctx, self.ubatch, has_head=has_head)
        if several_gpus:
            inputs = mask_bytes(self.geometry, ctx, self.ubatch) + self.geometry.n_embd * self.ubatch * F32_BYTES
            needed += (PIPELINE_COPIES - 1) * inputs
        return needed

    def host_compute(self, ctx: int, *, host_blocks: int, has_head: bool) -> int:
        """Compute buffer in main memory in bytes: the inputs only, unless the processor runs layers."""
        if host_blocks or has_head:
            return compute_bytes(self.geometry, ctx, self.ubatch, has_head=has_head)
        return host_compute_bytes(self.geometry, ctx, self.ubatch)

    def host_weights(self, host_blocks: int, *, has_head: bool) -> int:
        """Weights in main memory: input tables always, the first blocks, and a head that is not the token table itself."""
        head = self.weights.output_bytes if has_head and not self.weights.tied_embeddings else 0
        return self.weights.input_bytes + self._weights[host_blocks] + head

    def _running_state(self) -> list[int]:
        """Recurrent state up to each block: spread over the blocks that own no cache (over all where each owns one)."""
        owners = set(self._owners)
        keepers = [block for block in range(self.blocks) if block not in owners] or list(range(self.blocks))
        per_block = [0] * self.blocks
        for number, block in enumerate(keepers):
            total = self.geometry.recurrent_state_bytes
            per_block[block] = total * (number + 1) // len(keepers) - total * number // len(keepers)
        return [0, *accumulate(per_block)]

    def _add_running_cells(self, kv_type: KvType) -> None:
        full, sliding = [0] * self.blocks, [0] * self.blocks
        sizes: dict[tuple[int, int], int] = {}
        for block, layer in zip(self._owners, self.geometry.cache_layers, strict=False):
            shape = (layer.k_elements, layer.v_elements)
            size = sizes.get(shape)
            if size is None:
                size = sizes[shape] = cell_bytes(layer, kv_type)
            (sliding if layer.sliding else full)[block] += size
        self._full[kv_type] = [0, *accumulate(full)]
        self._sliding[kv_type] = [0, *accumulate(sliding)]


def _cache_owners(geometry: Geometry, blocks: int) -> tuple[int, ...]:
    """The block that each cache layer belongs to.

    Hybrid models attend in every k-th block, so the owners are spread evenly; models that share caches (Gemma 3n, Gemma 4
    E) own them in the first blocks.
    """
    count = len(geometry.cache_layers)
    if blocks == 0:
        return ()
    if geometry.recurrent_state_bytes and count < blocks:
        return tuple((number + 1) * blocks // count - 1 for number in range(count))
    return tuple(min(number, blocks - 1) for number in range(count))

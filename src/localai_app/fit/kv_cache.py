"""How many bytes a KV cache takes, and of how many positions.

Formulas: `llama_kv_cache` (src/llama-kv-cache.cpp) and `llama_kv_cache_iswa` (src/llama-kv-cache-iswa.cpp) of llama.cpp as in
llama-cpp-python 0.3.36, with flash attention on and `swa_full` off, as the worker sets them.
"""

from __future__ import annotations

from localai_app.engine.protocol import KvType
from localai_app.gguf.geometry import CacheLayer, Geometry

CELL_STEP = 256
"""Contexts are rounded up to this many positions (`llama_context` constructor)."""
KV_BLOCKS: dict[KvType, tuple[int, int]] = {KvType.F16: (1, 2), KvType.Q8_0: (32, 34), KvType.Q4_0: (32, 18)}
"""(elements, bytes) of one block of each cache type."""


def padded_context(ctx: int) -> int:
    """Positions that llama.cpp really reserves for a context of `ctx` tokens."""
    return CELL_STEP if ctx <= CELL_STEP else -(-ctx // CELL_STEP) * CELL_STEP


def sliding_cells(ctx: int, window: int, ubatch: int) -> int:
    """Positions of a sliding layer's cache: the window and one ubatch, never more than the context."""
    return min(padded_context(ctx), padded_context(window + ubatch))


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

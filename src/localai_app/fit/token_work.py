"""What a device has to do for one token: weights that it reads, layers of attention and cache per position."""

from __future__ import annotations

import msgspec

from localai_app.engine.protocol import KvType
from localai_app.fit.memory import ModelMemory
from localai_app.fit.shares import Share

_MORE_THAN_A_TABLE = 2.1
"""Inputs this much larger than the table for the vocabulary hold tables for each block as well (Gemma 3n, Gemma 4 E)."""


class Attention(msgspec.Struct, frozen=True):
    """Attention in a range of blocks, by the two kinds of layers. Layers without attention (recurrent ones) count nowhere."""

    full_layers: float
    """Layers that see the whole context."""
    window_layers: float
    """Layers that see a window."""
    full_bytes: float
    """Cache that one position takes in the first kind."""
    window_bytes: float
    """The same in the second kind."""
    window: int

    def products(self, memory: ModelMemory) -> float:
        """Multiplications per layer and position: keys and values of every head."""
        return 2.0 * memory.geometry.n_head * memory.geometry.head_dim


def attention_of(memory: ModelMemory, start: int, stop: int, kv_type: KvType) -> Attention:
    """Attention of blocks `start` to `stop` (excluded): their part of all layers, as if both kinds were spread evenly.

    Models that share caches (Gemma 3n, Gemma 4 E) attend in every block, over the cache of an earlier one.
    """
    geometry = memory.geometry
    owners = len(geometry.cache_layers)
    if owners == 0 or memory.blocks == 0:
        return Attention(0.0, 0.0, 0.0, 0.0, 0)
    attending = owners if geometry.recurrent_state_bytes else max(owners, memory.blocks)
    part = (stop - start) / memory.blocks * attending / owners
    full, sliding, unit_bytes = memory.sums.cells(kv_type)
    window_layers = memory.sums.sliding_layers
    return Attention(
        (owners - window_layers) * part, window_layers * part, full[-1] * unit_bytes * part,
        sliding[-1] * unit_bytes * part if sliding else 0.0, geometry.sliding_window)


def active_bytes(share: Share, memory: ModelMemory) -> int:
    """Weights that one token reads on a device, in bytes; input tables are looked up, not read."""
    return _active_block_bytes(share, memory) + (memory.weights.output_bytes if share.has_head else 0)


def state_bytes(share: Share, memory: ModelMemory) -> int:
    """Recurrent states that one token reads on a device, in bytes."""
    return memory.geometry.recurrent_state_bytes * (share.stop - share.start) // max(1, memory.blocks)


def block_weights(share: Share, memory: ModelMemory) -> float | None:
    """Weights that a device multiplies for one token of a prompt; None where the model does not say how many it has.

    Those of the blocks: the head is needed for the last token only.
    """
    bytes_per_weight = _bytes_per_block_weight(memory)
    return _active_block_bytes(share, memory) / bytes_per_weight if bytes_per_weight else None


def bytes_per_weight(memory: ModelMemory) -> float | None:
    """Bytes of one weight on average; None where the model does not say how many it has."""
    params = memory.geometry.params_total
    return _plausible(memory.sums.file_bytes / params) if params else None


def _active_block_bytes(share: Share, memory: ModelMemory) -> int:
    """Blocks with those of their experts that one token uses, on the device where they lie."""
    geometry = memory.geometry
    experts_start = share.start + share.expert_blocks if share.budget.kind == "gpu" else share.start
    experts = memory.experts_between(experts_start, share.stop) + share.expert_bytes
    idle = experts - experts * geometry.n_expert_used // geometry.n_expert if geometry.n_expert else 0
    return memory.weights_between(share.start, share.stop, experts_start) + share.expert_bytes - idle


def _plausible(size_bytes: float) -> float:
    """Between one bit and a bit more than F32, whatever an odd header says."""
    return min(max(size_bytes, 0.125), 4.5)


def _bytes_per_block_weight(memory: ModelMemory) -> float | None:
    """The same for blocks alone, whose weights are often smaller than those of the tables for the vocabulary."""
    average = bytes_per_weight(memory)
    geometry, weights = memory.geometry, memory.weights
    table = geometry.n_vocab * geometry.n_embd
    in_blocks = geometry.params_total - table * (1 if weights.tied_embeddings else 2)
    if average is None or in_blocks <= 0 or weights.input_bytes > _MORE_THAN_A_TABLE * average * table:
        return average
    return _plausible(memory.weights_between(0, memory.blocks) / in_blocks)

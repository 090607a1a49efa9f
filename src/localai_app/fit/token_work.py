"""What a device has to do for one token: weights that it reads, layers of attention and cache per position."""

from __future__ import annotations

from dataclasses import dataclass

from localai_app.engine.protocol import KvType
from localai_app.fit.memory import ModelMemory
from localai_app.fit.placement import Share


@dataclass(frozen=True, slots=True)
class Attention:
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
    """Bytes that one token reads on a device whatever its depth: weights that take part, and recurrent states.

    Of experts only those in use, on the device where they lie; input tables are looked up, not read.
    """
    geometry = memory.geometry
    experts_start = share.start + share.expert_blocks if share.budget.kind == "gpu" else share.start
    experts = memory.experts_between(experts_start, share.stop) + share.expert_bytes
    idle = experts - experts * geometry.n_expert_used // geometry.n_expert if geometry.n_expert else 0
    head = memory.weights.output_bytes if share.has_head else 0
    state = geometry.recurrent_state_bytes * (share.stop - share.start) // max(1, memory.blocks)
    weights = memory.weights_between(share.start, share.stop, experts_start) + share.expert_bytes
    return weights - idle + head + state

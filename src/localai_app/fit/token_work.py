"""What a device has to do for one token: weights that it reads, layers of attention and cache per position."""

from __future__ import annotations

from dataclasses import dataclass

from localai_app.engine.protocol import KvType
from localai_app.fit.kv_cache import cell_bytes
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
    sizes: dict[tuple[int, int], int] = {}
    layers, sizes_sum = [0, 0], [0, 0]
    for layer in geometry.cache_layers:
        shape = (layer.k_elements, layer.v_elements)
        size = sizes.get(shape)
        if size is None:
            size = sizes[shape] = cell_bytes(layer, kv_type)
        layers[layer.sliding] += 1
        sizes_sum[layer.sliding] += size
    return Attention(
        layers[0] * part, layers[1] * part, sizes_sum[0] * part, sizes_sum[1] * part, geometry.sliding_window)


def active_bytes(share: Share, memory: ModelMemory) -> int:
    """Bytes that one token reads on a device whatever its depth: weights that take part, and recurrent states.

    Of experts only those in use; input tables are looked up, not read.
    """
    geometry = memory.geometry
    experts = sum(memory.weights.layers_expert_bytes[share.start : share.stop])
    idle = experts - experts * geometry.n_expert_used // geometry.n_expert if geometry.n_expert else 0
    head = memory.weights.output_bytes if share.has_head else 0
    state = geometry.recurrent_state_bytes * (share.stop - share.start) // max(1, memory.blocks)
    return memory.weights_between(share.start, share.stop) - idle + head + state

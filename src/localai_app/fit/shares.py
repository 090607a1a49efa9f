"""A plan as values: what each device holds of a model."""

from __future__ import annotations

import msgspec

from localai_app.engine.protocol import KvType
from localai_app.fit.budgets import Budget


class Share(msgspec.Struct, frozen=True):
    """What one device holds: blocks `start` to `stop` (excluded), and the output head or not. Bytes."""

    budget: Budget
    start: int
    stop: int
    has_head: bool
    weights_bytes: int
    kv_bytes: int
    compute_bytes: int
    expert_blocks: int = 0
    """On a GPU: blocks of this share whose experts lie in main memory. In main memory: all those blocks."""
    expert_bytes: int = 0
    """Main memory only: the experts of those blocks, part of `weights_bytes`."""
    repacked_bytes: int = 0
    """Main memory only: part of `weights_bytes` that the processor holds rearranged."""
    overhead_bytes: int = 0
    """What the process takes beyond llama.cpp's buffers: the tokenizer's tables, and what earlier loads showed."""

    @property
    def layers(self) -> int:
        """Blocks, and one for the head."""
        return self.stop - self.start + self.has_head

    @property
    def total_bytes(self) -> int:
        """Everything it takes there."""
        return self.weights_bytes + self.kv_bytes + self.compute_bytes + self.overhead_bytes


class Placement(msgspec.Struct, frozen=True):
    """A whole plan. `gpus` in device order; a GPU without layers is left out."""

    ctx: int
    kv_type: KvType
    ubatch: int
    gpus: tuple[Share, ...]
    host: Share
    expert_blocks: int = 0
    """Experts of so many blocks, from the first one, stay in main memory; blocks that lie there whole are counted too."""
    is_planned: bool = False
    """Its figures are llama.cpp's own for just this placement."""

    @property
    def gpu_layers(self) -> int:
        """Layers on GPUs, the head included."""
        return sum([share.layers for share in self.gpus])

    @property
    def shares(self) -> tuple[Share, ...]:
        """Every device of the plan, GPUs first."""
        return (*self.gpus, self.host)

    @property
    def total_bytes(self) -> int:
        """Everything the model takes, on all devices."""
        return sum([share.total_bytes for share in self.shares])

"""The dimensions of a language model that decide its memory and speed, from a header or from the catalog."""

from __future__ import annotations

import msgspec

UNKNOWN_BLOCK = -1


class CacheLayer(msgspec.Struct, frozen=True, kw_only=True):
    """One layer that owns a KV cache: elements stored per position, for K and for V.

    MLA layers store K only (`v_elements` 0). `sliding` layers keep a window instead of the whole context.
    """

    k_elements: int
    v_elements: int
    sliding: bool = False
    block: int = UNKNOWN_BLOCK
    """The block that owns it, from 0; unknown only in catalog files that do not say (`catalog.load` then places it)."""


class Geometry(msgspec.Struct, frozen=True, kw_only=True):
    """Dimensions of one model; counts, not bytes, unless the name says bytes."""

    architecture: str
    n_layer: int
    """Transformer blocks that run (next-token-prediction blocks excluded)."""
    n_embd: int
    n_vocab: int
    n_ff: int
    """Widest feed-forward of one block: a dense one, a shared expert, or the routed experts of one token side by side."""
    n_head: int
    head_dim: int
    """Widest key head."""
    ctx_train: int
    cache_layers: tuple[CacheLayer, ...]
    """One entry for each layer that owns a cache (shared and recurrent layers own none)."""
    sliding_window: int = 0
    recurrent_state_bytes: int = 0
    """Fixed state per sequence, all layers together (F32)."""
    recurrent_blocks: tuple[int, ...] = ()
    """The blocks that hold that state, in order; each holds the same part of it."""
    n_layer_unused: int = 0
    """Blocks for next-token prediction behind them: in the file and in llama.cpp's count of layers, but not loaded."""
    n_recurrent: int = 0
    """Elements per token that enter the convolution of a recurrent block: its inner width, and the groups' B and C."""
    n_expert: int = 0
    n_expert_used: int = 0
    n_ff_experts: int = 0
    """Width of the routed experts that one token uses, side by side."""
    n_embd_experts: int = 0
    """Elements per token that come out of these experts, before they are summed."""
    has_gates: bool = True
    """Whether its feed-forwards have a gate beside the way up."""
    n_embd_inputs: int = 0
    """Elements per token of inputs beside the embedding, looked up or received by the processor (`gguf.side_inputs`)."""
    n_embd_side: int = 0
    """Elements per token that are kept beside the activations of every block (`gguf.side_inputs`)."""
    params_total: int = 0
    params_active: int = 0
    """Weights that take part in one token (all of them where there are no experts)."""
    unknown_parts: tuple[str, ...] = ()
    """Memory that no formula covers for this architecture (indexer caches), in words."""

    @property
    def blocks_with_experts(self) -> int:
        """Blocks whose experts can stay in main memory; 0 where there are none."""
        return self.n_layer if self.n_expert > 0 else 0


class RearrangedWeights(msgspec.Struct, frozen=True, kw_only=True):
    """The part of the weights that llama.cpp rearranges for a processor, in bytes; only in main memory."""

    way: str
    """A `gguf.rearranged.Rearranging`."""
    layers_bytes: tuple[int, ...]
    """Per block, in order."""
    output_bytes: int
    """The head, also a tied one."""


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """Where the bytes of a model's tensors lie: what can be offloaded, and what a token reads."""

    layers_bytes: tuple[int, ...]
    """Per block, in order; experts included."""
    layers_expert_bytes: tuple[int, ...]
    """The part of each block that routed experts hold; zeros where there are none."""
    output_bytes: int
    """The output head; for tied embeddings the copy that a GPU would hold."""
    input_bytes: int
    """Token table and per-layer embeddings: looked up, always in main memory."""
    tied_embeddings: bool
    """The head is the token table itself: on the CPU it is not counted twice."""
    projector_bytes: int = 0
    """Vision or audio projector (mmproj), if one belongs to the model."""
    rearranged: tuple[RearrangedWeights, ...] = ()
    """One entry for each way of processors to rearrange weights; empty where the tensors are not known."""

    @property
    def file_bytes(self) -> int:
        """All tensors as stored (a tied head counted once)."""
        head = 0 if self.tied_embeddings else self.output_bytes
        return sum(self.layers_bytes) + head + self.input_bytes + self.projector_bytes

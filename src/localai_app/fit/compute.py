"""How many bytes of activations a model needs beside its weights and its cache: the compute buffer.

`llama_context::sched_reserve` of llama.cpp (as in llama-cpp-python 0.3.36) plans the graph of one ubatch with flash attention
on and one row of logits, as the worker sets them. docs/fit-errors.md has the table of what the formula misses.
"""

from __future__ import annotations

import msgspec

from localai_app.fit.kv_cache import padded_context, sliding_cells
from localai_app.gguf.geometry import Geometry

LOGIT_ROWS: int | None = 1
"""Rows of logits for which the compute buffer is reserved: the worker sets `n_outputs_max = 1`.

None stands for llama.cpp's default, a whole ubatch: 300-500 MiB more where the vocabulary is large.
"""
F32_BYTES = 4
MASK_BYTES = 2
_LATENT_COPIES_X2 = 5
"""Twice the latent rows that latent attention holds per head: DeepSeek 2.56, of 192 + 192 + 512 + 576 elements out of 576."""


class ComputeShape(msgspec.Struct, frozen=True):
    """What decides a compute buffer, worked out once per model; bytes for one ubatch."""

    ubatch: int
    slides: bool
    window: int
    embedding_bytes: int
    activation_bytes: int
    logits_bytes: int
    side_input_bytes: int = 0

    def with_ubatch(self, ubatch: int) -> ComputeShape:
        """The same for another ubatch."""
        if ubatch == self.ubatch:
            return self
        embedding = self.embedding_bytes * ubatch // self.ubatch
        return msgspec.structs.replace(
            self, ubatch=ubatch, embedding_bytes=embedding, activation_bytes=self.activation_bytes * ubatch // self.ubatch,
            logits_bytes=self.logits_bytes - 2 * self.embedding_bytes + 2 * embedding,
            side_input_bytes=self.side_input_bytes * ubatch // self.ubatch)

    def cells(self, ctx: int) -> tuple[int, int]:
        """Positions in the cache of a layer that sees all, and of one that slides: 0 where none does."""
        return padded_context(ctx), sliding_cells(ctx, self.window, self.ubatch) if self.slides else 0

    def mask_bytes(self, cells: tuple[int, int]) -> int:
        """The attention mask for so many positions in bytes; a second one where layers slide."""
        return (cells[0] + cells[1]) * self.ubatch * MASK_BYTES

    def device_bytes(self, ctx: int, *, has_head: bool) -> int:
        """The buffer of a device that runs layers, in bytes: the larger of its two moments."""
        layer = self.mask_bytes(self.cells(ctx)) + self.activation_bytes
        return max(self.logits_bytes, layer) if has_head else layer

    def input_bytes(self, ctx: int) -> int:
        """Main memory that the inputs take while every layer runs on a GPU: masks, embeddings in and out, other inputs."""
        return self.mask_bytes(self.cells(ctx)) + 2 * self.embedding_bytes + self.side_input_bytes


def compute_shape(geometry: Geometry, ubatch: int, logit_rows: int | None = LOGIT_ROWS) -> ComputeShape:
    """The compute buffer of a model with flash attention, as a function of the context.

    The larger of two moments: the logits with two rows of embeddings beside them, or one layer's masks and activations.
    """
    embedding = geometry.n_embd * ubatch * F32_BYTES
    activations = (_activation_row(geometry) + geometry.n_embd_side) * ubatch * F32_BYTES
    rows = ubatch if logit_rows is None else min(logit_rows, ubatch)
    return ComputeShape(
        ubatch=ubatch, slides=any([layer.sliding for layer in geometry.cache_layers]), window=geometry.sliding_window,
        embedding_bytes=embedding, activation_bytes=activations, side_input_bytes=geometry.n_embd_inputs * ubatch * F32_BYTES,
        logits_bytes=rows * geometry.n_vocab * F32_BYTES + 2 * embedding)


def _activation_row(geometry: Geometry) -> int:
    """Elements per token at the widest moment of a block.

    Latent attention (MLA) has moments of its own: the queries, their absorbed and their joined form are wider than what a
    feed-forward needs beside it. So have recurrent blocks: what enters the convolution, leaves it, and is split.
    """
    feed_forward = _feed_forward_row(geometry)
    recurrent = 3 * geometry.n_recurrent + 3 * geometry.n_embd
    latent = max([layer.k_elements for layer in geometry.cache_layers if layer.v_elements == 0], default=0)
    if latent:
        attention = geometry.n_head * latent * _LATENT_COPIES_X2 // 2
        return max(feed_forward + 4 * geometry.n_embd, attention + 3 * geometry.n_embd)
    return max(feed_forward + _beside_feed_forward(geometry), recurrent)


def _feed_forward_row(geometry: Geometry) -> int:
    """Elements per token at the widest moment of a feed-forward: gate, up and their product.

    What comes out of the experts lies in the place of gate and up if it fits there (ggml-alloc takes the smallest free block
    that is large enough), else behind them. Without a gate the activation is worked out in place.
    """
    if not geometry.has_gates:
        return max(2 * geometry.n_ff if not geometry.n_expert else 0, geometry.n_ff_experts + geometry.n_embd_experts)
    out = geometry.n_embd_experts
    return max(3 * geometry.n_ff, 3 * geometry.n_ff_experts + (out if out > 2 * geometry.n_ff_experts else 0))


def _beside_feed_forward(geometry: Geometry) -> int:
    """Elements per token that lie beside a feed-forward: the input, the residual, its norm, and the place of the queries.

    Where the queries took more than two rows of embeddings, one of the others lies in their place. The Qwen hybrids keep no
    place for queries, as dry runs of eleven of them show.
    """
    if geometry.n_recurrent and geometry.has_gates:
        return (4 if geometry.n_expert else 3) * geometry.n_embd
    heads = geometry.n_head * geometry.head_dim
    return max(heads, geometry.n_embd) + (2 if heads > 2 * geometry.n_embd else 3) * geometry.n_embd

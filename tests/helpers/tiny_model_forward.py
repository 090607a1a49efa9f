"""The self-test's model calculated in double precision, straight from the formats and the architecture, without llama.cpp."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from localai_app.engine import tiny_model as tiny
from localai_app.engine.tiny_model import Tensor

Array = Any
HEAD = tiny.EMBEDDING // tiny.HEADS
ROPE_BASE = 10_000.0
EPSILON = 1e-5


def weights() -> dict[str, Array]:
    """Every tensor as rows of doubles."""
    return {tensor.name: _weights_of(tensor) for tensor in tiny.tensors()}


def logits(model: dict[str, Array], tokens: Sequence[int]) -> Array:
    """The logits after the last token."""
    x = model["token_embd.weight"][np.array(tokens)]
    for block in range(tiny.BLOCKS):
        part = {name.split(".", 2)[2]: value for name, value in model.items() if name.startswith(f"blk.{block}.")}
        x = x + _attention(_norm(x, part["attn_norm.weight"]), part)
        h = _norm(x, part["ffn_norm.weight"])
        gate = h @ part["ffn_gate.weight"].T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ part["ffn_up.weight"].T)) @ part["ffn_down.weight"].T
    return (_norm(x, model["output_norm.weight"]) @ model["output.weight"].T)[-1]


def _attention(h: Array, part: dict[str, Array]) -> Array:
    count = len(h)
    q = _rotated((h @ part["attn_q.weight"].T).reshape(count, tiny.HEADS, HEAD))
    k = _rotated((h @ part["attn_k.weight"].T).reshape(count, tiny.KV_HEADS, HEAD))
    v = (h @ part["attn_v.weight"].T).reshape(count, tiny.KV_HEADS, HEAD)
    k, v = (np.repeat(each, tiny.HEADS // tiny.KV_HEADS, axis=1) for each in (k, v))
    scores = np.einsum("ihd,jhd->hij", q, k) / np.sqrt(HEAD)
    scores = np.where(np.tril(np.ones((count, count), bool)), scores, -np.inf)
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    return np.einsum("hij,jhd->ihd", shares, v).reshape(count, tiny.EMBEDDING) @ part["attn_output.weight"].T


def _norm(x: Array, weight: Array) -> Array:
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + EPSILON) * weight


def _rotated(x: Array) -> Array:
    """Rotary positions over neighbouring pairs, as `llama` has them."""
    angles = np.arange(len(x))[:, None] * ROPE_BASE ** (-np.arange(0, HEAD, 2) / HEAD)
    cos, sin = np.cos(angles)[:, None, :], np.sin(angles)[:, None, :]
    even, odd = x[..., 0::2], x[..., 1::2]
    turned = np.empty_like(x)
    turned[..., 0::2], turned[..., 1::2] = even * cos - odd * sin, even * sin + odd * cos
    return turned


def _weights_of(tensor: Tensor) -> Array:
    data = np.frombuffer(tiny.tensor_bytes(tensor), np.uint8)
    if tensor.kind is tiny.F32:
        return data.view(np.float32).astype(float)
    blocks = data.reshape(-1, tensor.kind.block_bytes)
    unpack = {2: _q4_0, 8: _q8_0, 12: _q4_k, 14: _q6_k}[tensor.kind.code]
    return unpack(blocks).reshape(tensor.rows, tensor.columns)


def _half(blocks: Array, at: int) -> Array:
    return blocks[:, at : at + 2].copy().view(np.float16).astype(float)


def _q8_0(blocks: Array) -> Array:
    return _half(blocks, 0) * blocks[:, 2:].copy().view(np.int8)


def _q4_0(blocks: Array) -> Array:
    packed = blocks[:, 2:].astype(int)
    return _half(blocks, 0) * (np.concatenate([packed & 15, packed >> 4], axis=1) - 8)


def _q4_k(blocks: Array) -> Array:
    """256 weights in eight groups, whose 6-bit scales and minima lie in twelve bytes; the nibbles in four runs of 64."""
    d, minimum, packed = _half(blocks, 0), _half(blocks, 2), blocks[:, 4:16].astype(int)
    scales = np.concatenate([packed[:, :4] & 63, (packed[:, 8:] & 15) | (packed[:, :4] >> 6 << 4)], axis=1)
    minima = np.concatenate([packed[:, 4:8] & 63, (packed[:, 8:] >> 4) | (packed[:, 4:8] >> 6 << 4)], axis=1)
    nibbles = blocks[:, 16:].astype(int).reshape(-1, 4, 1, 32)
    values = np.concatenate([nibbles & 15, nibbles >> 4], axis=2).reshape(-1, 8, 32)
    return ((d * scales)[:, :, None] * values - (minimum * minima)[:, :, None]).reshape(-1, 256)


def _q6_k(blocks: Array) -> Array:
    """256 weights: low nibbles, two high bits each, sixteen scales, in two halves of 128 weights."""
    low, high = blocks[:, :128].astype(int), blocks[:, 128:192].astype(int)
    scales, d = blocks[:, 192:208].copy().view(np.int8).astype(float), _half(blocks, 208)
    halves = []
    for half in range(2):
        nibbles, bits = low[:, 64 * half : 64 * half + 64], high[:, 32 * half : 32 * half + 32]
        quarters = [nibbles[:, :32] & 15, nibbles[:, 32:] & 15, nibbles[:, :32] >> 4, nibbles[:, 32:] >> 4]
        halves += [quarter | ((bits >> 2 * number) & 3) << 4 for number, quarter in enumerate(quarters)]
    values = np.concatenate(halves, axis=1) - 32
    return d * np.repeat(scales, 16, axis=1) * values

"""A tiny model of pseudo-random weights, always the same bytes: what the self-test of a build of llama.cpp computes with.

It has no vocabulary, so tokens are numbers, and it uses the weight types that most models come in, because a build goes
wrong in the code of one type (the AMX code of llama.cpp, for example, serves Q4_0, Q4_K, Q6_K and Q8_0, but not F32).
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path

BLOCKS = 2
EMBEDDING = 256
HEADS = 4
KV_HEADS = 2
FEED_FORWARD = 512
VOCABULARY = 256
TRAINED_CTX = 512

_SEED = b"localai self-test 1"
_ALIGNMENT = 32
_U32, _F32, _STRING = 4, 6, 8
"""Types of metadata values, from ggml's gguf.h."""


@dataclass(frozen=True, slots=True)
class WeightType:
    """How a weight type is stored: `code` of `enum ggml_type`, weights and bytes of one block."""

    code: int
    block_weights: int
    block_bytes: int


F32 = WeightType(0, 1, 4)
Q4_0 = WeightType(2, 32, 18)
Q8_0 = WeightType(8, 32, 34)
Q4_K = WeightType(12, 256, 144)
Q6_K = WeightType(14, 256, 210)


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor: `columns` are the inputs of a row, stored side by side."""

    name: str
    columns: int
    rows: int
    kind: WeightType


def tensors() -> tuple[Tensor, ...]:
    """All tensors of the model in the order of the file."""
    head = EMBEDDING // HEADS
    found = [Tensor("token_embd.weight", EMBEDDING, VOCABULARY, Q8_0)]
    for block in range(BLOCKS):
        prefix = f"blk.{block}."
        found += [
            Tensor(f"{prefix}attn_norm.weight", EMBEDDING, 1, F32),
            Tensor(f"{prefix}attn_q.weight", EMBEDDING, EMBEDDING, Q4_K),
            Tensor(f"{prefix}attn_k.weight", EMBEDDING, KV_HEADS * head, Q4_0),
            Tensor(f"{prefix}attn_v.weight", EMBEDDING, KV_HEADS * head, Q6_K),
            Tensor(f"{prefix}attn_output.weight", EMBEDDING, EMBEDDING, Q8_0),
            Tensor(f"{prefix}ffn_norm.weight", EMBEDDING, 1, F32),
            Tensor(f"{prefix}ffn_gate.weight", EMBEDDING, FEED_FORWARD, Q4_K),
            Tensor(f"{prefix}ffn_up.weight", EMBEDDING, FEED_FORWARD, Q4_0),
            Tensor(f"{prefix}ffn_down.weight", FEED_FORWARD, EMBEDDING, Q6_K),
        ]
    return (*found, Tensor("output_norm.weight", EMBEDDING, 1, F32), Tensor("output.weight", EMBEDDING, VOCABULARY, Q6_K))


def tiny_model_bytes() -> bytes:
    """The whole file, about 900 kB; made in a few milliseconds."""
    listed = tensors()
    head = [b"GGUF", struct.pack("<IQQ", 3, len(listed), len(_metadata())), *_metadata()]
    body = bytearray()
    for tensor in listed:
        sizes = (tensor.columns, tensor.rows) if tensor.rows > 1 else (tensor.columns,)
        head.append(_text(tensor.name) + struct.pack(f"<I{len(sizes)}QIQ", len(sizes), *sizes, tensor.kind.code, len(body)))
        body += _padded(tensor_bytes(tensor))
    return _padded(b"".join(head)) + bytes(body)


def tensor_bytes(tensor: Tensor) -> bytes:
    """The stored weights. Norms are 1; of the others the spread is about 1 / sqrt(columns), so that no activation explodes."""
    if tensor.kind is F32:
        return struct.pack(f"<{tensor.columns}f", *([1.0] * tensor.columns))
    count = tensor.columns * tensor.rows // tensor.kind.block_weights
    spread = tensor.columns**-0.5
    size = tensor.kind.block_bytes * count
    noise = hashlib.shake_256(_SEED + tensor.name.encode()).digest(size)
    make_block = {2: _q4_0_block, 8: _q8_0_block, 12: _q4_k_block, 14: _q6_k_block}[tensor.kind.code]
    step = tensor.kind.block_bytes
    return b"".join(make_block(noise[at : at + step], spread) for at in range(0, size, step))


def write_tiny_model(folder: Path) -> Path:
    """The file in `folder`, written if it is not there as it should be; OSError if it cannot be."""
    data = tiny_model_bytes()
    path = folder / "self-test.gguf"
    if not path.is_file() or path.read_bytes() != data:
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        partial.write_bytes(data)
        partial.replace(path)
    return path


# A block is noise with its scales in place of the noise at their position. Each scale makes the standard deviation of the
# stored integers, which are spread evenly, into the wanted one.
def _q8_0_block(noise: bytes, spread: float) -> bytes:
    return struct.pack("<e", spread / 74.0) + noise[2:]


def _q4_0_block(noise: bytes, spread: float) -> bytes:
    return struct.pack("<e", spread / 4.6) + noise[2:]


def _q4_k_block(noise: bytes, spread: float) -> bytes:
    # Weights are scale * q - minimum * m with q up to 15, and scale and m up to 63: 7.5 minima make their mean zero.
    return struct.pack("<ee", spread / 260.0, 7.5 * spread / 260.0) + noise[4:]


def _q6_k_block(noise: bytes, spread: float) -> bytes:
    return noise[:-2] + struct.pack("<e", spread / 1360.0)


def _metadata() -> tuple[bytes, ...]:
    return (
        _entry("general.architecture", "llama"), _entry("general.name", "Self-test"), _entry("llama.block_count", BLOCKS),
        _entry("llama.context_length", TRAINED_CTX), _entry("llama.embedding_length", EMBEDDING),
        _entry("llama.feed_forward_length", FEED_FORWARD), _entry("llama.attention.head_count", HEADS),
        _entry("llama.attention.head_count_kv", KV_HEADS), _entry("llama.attention.layer_norm_rms_epsilon", 1e-5),
        _entry("llama.rope.freq_base", 10_000.0), _entry("llama.vocab_size", VOCABULARY),
        _entry("tokenizer.ggml.model", "no_vocab"))


def _entry(key: str, value: str | int | float) -> bytes:
    if isinstance(value, str):
        return _text(key) + struct.pack("<I", _STRING) + _text(value)
    return _text(key) + (struct.pack("<II", _U32, value) if isinstance(value, int) else struct.pack("<If", _F32, value))


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % _ALIGNMENT)

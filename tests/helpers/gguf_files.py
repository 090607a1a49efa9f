"""Writes GGUF files: small valid ones that llama.cpp loads, and any byte sequence that a test of a reader needs."""

from __future__ import annotations

import random
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

VALUE_TYPES = {
    "u8": 0,
    "i8": 1,
    "u16": 2,
    "i16": 3,
    "u32": 4,
    "i32": 5,
    "f32": 6,
    "bool": 7,
    "str": 8,
    "arr": 9,
    "u64": 10,
    "i64": 11,
    "f64": 12,
}
_CODES = {
    "u8": "B",
    "i8": "b",
    "u16": "H",
    "i16": "h",
    "u32": "I",
    "i32": "i",
    "f32": "f",
    "bool": "?",
    "u64": "Q",
    "i64": "q",
    "f64": "d",
}
F32, F16 = 0, 1

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)


@dataclass(frozen=True)
class Typed:
    """A metadata value with its GGUF type: "u32", "str", or "arr" of `element_type`."""

    type_name: str
    value: object
    element_type: str = ""


@dataclass(frozen=True)
class TensorSpec:
    """A tensor to write; `offset` and `type_code` may be made wrong on purpose."""

    name: str
    dimensions: tuple[int, ...]
    type_code: int
    data: bytes
    offset: int | None = None


def text_bytes(text: str | bytes) -> bytes:
    """A length-prefixed string."""
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw)) + raw


def value_bytes(value: Typed) -> bytes:
    """A metadata value without its type code."""
    if value.type_name == "str":
        assert isinstance(value.value, (str, bytes))
        return text_bytes(value.value)
    if value.type_name == "arr":
        assert isinstance(value.value, Sequence)
        head = struct.pack("<IQ", VALUE_TYPES[value.element_type], len(value.value))
        if value.element_type == "str":
            return head + b"".join(text_bytes(item) for item in value.value)
        return head + struct.pack(f"<{len(value.value)}{_CODES[value.element_type]}", *value.value)
    return struct.pack("<" + _CODES[value.type_name], value.value)


def key_bytes(key: str | bytes, value: Typed) -> bytes:
    """One metadata entry."""
    return text_bytes(key) + struct.pack("<I", VALUE_TYPES[value.type_name]) + value_bytes(value)


def encode_gguf(
    metadata: Sequence[tuple[str | bytes, Typed]] | Mapping[str, Typed],
    tensors: Sequence[TensorSpec] = (),
    *,
    version: int = 3,
    alignment: int = 32,
    n_keys: int | None = None,
    n_tensors: int | None = None,
) -> bytes:
    """A GGUF file as bytes. The counts may be made wrong on purpose."""
    entries = list(metadata.items()) if isinstance(metadata, Mapping) else list(metadata)
    head = b"GGUF" + struct.pack(
        "<IQQ", version, len(tensors) if n_tensors is None else n_tensors, len(entries) if n_keys is None else n_keys
    )
    table, data, n_bytes = b"", [], 0
    for tensor in tensors:
        offset = n_bytes if tensor.offset is None else tensor.offset
        table += text_bytes(tensor.name) + struct.pack("<I", len(tensor.dimensions))
        table += struct.pack(f"<{len(tensor.dimensions)}Q", *tensor.dimensions)
        table += struct.pack("<IQ", tensor.type_code, offset)
        data += [tensor.data, b"\0" * (-len(tensor.data) % alignment)]
        n_bytes += len(data[-2]) + len(data[-1])
    header = head + b"".join(key_bytes(key, value) for key, value in entries) + table
    if not tensors:
        return header
    return header + b"\0" * (-len(header) % alignment) + b"".join(data)


@dataclass(frozen=True)
class TinyModel:
    """Dimensions of a tiny llama; the defaults make a file of about 250 kB that answers with random letters."""

    n_layer: int = 2
    n_embd: int = 64
    n_head: int = 4
    n_head_kv: int = 2
    n_ff: int = 160
    ctx_train: int = 2048
    n_expert: int = 0
    n_expert_used: int = 0
    tied_embeddings: bool = False
    chat_template: str | None = CHAT_TEMPLATE
    name: str = "Tiny"
    seed: int = 1


def write_tiny_gguf(path: Path, *, metadata: Mapping[str, Typed] | None = None, **overrides: object) -> Path:
    """Writes a small valid model of the llama architecture with random weights and a byte vocabulary (SPM).

    llama.cpp loads it and decodes with it. `overrides`: fields of `TinyModel`; `metadata`: more keys, or replacements.
    """
    model = TinyModel(**overrides)  # type: ignore[arg-type]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_gguf(tiny_metadata(model) | dict(metadata or {}), tiny_tensors(model)))
    return path


def tiny_metadata(model: TinyModel) -> dict[str, Typed]:
    """The metadata of a tiny model, by key."""
    tokens, scores, types = _vocabulary()
    values = {
        "general.architecture": Typed("str", "llama"),
        "general.name": Typed("str", model.name),
        "general.file_type": Typed("u32", 1),
        "llama.context_length": Typed("u32", model.ctx_train),
        "llama.embedding_length": Typed("u32", model.n_embd),
        "llama.block_count": Typed("u32", model.n_layer),
        "llama.feed_forward_length": Typed("u32", model.n_ff),
        "llama.attention.head_count": Typed("u32", model.n_head),
        "llama.attention.head_count_kv": Typed("u32", model.n_head_kv),
        "llama.attention.layer_norm_rms_epsilon": Typed("f32", 1e-5),
        "llama.rope.dimension_count": Typed("u32", model.n_embd // model.n_head),
        "tokenizer.ggml.model": Typed("str", "llama"),
        "tokenizer.ggml.pre": Typed("str", "default"),
        "tokenizer.ggml.tokens": Typed("arr", tokens, "str"),
        "tokenizer.ggml.scores": Typed("arr", scores, "f32"),
        "tokenizer.ggml.token_type": Typed("arr", types, "i32"),
        "tokenizer.ggml.bos_token_id": Typed("u32", 1),
        "tokenizer.ggml.eos_token_id": Typed("u32", 2),
        "tokenizer.ggml.unknown_token_id": Typed("u32", 0),
    }
    if model.n_expert:
        values["llama.expert_count"] = Typed("u32", model.n_expert)
        values["llama.expert_used_count"] = Typed("u32", model.n_expert_used)
    if model.chat_template is not None:
        values["tokenizer.chat_template"] = Typed("str", model.chat_template)
    return values


def tiny_tensors(model: TinyModel) -> list[TensorSpec]:
    """The tensors of a tiny model: F16 matrices, F32 norms."""
    return list(_tiny_tensors(replace(model, chat_template=None, name="")))


@lru_cache(maxsize=16)
def _tiny_tensors(model: TinyModel) -> tuple[TensorSpec, ...]:
    """Hundreds of tests want the same ones."""
    source = random.Random(model.seed)
    embd, head_dim = model.n_embd, model.n_embd // model.n_head
    n_vocab = len(_vocabulary()[0])
    tensors = [_matrix(source, "token_embd.weight", embd, n_vocab), _norm("output_norm.weight", embd)]
    if not model.tied_embeddings:
        tensors.append(_matrix(source, "output.weight", embd, n_vocab))
    for layer in range(model.n_layer):
        block = f"blk.{layer}."
        tensors += [
            _norm(block + "attn_norm.weight", embd),
            _matrix(source, block + "attn_q.weight", embd, embd),
            _matrix(source, block + "attn_k.weight", embd, model.n_head_kv * head_dim),
            _matrix(source, block + "attn_v.weight", embd, model.n_head_kv * head_dim),
            _matrix(source, block + "attn_output.weight", embd, embd),
            _norm(block + "ffn_norm.weight", embd),
        ]
        if model.n_expert:
            tensors += [
                _matrix(source, block + "ffn_gate_inp.weight", embd, model.n_expert),
                _matrix(source, block + "ffn_gate_exps.weight", embd, model.n_ff, model.n_expert),
                _matrix(source, block + "ffn_up_exps.weight", embd, model.n_ff, model.n_expert),
                _matrix(source, block + "ffn_down_exps.weight", model.n_ff, embd, model.n_expert),
            ]
        else:
            tensors += [
                _matrix(source, block + "ffn_gate.weight", embd, model.n_ff),
                _matrix(source, block + "ffn_up.weight", embd, model.n_ff),
                _matrix(source, block + "ffn_down.weight", model.n_ff, embd),
            ]
    return tuple(tensors)


def _vocabulary() -> tuple[list[str], list[float], list[int]]:
    """(tokens, scores, types): unknown, start, end, the 256 bytes, the printable characters."""
    letters = [chr(code) for code in range(0x21, 0x7F)] + ["\u2581"]
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)] + letters
    scores = [0.0] * 259 + [-float(rank) for rank in range(1, len(letters) + 1)]
    return tokens, scores, [2, 3, 3] + [6] * 256 + [1] * len(letters)


def _matrix(source: random.Random, name: str, *dimensions: int) -> TensorSpec:
    count = 1
    for length in dimensions:
        count *= length
    scale = dimensions[0] ** -0.5
    values = [source.uniform(-scale, scale) for _ in range(count)]
    return TensorSpec(name, dimensions, F16, struct.pack(f"<{count}e", *values))


def _norm(name: str, length: int) -> TensorSpec:
    return TensorSpec(name, (length,), F32, struct.pack(f"<{length}f", *[1.0] * length))

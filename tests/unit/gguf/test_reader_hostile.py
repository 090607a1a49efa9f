"""Damaged and hostile headers: always an `AppError` with words, never another exception, never much memory."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localai_app.errors import AppError
from localai_app.gguf.dimensions import geometry_of
from localai_app.gguf.header import GgufHeader
from localai_app.gguf.reader import read_header
from localai_app.gguf.tensors import weights_of
from tests.helpers.gguf_files import F32, TensorSpec, Typed, encode_gguf, key_bytes, text_bytes, write_tiny_gguf
from tests.helpers.gguf_mutations import mutated
from tests.helpers.torture import rounds

ARCH = ("general.architecture", Typed("str", "llama"))
ROW = b"\0" * 128


def _read(content: bytes, file_size: int | None = None) -> GgufHeader:
    size = len(content) if file_size is None else file_size
    return read_header(lambda offset, n: content[offset : offset + n], size, "bad.gguf")


def _code(content: bytes, file_size: int | None = None) -> tuple[str, str]:
    with pytest.raises(AppError) as caught:
        _read(content, file_size)
    assert caught.value.message.startswith("bad.gguf ")
    assert caught.value.action
    return caught.value.code, caught.value.message


def _tensor(name: str = "t", dims: tuple[int, ...] = (32,), code: int = F32, offset: int | None = None) -> TensorSpec:
    return TensorSpec(name, dims, code, ROW, offset)


def _keyed(key: str, value: Typed) -> bytes:
    return encode_gguf([ARCH, (key, value)])


REFUSED = {
    "big endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
    "version 0": (b"GGUF" + struct.pack("<IQQ", 0, 0, 0), "version 0"),
    "version 1": (b"GGUF" + struct.pack("<III", 1, 0, 0), "version 1"),
    "version 4": (b"GGUF" + struct.pack("<IQQ", 4, 0, 0), "version 4"),
    "too many keys": (encode_gguf([ARCH], n_keys=100_001), "100001 keys"),
    "too many tensors": (encode_gguf([ARCH], n_tensors=2**63), "tensors"),
    "key twice": (encode_gguf([ARCH, ARCH]), "twice"),
    "key not text": (encode_gguf([(b"\xff\xfe", Typed("u8", 1))]), "not text"),
    "key too long": (encode_gguf([("k" * 70_000, Typed("u8", 1))]), "longer than 64 kB"),
    "unknown value type": (encode_gguf([], n_keys=1) + text_bytes("k") + struct.pack("<I", 13), "unknown type 13"),
    "array of arrays": (
        encode_gguf([], n_keys=1) + text_bytes("k") + struct.pack("<IIQ", 9, 9, 1) + b"\0" * 64,
        "array of arrays",
    ),
    "array of unknown": (encode_gguf([], n_keys=1) + text_bytes("k") + struct.pack("<IIQ", 9, 99, 1), "unknown type 99"),
    "huge array": (encode_gguf([], n_keys=1) + text_bytes("k") + struct.pack("<IIQ", 9, 4, 2**62), "64 MB"),
    "huge array of texts": (encode_gguf([], n_keys=1) + text_bytes("k") + struct.pack("<IIQ", 9, 8, 2**60), "64 MB"),
    "huge text": (encode_gguf([], n_keys=1) + text_bytes("k") + struct.pack("<IQ", 8, 2**40), "16 MB"),
    "huge text in a list": (
        encode_gguf([], n_keys=1)
        + text_bytes("k")
        + struct.pack("<IIQ", 9, 8, 1000)
        + text_bytes("a") * 500
        + struct.pack("<Q", 2**64 - 1)
        + b"\0" * 9000,
        "16 MB",
    ),
    "alignment 0": (_keyed("general.alignment", Typed("u32", 0)), "power of two"),
    "alignment 48": (_keyed("general.alignment", Typed("u32", 48)), "power of two"),
    "alignment huge": (_keyed("general.alignment", Typed("u64", 2**62)), "power of two"),
    "alignment text": (_keyed("general.alignment", Typed("str", "32")), "whole number"),
    "architecture number": (encode_gguf([("general.architecture", Typed("u8", 1))]), "architecture"),
    "no layers": (_keyed("llama.block_count", Typed("u32", 0)), "between 1 and 512"),
    "600 layers": (_keyed("llama.block_count", Typed("u32", 600)), "between 1 and 512"),
    "layers as text": (_keyed("llama.block_count", Typed("str", "30")), "between 1 and 512"),
    "no heads": (_keyed("llama.attention.head_count", Typed("u32", 0)), "heads is zero"),
    "no heads at all": (_keyed("llama.attention.head_count", Typed("arr", [0, 0], "u32")), "heads is zero"),
    "negative heads": (_keyed("llama.attention.head_count", Typed("i32", -4)), "not a whole number"),
    "tensor twice": (encode_gguf([ARCH], [_tensor(), _tensor()]), "twice"),
    "tensor name not text": (encode_gguf([], n_tensors=1) + text_bytes(b"\xff") + b"\0" * 64, "not text"),
    "five dimensions": (encode_gguf([ARCH], [_tensor(dims=(32, 1, 1, 1, 1))]), "5 dimensions"),
    "empty dimension": (encode_gguf([ARCH], [_tensor(dims=(32, 0))]), "impossible size"),
    "overflow": (encode_gguf([ARCH], [_tensor(dims=(2**32, 2**32))]), "impossible size"),
    "overflow to a small product": (encode_gguf([ARCH], [_tensor(dims=(2**33, 2**31, 2**33))]), "impossible size"),
    "unknown tensor type": (encode_gguf([ARCH], [_tensor(code=99)]), "unknown type 99"),
    "removed tensor type": (encode_gguf([ARCH], [_tensor(code=4)]), "unknown type 4"),
    "part of a block": (encode_gguf([ARCH], [_tensor(dims=(33,), code=8)]), "whole blocks of Q8_0"),
    "unaligned": (encode_gguf([ARCH], [_tensor(offset=7)]), "aligned"),
    "overlap": (encode_gguf([ARCH], [_tensor("a"), _tensor("b", offset=64)]), "same place"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_damaged_headers_are_refused_in_words(case: str) -> None:
    content, words = REFUSED[case]
    code, message = _code(content + b"\0" * 256, 2**40 if "huge" in case or "text" in case else None)
    assert code == "gguf_refused"
    assert words in message


@pytest.mark.parametrize("offset", [1024, 2**40, 2**64 - 32])
def test_data_past_the_end_of_the_file_is_incomplete(offset: int) -> None:
    code, message = _code(encode_gguf([ARCH], [_tensor(offset=offset)]))
    assert (code, "tensor data" in message) == ("gguf_truncated", True)


def test_states_without_attention_are_allowed() -> None:
    keys = [
        ("general.architecture", Typed("str", "mamba")),
        ("mamba.attention.head_count", Typed("u32", 0)),
        ("mamba.ssm.state_size", Typed("u32", 16)),
    ]
    assert _read(encode_gguf(keys)).architecture == "mamba"


def test_truncation_at_every_section(tmp_path: Path) -> None:
    content = write_tiny_gguf(tmp_path / "tiny.gguf").read_bytes()
    header = _read(content)
    sections = {}
    positions = [
        0,
        3,
        4,
        10,
        30,
        100,
        1000,
        header.header_bytes - 1,
        header.data_start - 1,
        len(content) // 2,
        len(content) - 40,
    ]
    for position in positions:
        sections[position] = _code(content[:position])
    assert sections[0][0] == sections[3][0] == "not_a_gguf"
    assert {code for position, (code, _) in sections.items() if position > 3} == {"gguf_truncated"}
    assert "its first bytes" in sections[10][1]
    assert "its metadata" in sections[1000][1]
    assert "its tensor table" in sections[header.header_bytes - 1][1]
    assert "its tensor data" in sections[len(content) // 2][1]


def test_a_server_that_sends_less_than_asked_is_a_truncation(tmp_path: Path) -> None:
    content = write_tiny_gguf(tmp_path / "tiny.gguf").read_bytes()
    assert _code(content[:5000], len(content))[0] == "gguf_truncated"


def test_a_header_that_never_ends_costs_at_most_64_megabytes() -> None:
    start = encode_gguf([], n_keys=100_000) + text_bytes("k") + struct.pack("<IIQ", 9, 8, 7_999_999)
    read = []

    def read_range(offset: int, n: int) -> bytes:
        read.append(n)
        return (start + b"\4\0\0\0\0\0\0\0abcd" * (n // 12 + 1))[:n] if offset == 0 else b"\0" * n

    with pytest.raises(AppError, match="64 MB"):
        read_header(read_range, 2**50, "endless.gguf")
    assert sum(read) <= 64_000_000


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("fuzz") / "tiny.gguf"
    return write_tiny_gguf(path, n_expert=2, n_expert_used=1, n_ff=32).read_bytes()


def _never_unexpected(content: bytes) -> bool:
    """Whether the header was accepted; anything but an `AppError` fails the test."""
    try:
        header = _read(content)
        geometry_of(header)
        weights_of([header])
    except AppError:
        return False
    return True


def test_mutations_never_raise_anything_else(valid: bytes) -> None:
    header_end = _read(valid).header_bytes
    outcomes = {_never_unexpected(mutated(valid, header_end, seed)) for seed in range(rounds(300, 2000))}
    assert outcomes == {True, False}


_NUMBERS = [
    Typed("u32", 0),
    Typed("i32", -1),
    Typed("u64", 2**64 - 1),
    Typed("f32", 1.5),
    Typed("str", "x"),
    Typed("bool", True),
    Typed("arr", [1, 2], "u32"),
    Typed("arr", ["a"], "str"),
    Typed("arr", [], "i32"),
    Typed("arr", [-1] * 4, "i32"),
]
_SUFFIXES = [
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.key_length_mla",
    "attention.sliding_window",
    "attention.sliding_window_pattern",
    "attention.shared_kv_layers",
    "expert_count",
    "expert_used_count",
    "expert_feed_forward_length",
    "ssm.state_size",
    "nextn_predict_layers",
    "full_attention_interval",
    "wkv.head_size",
    "block_count",
    "kda.head_dim",
    "ssm.inner_size",
    "shortconv.l_cache",
    "attention.recurrent_layers",
    "vocab_size",
    "leading_dense_block_count",
]
_ARCHITECTURES = [
    "llama",
    "gemma3",
    "gemma3n",
    "gemma4",
    "gpt-oss",
    "llama4",
    "deepseek2",
    "qwen35",
    "lfm2",
    "nemotron_h",
    "mamba",
    "rwkv6",
    "kimi-linear",
    "falcon-h1",
    "clip",
    "",
]


@given(
    st.sampled_from(_ARCHITECTURES),
    st.dictionaries(st.sampled_from(_SUFFIXES), st.sampled_from(_NUMBERS) | st.integers(1, 64).map(lambda n: Typed("u32", n))),
    st.booleans(),
)
@settings(max_examples=rounds(160, 4000), deadline=None)
def test_strange_dimensions_never_raise_anything_else(architecture: str, values: dict[str, Typed], split: bool) -> None:
    keys = [("general.architecture", Typed("str", architecture))]
    plain = {name: Typed("u32", 8) for name in ("context_length", "embedding_length", "block_count", "attention.head_count")}
    keys += [(f"{architecture}.{suffix}", value) for suffix, value in (plain | values).items()]
    keys += [("split.count", Typed("u16", 2))] if split else []
    _never_unexpected(encode_gguf(keys))


@given(st.binary(max_size=400))
@settings(max_examples=rounds(80, 2000), deadline=None)
def test_any_bytes_after_the_magic(content: bytes) -> None:
    _never_unexpected(b"GGUF\3\0\0\0" + content)


def test_key_bytes_of_the_helper_are_what_the_reader_reads() -> None:
    assert _read(encode_gguf([], n_keys=1) + key_bytes("k", Typed("i16", -5))).metadata == {"k": -5}

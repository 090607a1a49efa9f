"""The header that dry runs read: everything of the original but its vocabulary."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app.errors import AppError
from localai_app.gguf.dimensions import geometry_of
from localai_app.gguf.header import GgufHeader, SkippedArray
from localai_app.gguf.plan_header import plan_header, write_plan_file
from localai_app.gguf.quant_types import QUANT_TYPES
from localai_app.gguf.reader import read_header, read_header_file
from localai_app.gguf.tensors import weights_of
from tests.helpers.gguf_files import F16, F32, TensorSpec, TinyModel, Typed, encode_gguf, tiny_metadata, write_tiny_gguf

RANGES = {
    "u8": (0, 2**8 - 1), "i8": (-(2**7), 2**7 - 1), "u16": (0, 2**16 - 1), "i16": (-(2**15), 2**15 - 1),
    "u32": (0, 2**32 - 1), "i32": (-(2**31), 2**31 - 1), "u64": (0, 2**64 - 1), "i64": (-(2**63), 2**63 - 1),
}
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
SCALARS = st.one_of(
    *(st.integers(low, high).map(lambda value, name=name: Typed(name, value)) for name, (low, high) in RANGES.items()),
    st.booleans().map(lambda value: Typed("bool", value)),
    st.floats(width=32, allow_nan=False).map(lambda value: Typed("f32", value)),
    st.floats(allow_nan=False).map(lambda value: Typed("f64", value)),
    st.text(st.characters(codec="utf-8"), max_size=30).map(lambda value: Typed("str", value)),
)
ARRAYS = st.one_of(
    *(
        st.lists(st.integers(low, high), max_size=70).map(lambda values, name=name: Typed("arr", values, name))
        for name, (low, high) in RANGES.items()
    ),
    st.lists(st.text(st.characters(codec="utf-8"), max_size=5), max_size=64).map(lambda values: Typed("arr", values, "str")),
)


def read(data: bytes, file_size: int, name: str = "x.gguf") -> GgufHeader:
    return read_header(lambda offset, n: data[offset : offset + n], file_size, name)


def read_back(headers: list[GgufHeader]) -> GgufHeader:
    planned = plan_header(headers)
    return read(planned.data, planned.file_size)


@given(st.dictionaries(NAMES.map(lambda name: f"made.x{name}"), SCALARS | ARRAYS, max_size=12))
def test_every_value_keeps_its_type_and_content(extra: dict[str, Typed]) -> None:
    data = encode_gguf({
        "general.architecture": Typed("str", "made"), "made.block_count": Typed("u32", 2),
        "made.vocab_size": Typed("u64", 7), **extra})
    original = read(data, len(data))
    copy = read_back([original])
    added = {"tokenizer.ggml.model", "made.vocab_size"}
    assert set(copy.metadata) == set(original.metadata) | added
    for key, value in original.metadata.items():
        if key not in added:
            assert copy.metadata[key] == value
            assert copy.value_types[key] == original.value_types[key]
    assert copy.metadata["made.vocab_size"] == 7


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9), st.sampled_from(sorted(QUANT_TYPES))), max_size=12),
    st.sampled_from([32, 64, 4096]),
)
def test_every_tensor_keeps_its_shape_and_type(shapes: list[tuple[int, int, int]], alignment: int) -> None:
    tensors = [
        TensorSpec(
            f"blk.0.t{index}", (blocks * QUANT_TYPES[code].block_elements, *([rows] if rows else [])), code,
            b"\1" * (blocks * QUANT_TYPES[code].block_bytes * (rows or 1)))
        for index, (blocks, rows, code) in enumerate(shapes)
    ]
    metadata = {
        "general.architecture": Typed("str", "made"), "made.block_count": Typed("u32", 1), "made.vocab_size": Typed("u32", 3),
        "general.alignment": Typed("u32", alignment)}
    data = encode_gguf(metadata, tensors, alignment=alignment)
    original = read(data, len(data))
    copy = read_back([original])
    assert copy.tensors == original.tensors


def test_the_vocabulary_is_gone_and_its_size_is_not(tmp_path: Path) -> None:
    original = read_header_file(write_tiny_gguf(tmp_path / "tiny.gguf"))
    assert isinstance(original.metadata["tokenizer.ggml.tokens"], SkippedArray)
    path = tmp_path / "plan.gguf"
    write_plan_file(path, plan_header([original]))
    copy = read_header_file(path)
    assert [key for key in copy.metadata if key.startswith("tokenizer.")] == ["tokenizer.ggml.model"]
    assert copy.metadata["tokenizer.ggml.model"] == "no_vocab"
    assert geometry_of(copy) == geometry_of(original)
    assert weights_of([copy]) == weights_of([original])


def test_the_parts_of_a_split_model_become_one_table(tmp_path: Path) -> None:
    whole = read_header_file(write_tiny_gguf(tmp_path / "whole.gguf"))
    half = len(whole.tensors) // 2
    parts = []
    for number, tensors in enumerate((whole.tensors[:half], whole.tensors[half:])):
        metadata = {"general.architecture": Typed("str", "llama"), "llama.block_count": Typed("u32", 2)}
        if number == 0:
            metadata = tiny_metadata(TinyModel())
        specs = [
            TensorSpec(t.name, t.dimensions, F16 if t.quant_type.name == "F16" else F32, bytes(t.n_bytes)) for t in tensors]
        data = encode_gguf(metadata | {"split.count": Typed("u16", 2), "split.no": Typed("u16", number)}, specs)
        parts.append(read(data, len(data), f"part{number}.gguf"))
    copy = read_back(parts)
    assert [t.name for t in copy.tensors] == [t.name for t in whole.tensors]
    assert not [key for key in copy.metadata if key.startswith("split.")]
    assert weights_of([copy]) == weights_of([whole])


def test_a_tensor_in_two_parts_is_refused(tmp_path: Path) -> None:
    header = read_header_file(write_tiny_gguf(tmp_path / "tiny.gguf"))
    with pytest.raises(AppError, match="repeats a tensor"):
        plan_header([header, header])


@pytest.mark.skipif(os.name == "nt", reason="blocks of a file are not reported")
def test_the_file_is_sparse(tmp_path: Path) -> None:
    rows = 200_000_000
    table = struct.pack("<Q", 17) + b"token_embd.weight" + struct.pack("<IQQIQ", 2, 64, rows, F32, 0)
    data = encode_gguf(
        {"general.architecture": Typed("str", "made"), "made.block_count": Typed("u32", 1)}, n_tensors=1) + table
    header = read(data, len(data) + 64 + 64 * rows * 4)
    path = tmp_path / "plan.gguf"
    write_plan_file(path, plan_header([header]))
    assert path.stat().st_size > 50e9
    assert path.stat().st_blocks * 512 < 1e6


def test_equal_models_have_equal_names(tmp_path: Path) -> None:
    first = read_header_file(write_tiny_gguf(tmp_path / "one.gguf"))
    second = read_header_file(write_tiny_gguf(tmp_path / "two.gguf"))
    other = read_header_file(write_tiny_gguf(tmp_path / "three.gguf", n_layer=3))
    assert plan_header([first]).sha256 == plan_header([second]).sha256
    assert plan_header([first]).sha256 != plan_header([other]).sha256

"""Reading what is valid: round trips, agreement with the official reader, real files."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localai_app.errors import AppError
from localai_app.gguf.header import SkippedArray
from localai_app.gguf.quant_types import QUANT_TYPES
from localai_app.gguf.reader import read_header, read_header_file
from tests.helpers.gguf_files import TensorSpec, Typed, encode_gguf, write_tiny_gguf
from tests.helpers.real_models import gemma_path, smollm2_path
from tests.helpers.torture import rounds

_INTEGERS = {
    "u8": (0, 2**8),
    "i8": (-(2**7), 2**7),
    "u16": (0, 2**16),
    "i16": (-(2**15), 2**15),
    "u32": (0, 2**32),
    "i32": (-(2**31), 2**31),
    "u64": (0, 2**64),
    "i64": (-(2**63), 2**63),
}
_SCALARS: dict[str, st.SearchStrategy[object]] = {
    **{name: st.integers(low, high - 1) for name, (low, high) in _INTEGERS.items()},
    "f32": st.floats(width=32, allow_nan=False),
    "f64": st.floats(allow_nan=False),
    "bool": st.booleans(),
    "str": st.text(st.characters(codec="utf-8"), max_size=40),
}


def _typed(names: list[str]) -> st.SearchStrategy[Typed]:
    scalar = st.sampled_from(names).flatmap(lambda name: _SCALARS[name].map(lambda value: Typed(name, value)))
    array = st.sampled_from(names).flatmap(
        lambda name: st.lists(_SCALARS[name], max_size=20).map(lambda values: Typed("arr", values, name))
    )
    return scalar | array


_KEYS = st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=1, max_size=20)
_TENSORS = st.dictionaries(
    _KEYS,
    st.tuples(st.sampled_from(sorted(QUANT_TYPES)), st.lists(st.integers(1, 4), min_size=1, max_size=4)),
    max_size=6,
)


def _read(content: bytes) -> object:
    return read_header(lambda offset, n: content[offset : offset + n], len(content), "test.gguf")


@given(st.dictionaries(_KEYS, _typed(sorted(_SCALARS)), max_size=8), _TENSORS, st.sampled_from([32, 64, 256]))
@settings(max_examples=rounds(48, 1200), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_round_trip(metadata: dict[str, Typed], tensors: dict[str, tuple[int, list[int]]], alignment: int) -> None:
    specs = []
    for name, (code, dims) in tensors.items():
        quant_type = QUANT_TYPES[code]
        shape = (dims[0] * quant_type.block_elements, *dims[1:])
        size = math.prod(shape) // quant_type.block_elements * quant_type.block_bytes
        specs.append(TensorSpec(name, shape, code, b"\7" * size))
    entries = {"general.alignment": Typed("u32", alignment)} | metadata
    header = _read(encode_gguf(entries, specs, alignment=alignment))
    expected = {key: tuple(v.value) if v.type_name == "arr" else v.value for key, v in entries.items()}  # type: ignore[arg-type]
    assert header.metadata == expected
    assert [(t.name, t.dimensions, t.quant_type, t.n_bytes) for t in header.tensors] == [
        (s.name, s.dimensions, QUANT_TYPES[s.type_code], len(s.data)) for s in specs
    ]
    assert header.alignment == alignment


def test_long_arrays_are_walked_over_and_not_kept() -> None:
    tokens = [f"token {n}" * (n % 7) for n in range(20_000)]
    content = encode_gguf(
        {
            "general.architecture": Typed("str", "llama"),
            "tokenizer.ggml.tokens": Typed("arr", tokens, "str"),
            "tokenizer.ggml.scores": Typed("arr", [0.5] * 20_000, "f32"),
            "after": Typed("u32", 7),
        }
    )
    header = _read(content)
    assert header.metadata["tokenizer.ggml.tokens"] == SkippedArray("string", 20_000)
    assert header.metadata["tokenizer.ggml.scores"] == SkippedArray("float32", 20_000)
    assert header.metadata["after"] == 7


def test_reads_in_bounded_steps_and_no_further_than_the_header() -> None:
    content = encode_gguf({"a": Typed("arr", ["x" * 1000] * 7000, "str"), "b": Typed("u8", 1)}) + b"\0" * 9_000_000
    asked = []

    def read_range(offset: int, n: int) -> bytes:
        asked.append((offset, n))
        return content[offset : offset + n]

    assert read_header(read_range, len(content), "x").metadata["b"] == 1
    assert all(n <= 2_000_000 for _, n in asked)
    assert sum(n for _, n in asked) == 8_000_000  # the header is 7.06 MB long


def test_values_that_are_not_utf8_are_replaced() -> None:
    assert _read(encode_gguf({"k": Typed("str", b"caf\xe9")})).metadata["k"] == "caf�"


@pytest.mark.parametrize("path", [smollm2_path, gemma_path])
@pytest.mark.model
def test_agrees_with_the_official_reader(path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    gguf = pytest.importorskip("gguf")
    numpy = pytest.importorskip("numpy")
    # It cuts a piece out of the map for each of a million tokens, which numpy does three times as fast with a plain array.
    mapped = numpy.memmap
    monkeypatch.setattr(numpy, "memmap", lambda *arguments, **options: numpy.asarray(mapped(*arguments, **options)))
    file = path()
    header = read_header_file(file)
    official = gguf.GGUFReader(file)
    assert [(t.name, t.dimensions, t.n_bytes, t.offset + header.data_start) for t in header.tensors] == [
        (t.name, tuple(int(n) for n in t.shape), int(t.n_bytes), int(t.data_offset)) for t in official.tensors
    ]
    assert [t.quant_type.name for t in header.tensors] == [t.tensor_type.name for t in official.tensors]
    keys = {key for key in official.fields if not key.startswith("GGUF.")}
    assert header.metadata.keys() == keys
    for key in keys:
        field, value = official.fields[key], header.metadata[key]
        if isinstance(value, SkippedArray):
            assert value.count == len(field.data)
        else:
            contents = field.contents()
            assert value == (tuple(contents) if isinstance(contents, list) else contents)


def test_agrees_with_the_official_writer(tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    numpy = pytest.importorskip("numpy")
    writer = gguf.GGUFWriter(tmp_path / "w.gguf", "llama")
    writer.add_block_count(3)
    writer.add_head_count([4, 4, 2])
    writer.add_token_list(["a", "ö", "c"])
    writer.add_tensor("blk.0.ffn_up.weight", numpy.ones((8, 32), dtype=numpy.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    header = read_header_file(tmp_path / "w.gguf")
    assert header.metadata["llama.attention.head_count"] == (4, 4, 2)
    assert header.metadata["tokenizer.ggml.tokens"] == ("a", "ö", "c")
    assert (header.tensors[0].dimensions, header.tensors[0].n_bytes) == ((32, 8), 512)


def test_every_other_kind_of_file_is_an_error_in_words(tmp_path: Path) -> None:
    tiny = write_tiny_gguf(tmp_path / "tiny.gguf")
    loop = tmp_path / "loop.gguf"
    loop.symlink_to(loop)
    (tmp_path / "folder.gguf").mkdir()
    (tmp_path / "text.gguf").write_text("not a model")
    (tmp_path / "empty.gguf").write_bytes(b"")
    codes = {}
    for name in ("loop", "folder", "text", "empty", "missing"):
        with pytest.raises(AppError) as caught:
            read_header_file(tmp_path / f"{name}.gguf")
        codes[name] = caught.value.code
    assert codes == {
        "loop": "model_file_unreadable",
        "folder": "not_a_gguf",
        "text": "not_a_gguf",
        "empty": "not_a_gguf",
        "missing": "model_file_missing",
    }
    assert read_header_file(tiny).model_name == "Tiny"


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os = pytest.importorskip("os")
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes here")
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(AppError, match="not a GGUF"):
        read_header_file(tmp_path / "pipe.gguf")

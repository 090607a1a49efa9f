"""Packed headers are read back as they were, and damaged ones are refused."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from localai_app.gguf.compact import pack_header, unpack_header
from localai_app.gguf.header import SkippedArray
from localai_app.gguf.reader import read_header_file
from tests.helpers.gguf_files import Typed, write_tiny_gguf

ODD_VALUES = {
    "odd.not_a_number": Typed("f32", float("inf")), "odd.largest": Typed("u64", 2**64 - 1),
    "odd.smallest": Typed("i64", -(2**63)),
    "odd.yes": Typed("bool", True), "odd.whole_float": Typed("f32", 2.0), "odd.text": Typed("str", b"\xff\xfe broken"),
    "odd.empty": Typed("arr", [], "f32"), "odd.flags": Typed("arr", [True, False], "bool"),
    "odd.long": Typed("arr", list(range(5000)), "i32"),
}


def test_every_kind_of_value_comes_back_as_it_was(tmp_path: Path) -> None:
    header = read_header_file(write_tiny_gguf(tmp_path / "odd.gguf", metadata=ODD_VALUES))
    again = unpack_header(pack_header(header))
    assert again == header
    assert again.metadata["odd.yes"] is True
    assert isinstance(again.metadata["odd.whole_float"], float)
    assert again.metadata["odd.long"] == SkippedArray("int32", 5000)


def test_damaged_bytes_are_refused(tmp_path: Path) -> None:
    packed = pack_header(read_header_file(write_tiny_gguf(tmp_path / "model.gguf")))
    source = random.Random(5)
    for _ in range(300):
        place = source.randrange(len(packed))
        changed = bytearray(packed)
        changed[place] ^= 1 << source.randrange(8)
        with pytest.raises(ValueError, match="packed header"):
            unpack_header(bytes(changed))
    for length in (0, 3, 20, len(packed) - 1):
        with pytest.raises(ValueError, match="packed header"):
            unpack_header(packed[:length])

"""Every hostile file gets its verdict within a second of processor time and 200 MB of memory."""

from __future__ import annotations

import os
import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from localai_app.errors import AppError
from localai_app.gguf.dimensions import geometry_of
from localai_app.gguf.reader import read_header_file
from localai_app.gguf.tensors import weights_of
from tests.helpers.gguf_files import Typed, encode_gguf, text_bytes, write_tiny_gguf
from tests.unit.gguf.test_reader_hostile import REFUSED

MAX_S = 1.0
MAX_BYTES = 200_000_000
SPARSE_BYTES = 2_000_000_000


def verdict(path: Path) -> str:
    """The code of the refusal, or nothing where the file is accepted."""
    refusal = None
    try:
        header = read_header_file(path)
        geometry_of(header)
        weights_of([header])
    except AppError as error:
        refusal = error
    assert refusal is None or (refusal.message and refusal.action)
    return refusal.code if refusal is not None else ""


def measured(path: Path) -> str:
    """The verdict on a file, held to the limits of time and of memory, one after the other."""
    started_s = time.process_time()
    code = verdict(path)
    assert time.process_time() - started_s < MAX_S
    tracemalloc.start()
    try:
        assert verdict(path) == code
        assert tracemalloc.get_traced_memory()[1] < MAX_BYTES
    finally:
        tracemalloc.stop()
    return code


def array_start(element_type: int, count: int, key: str = "tokenizer.ggml.tokens") -> bytes:
    """The beginning of a file whose first value is a list of so many elements."""
    return encode_gguf([], n_keys=3) + text_bytes(key) + struct.pack("<IIQ", 9, element_type, count)


def sparse(path: Path, start: bytes) -> None:
    """A file of 2 GB that holds nothing but its beginning."""
    with path.open("wb") as file:
        file.write(start)
        file.truncate(SPARSE_BYTES)


OVERSIZE: dict[str, Callable[[Path], None]] = {
    "vocabulary of 2 GB": lambda path: sparse(path, array_start(8, 250_000_000 - 8)),
    "vocabulary that claims a million million": lambda path: sparse(path, array_start(8, 10**12)),
    "array of a thousand million numbers": lambda path: sparse(path, array_start(4, 10**9)),
    "numbers that would fill the file": lambda path: sparse(path, array_start(0, SPARSE_BYTES - 100)),
    "text of 2 GB": lambda path: sparse(path, encode_gguf([], n_keys=1) + text_bytes("k") + struct.pack("<IQ", 8, 2**31)),
    "a hundred thousand keys of nothing": lambda path: sparse(path, encode_gguf([], n_keys=100_000)),
    "a hundred thousand tensors of nothing": lambda path: sparse(path, encode_gguf([], n_tensors=100_000)),
}


@pytest.mark.parametrize("case", OVERSIZE)
def test_oversize_metadata_costs_neither_time_nor_memory(tmp_path: Path, case: str) -> None:
    path = tmp_path / "huge.gguf"
    OVERSIZE[case](path)
    assert measured(path).startswith("gguf_")


def test_the_longest_header_that_is_read_at_all_is_read_as_fast(tmp_path: Path) -> None:
    """Millions of empty words in just under 64 MB: each has to be looked at."""
    sparse(tmp_path / "long.gguf", array_start(8, 7_900_000))
    assert measured(tmp_path / "long.gguf").startswith("gguf_")


@pytest.mark.parametrize("ctx", [2**31, 2**63, 2**64 - 1])
def test_a_huge_context_in_the_header_is_only_a_number(tmp_path: Path, ctx: int) -> None:
    path = write_tiny_gguf(tmp_path / "huge.gguf", metadata={"llama.context_length": Typed("u64", ctx)})
    assert measured(path) in ("", "gguf_refused")


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_a_damaged_header_in_a_file(tmp_path: Path, case: str) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(REFUSED[case][0] + b"\0" * 256)
    assert measured(path).startswith("gguf_")


@pytest.mark.parametrize(("kind", "code"), [
    ("nothing in it", "not_a_gguf"), ("text", "not_a_gguf"), ("folder", "not_a_gguf"), ("pipe", "not_a_gguf"),
    ("link to itself", "model_file_unreadable"), ("link to nowhere", "model_file_missing"), ("device", "not_a_gguf"),
    ("socket", "not_a_gguf"),
])
def test_what_is_no_ordinary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, code: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "odd.gguf"
    if make_odd(path, kind):
        assert measured(path) in (code, "model_file_unreadable")


def make_odd(path: Path, kind: str) -> bool:
    """Put something else in the place of a model; false where this system has no such thing."""
    match kind:
        case "nothing in it":
            path.write_bytes(b"")
        case "text":
            path.write_text("Models are nice.\n" * 1000)
        case "folder":
            path.mkdir()
        case "link to itself":
            path.symlink_to(path)
        case "link to nowhere":
            path.symlink_to(path.with_name("gone.gguf"))
        case "pipe" if hasattr(os, "mkfifo"):
            os.mkfifo(path)
        case "device" if Path("/dev/zero").exists():
            path.symlink_to("/dev/zero")
        case "socket" if os.name == "posix":
            import socket

            with socket.socket(socket.AF_UNIX) as end:
                # By its name alone: the address of a socket may have 108 letters.
                end.bind(path.name)
        case _:
            return False
    return path.exists() or path.is_symlink()

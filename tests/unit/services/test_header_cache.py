"""The cache of headers stays within its bounds and survives what happens to its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from localai_app.gguf.header import GgufHeader
from localai_app.gguf.reader import read_header_file
from localai_app.services import header_cache
from localai_app.services.header_cache import HeaderCache, HeaderKey, held_bytes
from tests.helpers.gguf_files import Typed, write_tiny_gguf


@pytest.fixture
def header(tmp_path: Path) -> GgufHeader:
    return read_header_file(write_tiny_gguf(tmp_path / "tiny.gguf"))


def key(header: GgufHeader, number: int = 0) -> HeaderKey:
    return HeaderKey("owner/repo", "a" * 40, f"{number}.gguf", header.file_size)


def test_old_files_are_removed_when_there_are_too_many(
    tmp_path: Path, header: GgufHeader, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(header_cache, "MAX_FILES", 10)
    monkeypatch.setattr(header_cache, "_PRUNE_TO", 8)
    cache = HeaderCache(tmp_path / "headers")
    for number in range(25):
        cache.add(key(header, number), header)
    assert 8 <= len(list((tmp_path / "headers").iterdir())) <= 10
    assert HeaderCache(tmp_path / "headers").find(key(header, 24)) == header


def test_memory_is_bounded_and_the_disk_answers_for_what_was_forgotten(
    tmp_path: Path, header: GgufHeader, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(header_cache, "MAX_HELD_BYTES", 3 * held_bytes(header))
    cache = HeaderCache(tmp_path / "headers")
    for number in range(6):
        cache.add(key(header, number), header)
    assert len(cache._headers) == 3
    assert all(cache.find(key(header, number)) == header for number in range(6))
    assert cache._held_bytes == 3 * held_bytes(header)


def test_long_texts_count_as_well(tmp_path: Path) -> None:
    source = write_tiny_gguf(tmp_path / "long.gguf", metadata={"general.description": Typed("str", "x" * 10_000_000)})
    header = read_header_file(source)
    cache = HeaderCache(tmp_path / "headers")
    for number in range(5):
        cache.add(key(header, number), header)
    assert len(cache._headers) == 2


def test_another_size_is_another_file(tmp_path: Path, header: GgufHeader) -> None:
    cache = HeaderCache(tmp_path / "headers")
    cache.add(key(header), header)
    assert cache.find(key(header)._replace(size_bytes=1)) is None
    assert cache.find(key(header)._replace(commit="b" * 40)) is None


def test_a_folder_that_cannot_be_written_costs_nothing_but_the_next_start(tmp_path: Path, header: GgufHeader) -> None:
    (tmp_path / "headers").write_bytes(b"a file where the folder should be")
    cache = HeaderCache(tmp_path / "headers")
    cache.add(key(header), header)
    assert cache.find(key(header)) is header
    assert HeaderCache(tmp_path / "headers").find(key(header)) is None

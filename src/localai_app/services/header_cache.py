"""Headers from the Hub that were read already: in memory, and a few kilobytes each in the cache folder."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

from localai_app.gguf.compact import pack_header, unpack_header
from localai_app.gguf.header import GgufHeader

log = logging.getLogger(__name__)

MAX_FILES = 2000
MAX_FILE_BYTES = 1_000_000
"""A header that takes more, by a huge chat template for example, is kept in memory only."""
MAX_HELD_BYTES = 25_000_000
"""In memory; a large model takes half a megabyte, a header made to be large takes up to 64 MB."""
_TENSOR_BYTES, _VALUE_BYTES = 400, 100
_PRUNE_TO = MAX_FILES * 9 // 10
_SUFFIX = ".header"


class HeaderKey(NamedTuple):
    """One file of a repository at a commit; the size is part of it because a commit says nothing about another Hub's files."""

    repo_id: str
    commit: str
    path: str
    size_bytes: int

    @property
    def file_name(self) -> str:
        """The file that keeps this header."""
        return hashlib.sha256("\0".join(map(str, self)).encode("utf-8", "surrogatepass")).hexdigest()[:32] + _SUFFIX


class HeaderCache:
    """Finds and keeps headers. A file that cannot be read or written costs a second request, nothing else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._headers: OrderedDict[HeaderKey, GgufHeader] = OrderedDict()
        self._held_bytes = 0

    def find(self, key: HeaderKey) -> GgufHeader | None:
        """A header that was kept, from memory or from the disk."""
        with self._lock:
            header = self._headers.get(key)
            if header is not None:
                self._headers.move_to_end(key)
                return header
        header = self._read(key)
        if header is not None:
            self._remember(key, header)
        return header

    def add(self, key: HeaderKey, header: GgufHeader) -> None:
        """Keep a header."""
        self._remember(key, header)
        packed = pack_header(header)
        if len(packed) <= MAX_FILE_BYTES:
            self._write(key, packed)

    def _remember(self, key: HeaderKey, header: GgufHeader) -> None:
        with self._lock:
            before = self._headers.pop(key, None)
            self._held_bytes += held_bytes(header) - (held_bytes(before) if before is not None else 0)
            self._headers[key] = header
            while self._held_bytes > MAX_HELD_BYTES and len(self._headers) > 1:
                _oldest, forgotten = self._headers.popitem(last=False)
                self._held_bytes -= held_bytes(forgotten)

    def _read(self, key: HeaderKey) -> GgufHeader | None:
        try:
            with (self._folder / key.file_name).open("rb") as file:
                header = unpack_header(file.read(MAX_FILE_BYTES + 1))
        except (OSError, ValueError):
            return None
        return header if header.file_size == key.size_bytes else None

    def _write(self, key: HeaderKey, packed: bytes) -> None:
        path = self._folder / key.file_name
        partial = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(packed)
            partial.replace(path)
            self._prune()
        except OSError as error:
            log.info("a header could not be kept: %s", error)

    def _prune(self) -> None:
        """Remove the oldest files when there are too many."""
        files = list(self._folder.iterdir())
        if len(files) <= MAX_FILES:
            return
        for path in sorted(files, key=lambda path: path.stat().st_mtime)[: len(files) - _PRUNE_TO]:
            path.unlink(missing_ok=True)


def held_bytes(header: GgufHeader) -> int:
    """About what a header takes in memory."""
    return _TENSOR_BYTES * len(header.tensors) + sum(_value_bytes(value) for value in header.metadata.values())


def _value_bytes(value: object) -> int:
    if isinstance(value, tuple):
        return sum(_value_bytes(one) for one in value)
    return _VALUE_BYTES + (len(value) if isinstance(value, str) else 0)

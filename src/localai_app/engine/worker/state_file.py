"""The state of a conversation as a file: written when a model is unloaded, read when its chat is gone on with.

A file is of use only to the same model file, build of llama.cpp, context and type of cache, which its key names. What is not
exactly as it was written is refused: llama.cpp trusts the numbers that it is given.

Layout: magic, length of the header (8 bytes, little-endian) and its CRC-32 (4 bytes), the header in JSON, then the copies.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

import msgspec

from localai_app.engine.load_options import LoadOptions

_MAGIC = b"LAICHAT1"
_PREFIX = struct.Struct("<QI")
_MAX_HEADER_BYTES = 64 * 1024**2
_MAX_PARTS = 16
_CHUNK_BYTES = 16 * 1024**2


class StateFileError(Exception):
    """A file that is not the state of a conversation, or not one that can be used here."""


class StatePart(msgspec.Struct, frozen=True):
    """One copy: after how many tokens, how long, and its CRC-32."""

    n_tokens: int
    n_bytes: int
    crc: int


class StateHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says of itself. The first part is the whole state, the others are checkpoints."""

    key: str
    tokens: tuple[int, ...]
    """What the cache held."""
    text: str
    text_tokens: tuple[int, ...]
    marks: tuple[tuple[int, int], ...]
    """The transcript: see there."""
    parts: tuple[StatePart, ...]


def state_key(options: LoadOptions, ctx: int, engine_build: str) -> str:
    """What has to be the same for a state to be of use; empty where the model file cannot be asked."""
    path = Path(options.model_path)
    try:
        file = path.stat()
    except OSError:
        return ""
    return f"{path.name}|{file.st_size}|{file.st_mtime_ns}|{ctx}|{options.kv_type.value}|{options.swa_full}|{engine_build}"


def write_state(path: Path, header: StateHeader, copies: tuple[mmap.mmap, ...]) -> int:
    """Write a state beside its final place, then there; its bytes. OSError if that is not possible, and nothing is left."""
    parts = tuple(
        StatePart(n_tokens, len(copy), zlib.crc32(copy))
        for n_tokens, copy in zip((part.n_tokens for part in header.parts), copies, strict=True))
    encoded = msgspec.json.encode(msgspec.structs.replace(header, parts=parts))
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    try:
        with _opened_private(beside) as file:
            file.write(_MAGIC + _PREFIX.pack(len(encoded), zlib.crc32(encoded)) + encoded)
            for copy in copies:
                view = memoryview(copy)
                for start in range(0, len(view), _CHUNK_BYTES):
                    file.write(view[start:start + _CHUNK_BYTES])
                view.release()
        beside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    return path.stat().st_size


def read_state(path: Path, key: str, limit_bytes: int) -> tuple[StateHeader, tuple[mmap.mmap, ...]]:
    """A state and its copies; StateFileError for a file that is damaged, foreign or larger than `limit_bytes`."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > limit_bytes:
                raise StateFileError("it is larger than allowed")
            header = _read_header(file, size)
            if header.key != key:
                raise StateFileError("it belongs to another model or another way of loading it")
            if file.tell() + sum(part.n_bytes for part in header.parts) != size:
                raise StateFileError("it is not as long as it says")
            return header, tuple(_read_part(file, part) for part in header.parts)
    except (OSError, ValueError, OverflowError) as error:
        raise StateFileError(str(error)) from error


def _read_header(file: BinaryIO, size: int) -> StateHeader:
    if file.read(len(_MAGIC)) != _MAGIC:
        raise StateFileError("it is not a state file")
    length, crc = _PREFIX.unpack(_exactly(file, _PREFIX.size))
    if length > min(size, _MAX_HEADER_BYTES):
        raise StateFileError("its header is too long")
    encoded = _exactly(file, length)
    if zlib.crc32(encoded) != crc:
        raise StateFileError("its header is damaged")
    try:
        header = msgspec.json.decode(encoded, type=StateHeader)
    except msgspec.MsgspecError as error:
        raise StateFileError("its header is damaged") from error
    if not 1 <= len(header.parts) <= _MAX_PARTS or any(part.n_bytes <= 0 for part in header.parts):
        raise StateFileError("its parts are not what they should be")
    if header.parts[0].n_tokens != len(header.tokens):
        raise StateFileError("its tokens are not those of its state")
    return header


def _read_part(file: BufferedReader, part: StatePart) -> mmap.mmap:
    copy = mmap.mmap(-1, part.n_bytes)
    view = memoryview(copy)
    try:
        done, crc = 0, 0
        while done < part.n_bytes:
            chunk = view[done:done + _CHUNK_BYTES]
            count = file.readinto(chunk)
            if not count:
                raise StateFileError("it ends too early")
            crc = zlib.crc32(chunk[:count], crc)
            done += count
    finally:
        view.release()
    if crc != part.crc:
        raise StateFileError("its content is damaged")
    return copy


def _exactly(file: BinaryIO, length: int) -> bytes:
    data = file.read(length)
    if len(data) != length:
        raise StateFileError("it ends too early")
    return data


@contextlib.contextmanager
def _opened_private(path: Path) -> Iterator[BinaryIO]:
    """A new file that only its owner may read: it holds the text of a chat."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(descriptor, "wb") as file:
        yield file

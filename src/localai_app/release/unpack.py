"""Unpacks the archive of a runtime pack: what the signed list names, and not one byte more.

The archive is a tar in xz. It is read here and not by `tarfile`, which knows links, devices, holes, owners and extended
headers of any length: a pack needs plain files alone, so everything else is refused where it is met.
"""

from __future__ import annotations

import hashlib
import lzma
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from localai_app.progress import CancelToken, Progress, ProgressCallback
from localai_app.release.fields import require_safe_paths
from localai_app.release.pack_document import PackFile
from localai_app.units import MIB

_BLOCK = 512
_END = bytes(_BLOCK)
_READ_BYTES = 256 * 1024
_MOST_MEMORY_BYTES = 96 * MIB
"""Of the decompressor: enough for every preset of xz, whose dictionary has 64 MiB at most."""
_MOST_PADDING_BYTES = 20 * _BLOCK
"""Zeros at the end of a tar, which is written in records of 20 blocks."""
_PLAIN_TYPES = (b"0", b"\0")


class UnpackError(ValueError):
    """The archive is not what the signed list says; the text is a clause."""


def unpack(
    archive: BinaryIO, files: Sequence[PackFile], folder: Path, on_progress: ProgressCallback, cancel: CancelToken,
) -> None:
    """Write the files of an archive into `folder`, an empty one, and check each against its size and checksum.

    Takes 100 MB of memory at most, and writes no more bytes than `files` name, whatever the archive holds. UnpackError
    for an archive that differs in anything; OSError where the disk refuses; `Cancelled`. What was written then stays there.
    """
    expected = {file.path: file for file in files}
    _require_paths(files)
    total = sum(file.size_bytes for file in files)
    stream = _Decompressed(archive, total + (2 * len(files) + 2) * _BLOCK + _MOST_PADDING_BYTES, cancel)
    done = 0

    def on_written(count: int) -> None:
        nonlocal done
        done += count
        on_progress(Progress(done, total))

    while (header := stream.exactly(_BLOCK)) != _END:
        name = _name_in(header)
        file = expected.pop(name, None)
        if file is None:
            raise UnpackError(f"it holds {name[:100]!a}, which the signed list does not name, or names once")
        _require_plain(header, file)
        _write_file(stream, file, folder, on_written)
        if stream.exactly(-file.size_bytes % _BLOCK).strip(b"\0"):
            raise UnpackError(f"something lies behind {file.path}")
    if expected:
        raise UnpackError(f"{next(iter(expected))} is missing in it")
    stream.require_end()


def _require_paths(files: Sequence[PackFile]) -> None:
    try:
        require_safe_paths(file.path for file in files)
    except ValueError as error:
        raise UnpackError(str(error)) from error


class _Decompressed:
    """The bytes of an xz file in order, in small pieces, and never more of them than `most_bytes`."""

    def __init__(self, archive: BinaryIO, most_bytes: int, cancel: CancelToken) -> None:
        self._archive = archive
        self._left_bytes = most_bytes
        self._cancel = cancel
        self._reader = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_MOST_MEMORY_BYTES)
        self._ready = b""

    def up_to(self, most: int) -> bytes:
        """At least one byte and at most `most`; UnpackError where there is none any more."""
        while not self._ready:
            self._cancel.raise_if_cancelled()
            if self._reader.eof:
                raise UnpackError("it is cut off")
            self._ready = self._more()
        piece, self._ready = self._ready[:most], self._ready[most:]
        return piece

    def exactly(self, count: int) -> bytes:
        """The next `count` bytes, which are few."""
        pieces = bytearray()
        while len(pieces) < count:
            pieces += self.up_to(count - len(pieces))
        return bytes(pieces)

    def require_end(self) -> None:
        """UnpackError unless nothing but zeros follows, and nothing behind the compressed data."""
        rest = self._ready
        self._ready = b""
        while True:
            if rest.strip(b"\0"):
                raise UnpackError("something lies behind its end")
            if self._reader.eof:
                break
            self._cancel.raise_if_cancelled()
            rest = self._more()
        if self._reader.unused_data or self._archive.read(1):
            raise UnpackError("something lies behind its end")

    def _more(self) -> bytes:
        fresh = self._archive.read(_READ_BYTES) if self._reader.needs_input else b""
        if self._reader.needs_input and not fresh:
            raise UnpackError("it is cut off")
        try:
            piece = self._reader.decompress(fresh, _READ_BYTES)
        except lzma.LZMAError as error:
            raise UnpackError(f"it is damaged ({error})") from error
        self._left_bytes -= len(piece)
        if self._left_bytes < 0:
            raise UnpackError("it unpacks to more than the signed list says")
        return piece


def _write_file(stream: _Decompressed, file: PackFile, folder: Path, on_written: Callable[[int], None]) -> None:
    target = folder.joinpath(*file.path.split("/"))
    target.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    digest, left = hashlib.sha256(), file.size_bytes
    with os.fdopen(os.open(target, flags, 0o644), "wb") as output:
        while left:
            piece = stream.up_to(left)
            output.write(piece)
            digest.update(piece)
            left -= len(piece)
            on_written(len(piece))
        output.flush()
        os.fsync(output.fileno())
    if digest.hexdigest() != file.sha256:
        raise UnpackError(f"the checksum of {file.path} is not the signed one")


def _name_in(header: bytes) -> str:
    """The whole name in a header, whose checksum is right; UnpackError for what is none."""
    try:
        given = int(header[148:156].rstrip(b" \0") or b"x", 8)
    except ValueError:
        raise UnpackError("a header in it is damaged") from None
    if given != sum(header[:148]) + 8 * 32 + sum(header[156:]):
        raise UnpackError("a header in it is damaged")
    name = b"/".join(part for part in (header[345:500].split(b"\0")[0], header[:100].split(b"\0")[0]) if part)
    return name.decode("latin-1")


def _require_plain(header: bytes, file: PackFile) -> None:
    if header[156:157] not in _PLAIN_TYPES or header[157:257].strip(b"\0"):
        raise UnpackError(f"{file.path} is no plain file in it")
    if header[257:263] != b"ustar\0":
        raise UnpackError("it is not a tar of plain files")
    try:
        size_bytes = int(header[124:136].rstrip(b" \0") or b"x", 8)
    except ValueError:
        raise UnpackError(f"the size of {file.path} in it is damaged") from None
    if size_bytes != file.size_bytes:
        raise UnpackError(f"{file.path} has {size_bytes} bytes in it instead of {file.size_bytes}")

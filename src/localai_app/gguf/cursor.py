"""Walks over the first megabytes of a file that is fetched in steps; every length is checked before it is used."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from functools import cache
from itertools import repeat
from typing import Any

STEP_BYTES = 2 * 1000**2
MAX_HEADER_BYTES = 64 * 1000**2
MAX_STRING_BYTES = 16 * 1000**2
MAX_NAME_BYTES = 64 * 1024
"""Keys and tensor names: llama.cpp allows 64 kB and 63 bytes."""
_RUN = 256
_RUN_LENGTHS = (0, *range(4, 17), 3, 2, 1, *range(17, 64))
"""Lengths in bytes of the texts of a run: the empty ones, of which a hostile file can hold eight million, then in the order of
how often they occur in vocabularies."""
_READ_LENGTH = struct.Struct("<Q").unpack_from


@cache
def _run_of_short_strings() -> re.Pattern[bytes]:
    """Matches `_RUN` strings of less than 64 bytes, each behind its length: half the time of a loop in Python."""
    strings = (re.escape(bytes([length])) + b"\\0{7}.{%d}" % length for length in _RUN_LENGTHS)
    return re.compile(b"(?s)(?:" + b"|".join(strings) + b"){%d}+" % _RUN)


class TruncatedError(Exception):
    """The file ends before its header does; `where` in words."""

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.where = where


class RefusedError(Exception):
    """The header is damaged or beyond the limits; `reason` in words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Cursor:
    """A position in the header of a file of `file_size` bytes."""

    def __init__(self, read_range: Callable[[int, int], bytes], file_size: int) -> None:
        self._read_range = read_range
        self._file_size = file_size
        self._buffer = bytearray()
        self.position = 0
        self.where = "its header"

    @staticmethod
    def size_of(code: str) -> int:
        """Bytes of one number of this `struct` format."""
        return struct.calcsize(code)

    def peek(self, n: int) -> bytes:
        """Up to `n` bytes from the start of the file; fewer where it is shorter."""
        if len(self._buffer) < n:
            self._fetch()
        return bytes(self._buffer[:n])

    def number(self, code: str) -> int:
        """One whole number of this `struct` format."""
        value: int = self._unpack(code)
        return value

    def float_number(self, code: str) -> float:
        """One floating-point number of this `struct` format."""
        value: float = self._unpack(code)
        return value

    def count(self, limit: int, what: str) -> int:
        """A 64-bit count that must not exceed `limit`."""
        value = self.number("<Q")
        if value > limit:
            raise RefusedError(f"it claims to hold {value} {what}")
        return value

    def name(self, what: str) -> str:
        """A key or a tensor's name: UTF-8 or refused."""
        try:
            return self._string(MAX_NAME_BYTES).decode("utf-8")
        except UnicodeDecodeError as error:
            raise RefusedError(f"the name of {what} is not text") from error

    def text(self) -> str:
        """A value: bytes that are not UTF-8 are replaced."""
        return self._string(MAX_STRING_BYTES).decode("utf-8", "replace")

    def skip(self, n: int) -> None:
        """Steps over `n` bytes."""
        self._require(n)
        self.position += n

    def skip_strings(self, count: int) -> None:
        """Steps over `count` strings without keeping them: the token lists of 262,000 entries pass through here."""
        if count * 8 > MAX_HEADER_BYTES:
            raise RefusedError("its header is larger than 64 MB")
        while count:
            if count >= _RUN and (run := _run_of_short_strings().match(self._buffer, self.position)) is not None:
                self.position = run.end()
                count -= _RUN
                continue
            portion = min(count, _RUN)
            try:
                end = self._walk(portion)
            except (struct.error, OverflowError):
                self._check_strings(portion)
                self._require(len(self._buffer) - self.position + 1)
                continue
            if end - self.position > MAX_STRING_BYTES:
                self._check_strings(portion)
            self.position = end
            self._require(0)
            count -= portion

    def _walk(self, count: int) -> int:
        """The position after `count` strings; raises `struct.error` where the buffer ends before."""
        buffer, position, read_length = self._buffer, self.position, _READ_LENGTH
        for _ in repeat(None, count):
            position += 8 + read_length(buffer, position)[0]
        return position

    def _check_strings(self, count: int) -> None:
        """Raises `RefusedError` for a string that is too long among those whose lengths are in the buffer."""
        position = self.position
        for _ in repeat(None, count):
            if position + 8 > len(self._buffer):
                return
            (length,) = _READ_LENGTH(self._buffer, position)
            if length > MAX_STRING_BYTES:
                raise RefusedError("a text in it is longer than 16 MB")
            position += 8 + length

    def _string(self, longest: int) -> bytes:
        length = self.number("<Q")
        if length > longest:
            limit = "16 MB" if longest == MAX_STRING_BYTES else "64 kB"
            raise RefusedError(f"a text in it is longer than {limit}")
        start = self.position
        self.skip(length)
        return bytes(self._buffer[start : self.position])

    def _unpack(self, code: str) -> Any:
        self._require(struct.calcsize(code))
        (value,) = struct.unpack_from(code, self._buffer, self.position)
        self.position += struct.calcsize(code)
        return value

    def _require(self, n: int) -> None:
        """Makes `n` bytes from the position available, or raises."""
        end = self.position + n
        if end <= len(self._buffer):
            return
        if end > MAX_HEADER_BYTES:
            raise RefusedError("its header is larger than 64 MB")
        if end > self._file_size:
            raise TruncatedError(self.where)
        while len(self._buffer) < end:
            if not self._fetch():
                raise TruncatedError(self.where)

    def _fetch(self) -> bool:
        offset = len(self._buffer)
        wanted = min(STEP_BYTES, self._file_size - offset, MAX_HEADER_BYTES - offset)
        if wanted <= 0:
            return False
        piece = self._read_range(offset, wanted)
        self._buffer += piece[:wanted]
        return bool(piece)

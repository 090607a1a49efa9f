"""Which macOS the programs and libraries of an application need, read from the files (mach-o/loader.h, mach-o/fat.h)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from tools.dev.console import StepError

HEADS = (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf")
"""How programs and libraries of macOS begin: of 64 and 32 bits, and those for several processors in one file."""
_THIN, _FAT = HEADS[0], HEADS[2]
_ARM64 = 0x0100000C
_VERSION_MIN_MACOSX, _BUILD_VERSION = 0x24, 0x32


def minimum_macos(data: bytes) -> tuple[int, int]:
    """The oldest macOS that a file says it runs on, for Apple's processors; (0, 0) where it says nothing of them.

    struct.error for a file that is cut off.
    """
    return max((version for start in _slices(data) for version in _versions(data, start)), default=(0, 0))


def check_floor(paths: Iterable[Path], floor: str) -> None:
    """StepError with the first files that need a newer macOS than `floor`, such as 14.0."""
    allowed = tuple(map(int, floor.split(".")))
    problems = []
    for path in paths:
        try:
            needed = minimum_macos(path.read_bytes())
        except struct.error:
            problems.append(f"{path.name} is damaged")
            continue
        if needed > allowed:
            problems.append(f"{path.name} needs macOS {needed[0]}.{needed[1]}")
    if problems:
        raise StepError(f"The application is for macOS {floor} and newer, but {'; '.join(problems[:5])}.")


def _slices(data: bytes) -> Iterator[int]:
    """Where the parts for Apple's processors begin."""
    if data[:4] == _FAT:
        for at in range(struct.unpack_from(">I", data, 4)[0]):
            processor, _subtype, offset = struct.unpack_from(">III", data, 8 + 20 * at)
            if processor == _ARM64:
                yield offset
    elif data[:4] == _THIN and struct.unpack_from("<I", data, 4)[0] == _ARM64:
        yield 0


def _versions(data: bytes, start: int) -> Iterator[tuple[int, int]]:
    commands, place = struct.unpack_from("<I", data, start + 16)[0], start + 32
    for _ in range(commands):
        command, size = struct.unpack_from("<II", data, place)
        if command in (_BUILD_VERSION, _VERSION_MIN_MACOSX):
            # Behind the platform in one, at once in the other: major version, then minor and patch in a byte each.
            number = struct.unpack_from("<I", data, place + (12 if command == _BUILD_VERSION else 8))[0]
            yield number >> 16, number >> 8 & 0xFF
        place += size

"""Resources of Windows programs: icon, manifest and version, written as the .res file that a linker takes.

The layout is that of Microsoft's RESOURCEHEADER, VS_VERSIONINFO, ICONDIR and GRPICONDIR structures.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_ICON, _GROUP_ICON, _VERSION, _MANIFEST = 3, 14, 16, 24
_PROGRAM, _LIBRARY = 1, 2
_ENGLISH = 0x409
_UNICODE = 0x4B0
_SHARED_FLAGS = 0x1030
"""Movable, pure and discardable, as resource compilers set them."""
ICON_SIZES = (16, 20, 32, 40, 48, 64, 128, 256)


@dataclass(frozen=True)
class VersionInfo:
    """What the properties of a file show. `version` is like 0.1.0; a suffix behind the numbers stays in the text alone."""

    version: str
    description: str
    file_name: str
    product: str = "Local AI"
    product_version: str = ""
    """Empty: the same as `version`."""
    company: str = "The Local AI developers"
    copyright: str = "© The Local AI developers. MIT licence."
    comments: str = ""
    is_library: bool = False

    @property
    def numbers(self) -> tuple[int, int, int, int]:
        """Four numbers, as Windows wants them."""
        return version_numbers(self.version)


def version_numbers(version: str) -> tuple[int, int, int, int]:
    """The four numbers of a version: (0, 1, 0, 0) of 0.1.0 and of 0.1.0rc2."""
    numbers: list[int] = []
    for part in version.split(".")[:4]:
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        numbers.append(min(int(digits or 0), 0xFFFF))
        if digits != part:
            break
    first, second, third, fourth = (*numbers, 0, 0, 0, 0)[:4]
    return first, second, third, fourth


def version_strings(version: VersionInfo) -> dict[str, str]:
    """The texts of a version."""
    return {
        **({"Comments": version.comments} if version.comments else {}),
        "CompanyName": version.company, "FileDescription": version.description, "FileVersion": version.version,
        "InternalName": version.file_name, "LegalCopyright": version.copyright, "OriginalFilename": version.file_name,
        "ProductName": version.product, "ProductVersion": version.product_version or version.version,
    }


def icon_file(pngs: Sequence[tuple[int, bytes]]) -> bytes:
    """An .ico with these pictures: (pixels of a side, PNG data)."""
    offset = 6 + 16 * len(pngs)
    head = struct.pack("<HHH", 0, 1, len(pngs))
    for size, data in pngs:
        head += struct.pack("<BBBBHHII", size % 256, size % 256, 0, 0, 1, 32, len(data), offset)
        offset += len(data)
    return head + b"".join(data for _size, data in pngs)


def program_icons(icons: Path) -> list[tuple[int, bytes]]:
    """The program's icon in the sizes that Windows shows."""
    return [(size, (icons / f"localai-app-{size}.png").read_bytes()) for size in ICON_SIZES]


def resource_file(pngs: Sequence[tuple[int, bytes]], manifest: bytes, version: VersionInfo) -> bytes:
    """A .res file with an icon, a manifest and a version."""
    parts = []
    group = struct.pack("<HHH", 0, 1, len(pngs))
    for number, (size, data) in enumerate(pngs, 1):
        parts.append(_entry(_ICON, number, data))
        group += struct.pack("<BBBBHHIH", size % 256, size % 256, 0, 0, 1, 32, len(data), number)
    parts += [_entry(_GROUP_ICON, 1, group), _entry(_VERSION, 1, _version(version)), _entry(_MANIFEST, 1, manifest)]
    return _FILE_HEAD + b"".join(parts)


def version_resource(version: VersionInfo) -> bytes:
    """A .res file with a version alone, as libraries have it."""
    return _FILE_HEAD + _entry(_VERSION, 1, _version(version))


def _entry(kind: int, name: int, data: bytes, *, flags: int = _SHARED_FLAGS, language: int = _ENGLISH) -> bytes:
    head = struct.pack("<IIHHHHIHHII", len(data), 32, 0xFFFF, kind, 0xFFFF, name, 0, flags, language, 0, 0)
    return head + data + b"\0" * (-len(data) % 4)


_FILE_HEAD = _entry(0, 0, b"", flags=0, language=0)
"""The empty entry that every .res file for Windows begins with."""


def _version(version: VersionInfo) -> bytes:
    numbers = version.numbers
    high, low = numbers[0] << 16 | numbers[1], numbers[2] << 16 | numbers[3]
    kind = _LIBRARY if version.is_library else _PROGRAM
    fixed = struct.pack("<13I", 0xFEEF04BD, 0x10000, high, low, high, low, 0x3F, 0, 0x40004, kind, 0, 0, 0)
    texts = [_text(key, value) for key, value in version_strings(version).items()]
    table = _block(f"{_ENGLISH:04x}{_UNICODE:04x}", children=texts)
    translation = _block("Translation", struct.pack("<HH", _ENGLISH, _UNICODE))
    return _block(
        "VS_VERSION_INFO", fixed,
        children=[_block("StringFileInfo", children=[table]), _block("VarFileInfo", children=[translation])])


def _text(key: str, value: str) -> bytes:
    return _block(key, (value + "\0").encode("utf-16-le"), is_text=True)


def _block(key: str, value: bytes = b"", *, is_text: bool = False, children: Sequence[bytes] = ()) -> bytes:
    """One node of a version: length, length of the value, type, key, value and children, each at a multiple of four bytes."""
    body = (key + "\0").encode("utf-16-le")
    body += b"\0" * (-(6 + len(body)) % 4) + value
    for child in children:
        body += b"\0" * (-(6 + len(body)) % 4) + child
    value_length = len(value) // 2 if is_text else len(value)
    return struct.pack("<HHH", 6 + len(body), value_length, int(is_text or not value)) + body

"""Types of fields that signed documents share, each with its limits."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated

import msgspec

from localai_app.release.addresses import is_allowed
from localai_app.release.strict_json import MOST_EXACT_INTEGER

Number = Annotated[int, msgspec.Meta(ge=1, le=MOST_EXACT_INTEGER)]
"""Grows with every signed document of a kind."""
SizeBytes = Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Time = Annotated[datetime, msgspec.Meta(tz=True)]
Identifier = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,79}\Z")]
EngineId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,119}\Z")]
"""Names a build of llama.cpp, as its engine.json does."""
Version = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,9}(\.[0-9]{1,9}){0,3}((a|b|rc|\.dev)[0-9]{1,9})?\Z")]
"""As a release of this program is numbered: 1.4.0, 1.4.0rc1."""
DottedNumber = Annotated[str, msgspec.Meta(pattern=r"^([0-9]{1,9}(\.[0-9]{1,9}){0,3})?\Z")]
Line = Annotated[str, msgspec.Meta(max_length=200)]
Address = Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+~-]{0,149}")
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_OWN_ENDINGS = (".part", ".part.json", ".part.json.new", ".part.lock")


def is_safe_name(name: str) -> bool:
    """Whether a name is a plain file name on every system: letters, digits and `_ . + ~ -`, no device of Windows."""
    return bool(
        _NAME.fullmatch(name) and not name.endswith(".") and not _DEVICE.fullmatch(name)
        and not name.lower().endswith(_OWN_ENDINGS))


def is_safe_path(path: str) -> bool:
    """The same for a relative path with `/` between its names."""
    return len(path) <= 400 and all(is_safe_name(part) for part in path.split("/"))


def require_safe_paths(paths: Iterable[str]) -> None:
    """ValueError where a path is not safe, where two are one on a disk that ignores case, or a file is also a folder."""
    seen: set[str] = set()
    folders: set[str] = set()
    for path in paths:
        if not is_safe_path(path):
            raise ValueError(f"{path!a} is no safe file name")
        folded = path.lower()
        if folded in seen:
            raise ValueError(f"{path!a} is listed twice")
        seen.add(folded)
        parts = folded.split("/")
        folders.update("/".join(parts[:depth]) for depth in range(1, len(parts)))
    if seen & folders:
        raise ValueError("a file and a folder have one name")


def require_address(url: str) -> None:
    """ValueError unless an address may be asked, or is a safe path relative to the document's own."""
    if not (is_allowed(url) or is_safe_path(url)):
        raise ValueError(f"{url[:200]!a} is no address that may be asked")


def number_parts(text: str) -> tuple[int, ...]:
    """580.65.6 as (580, 65, 6) and 12.0 as (12,), to be compared; () for nothing. ValueError for anything else."""
    parts = [int(part) for part in text.split(".")] if text else []
    while parts and not parts[-1]:
        parts.pop()
    return tuple(parts)

"""Finding tags in text that may be cut anywhere, and telling whether one stands in code or in a JSON string."""

from __future__ import annotations

import functools
from collections.abc import Sequence


def earliest(text: str, markers: Sequence[str]) -> tuple[int, str] | None:
    """The first marker in a text and its place; at the same place the longest."""
    found = [(place, -len(marker), marker) for marker in markers if (place := text.find(marker)) >= 0]
    if not found:
        return None
    place, _length, marker = min(found)
    return place, marker


def partial_length(text: str, markers: Sequence[str]) -> int:
    """How many characters at the end of a text could be the beginning of a marker."""
    beginnings, longest = _beginnings(tuple(markers))
    for length in range(min(longest, len(text)), 0, -1):
        if text[-length:] in beginnings:
            return length
    return 0


@functools.lru_cache(maxsize=64)
def _beginnings(markers: tuple[str, ...]) -> tuple[frozenset[str], int]:
    """All texts that a marker goes on from, and the length of the longest; asked for with every token."""
    beginnings = frozenset(marker[:length] for marker in markers for length in range(1, len(marker)))
    return beginnings, max(map(len, beginnings), default=0)


def is_in_code(before: str) -> bool:
    """Whether what follows a text stands in a code fence or in inline code."""
    fences = sum(1 for line in before.split("\n")[:-1] if line.lstrip().startswith(("```", "~~~")))
    return fences % 2 == 1 or before.rsplit("\n", 1)[-1].count("`") % 2 == 1


def is_in_json_string(text: str) -> bool:
    """Whether a text that begins as JSON ends within a string of it."""
    if text.lstrip()[:1] not in ("{", "["):
        return False
    is_inside = is_escaped = False
    for letter in text:
        if is_escaped:
            is_escaped = False
        elif letter == "\\":
            is_escaped = is_inside
        elif letter == '"':
            is_inside = not is_inside
    return is_inside

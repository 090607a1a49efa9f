"""Numbers in the headers of an answer, in which a server may write anything."""

from __future__ import annotations

import re
from collections.abc import Mapping

_CONTENT_RANGE = re.compile(r"bytes (\d{1,20})-(\d{1,20})/(\d{1,20})")


def whole_number(text: str | None) -> int | None:
    """A number of at most 20 digits; None for anything else."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) <= 20 else None


def content_range(headers: Mapping[str, str]) -> tuple[int, int, int] | None:
    """The first and the last byte of a part and the size of the whole (RFC 9110, 14.4); None where that is not said."""
    found = _CONTENT_RANGE.fullmatch(headers.get("content-range", ""))
    if found is None:
        return None
    first, last, total = (int(number) for number in found.groups())
    return first, last, total

"""Parts grouped for the screen: neighbouring rich text shares one widget up to a size that is laid out quickly."""

from __future__ import annotations

from collections.abc import Iterable

from localai_app.gui.chat.markdown_html import Part, TextPart

MAX_SEGMENT_CHARACTERS = 4_000
"""Of HTML. A document of this size takes a few milliseconds to lay out; bigger ones would be felt while streaming."""


def extended(segments: list[Part], parts: Iterable[Part]) -> list[Part]:
    """`segments` with `parts` added at the end. Adding one by one gives the same as adding all at once."""
    result = list(segments)
    for part in parts:
        last = result[-1] if result else None
        if isinstance(part, TextPart) and isinstance(last, TextPart) and _fit_together(last, part):
            result[-1] = TextPart(last.html + part.html, last.indent)
        else:
            result.append(part)
    return result


def _fit_together(first: TextPart, second: TextPart) -> bool:
    return first.indent == second.indent and len(first.html) + len(second.html) <= MAX_SEGMENT_CHARACTERS

"""Headers of sister files: other quantizations of a model, which repeat its vocabulary byte for byte.

A vocabulary makes a header 2 to 10 MB long, and says nothing of memory. Where the bytes before and after it are those of a
header that was read whole, it need not be fetched again: a table of 25 variants costs about 15 MB instead of 200.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from localai_app.gguf.cursor import STEP_BYTES
from localai_app.gguf.header import GgufHeader

HEAD_BYTES = 128 * 1024
"""Everything before the vocabulary, which stands behind the dimensions, and its first words."""
OVERLAP_BYTES = 64 * 1024
"""So much at the end of the vocabulary has to be equal as well: then all that lies between has the same length."""
_VOCABULARY = b"tokenizer.ggml.tokens"
_ROW_BYTES = 8 + 4 + 4 + 8
"""A row of the tensor table, apart from the name and the dimensions."""
_BEHIND_BYTES = 256 * 1024
"""Room for what may stand between the vocabulary and the tensor table: a chat template, notes of the quantizer."""

ReadRange = Callable[[int, int], bytes]


@dataclass(frozen=True, slots=True)
class HeaderTemplate:
    """A header that was read whole: its bytes, where its vocabulary begins, and a place inside of it near its end."""

    raw: bytes
    vocabulary_start: int
    tail_start: int


def template_of(header: GgufHeader, raw: bytes) -> HeaderTemplate | None:
    """A template for sisters; None where the header is so short that nothing would be saved. `raw`: the file's first bytes."""
    if header.header_bytes <= STEP_BYTES or len(raw) < header.header_bytes:
        return None
    table_bytes = sum(_ROW_BYTES + len(one.name.encode()) + 8 * len(one.dimensions) for one in header.tensors)
    start = raw.find(_VOCABULARY, 0, HEAD_BYTES)
    tail_start = header.header_bytes - table_bytes - _BEHIND_BYTES - OVERLAP_BYTES
    if start < 0 or tail_start < HEAD_BYTES:
        return None
    return HeaderTemplate(raw[: header.header_bytes], start, tail_start)


class SisterRange:
    """`read` answers as `read_range` would for the header of a sister, but fetches only what may differ.

    Where the file turns out to be no sister, everything is fetched. Returns fewer bytes than were asked for where it knows
    no more.
    """

    def __init__(self, read_range: ReadRange, file_size: int, template: HeaderTemplate) -> None:
        self._read_range = read_range
        self._file_size = file_size
        self._template = template
        self._known: bytes | None = None

    def read(self, offset: int, n: int) -> bytes:
        """Up to `n` bytes from `offset` on."""
        if self._known is None:
            head = self._read_range(0, min(HEAD_BYTES, self._file_size))
            self._known = head + self._rest(head)
        return self._known[offset : offset + n] or self._read_range(offset, n)

    def _rest(self, head: bytes) -> bytes:
        """The template's vocabulary and the sister's own bytes behind it; nothing where the two do not go together."""
        template = self._template
        start = head.find(_VOCABULARY)
        shift = start - template.vocabulary_start
        end = template.vocabulary_start + len(head) - start
        tail_start = template.tail_start + shift
        wanted = min(len(template.raw) - template.tail_start + OVERLAP_BYTES, self._file_size - tail_start)
        if start < 0 or head[start:] != template.raw[template.vocabulary_start : end] or wanted <= OVERLAP_BYTES:
            return b""
        tail = self._read_range(tail_start, wanted)
        overlap = template.raw[template.tail_start : template.tail_start + OVERLAP_BYTES]
        return template.raw[end : template.tail_start] + tail if tail.startswith(overlap) else b""

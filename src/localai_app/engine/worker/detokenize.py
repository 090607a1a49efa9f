"""From the bytes of tokens to text: a character whose bytes are spread over several tokens appears once it is whole."""

from __future__ import annotations

import codecs


class TextAssembler:
    """Decodes UTF-8 piece by piece. Bytes that can never become a character are left out, not shown as “�”."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="ignore")

    def feed(self, piece: bytes) -> str:
        """The characters that are whole now."""
        return self._decoder.decode(piece)


def pieces_within(pieces: list[bytes], text: str) -> tuple[int, str]:
    """How many of the first `pieces` are shown by `text` exactly, and that part of it; ends at a whole character.

    Used to know which tokens of an answer its text stands for, when a stop string or a broken character
    made the text shorter than the tokens.
    """
    shown = text.encode("utf-8", "replace")
    best_count, best_bytes, position = 0, 0, 0
    for count, piece in enumerate(pieces, start=1):
        if shown[position:position + len(piece)] != piece:
            break
        position += len(piece)
        if position == len(shown) or (shown[position] & 0xC0) != 0x80:
            best_count, best_bytes = count, position
    return best_count, shown[:best_bytes].decode()

"""What a model writes, made harmless for a screen: nothing invisible may change what is read."""

from __future__ import annotations

_KEPT_CONTROLS = "\n\t"
_BIDI_CONTROLS = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""Embeddings, overrides and isolates: they reorder text on screen (Trojan Source). Plain direction marks stay."""


def _replacements() -> dict[int, str]:
    table: dict[int, str] = {}
    for code in (*range(0x20), *range(0x7F, 0xA0)):
        if chr(code) not in _KEPT_CONTROLS:
            table[code] = ""
    table[0x1B] = "␛"
    for code in _BIDI_CONTROLS:
        table[code] = f"[U+{code:04X}]"
    for code in range(0xD800, 0xE000):
        table[code] = "�"
    table[0xFEFF] = ""
    table[0x2028] = table[0x2029] = "\n"
    return table


_TABLE = _replacements()


def harmless(text: str) -> str:
    """`text` without control characters, and with bidirectional overrides written out as `[U+202E]`.

    Each character is replaced on its own, so pieces of a stream give the same result as the whole.
    """
    return text if text.isascii() and text.isprintable() else text.translate(_TABLE)

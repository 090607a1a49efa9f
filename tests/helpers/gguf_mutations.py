"""Seeded damage to the header of a model: changed bytes, absurd numbers, missing and inserted parts."""

from __future__ import annotations

import random
import struct

_MAGIC_BYTES = 4
_NUMBERS = (0, 1, 2**31, 2**63, 2**64 - 1)


def mutated(content: bytes, header_end: int, seed: int) -> bytes:
    """The file with one to eight changes between its magic and the end of its header; the same for the same seed."""
    source = random.Random(seed)
    result = bytearray(content)
    for _ in range(source.choice([1, 1, 2, 8])):
        position = source.randrange(_MAGIC_BYTES, header_end)
        match source.randrange(4):
            case 0:
                result[position] = source.randrange(256)
            case 1:
                result[position:position + 8] = struct.pack("<Q", source.choice(_NUMBERS))
            case 2:
                del result[position:position + source.randrange(1, 40)]
            case _:
                result[position:position] = source.randbytes(source.randrange(1, 40))
    return bytes(result)

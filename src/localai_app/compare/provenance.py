"""Which file of a model is nearest to the original: by what it was made from, not by its size. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

ORIGINALS = ("F32", "BF16", "F16")
"""Formats in which models are published, the most precise first: rounded to F16, very small BF16 weights are lost."""


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """What a file's name and header say about its precision."""

    key: str
    label: str = ""
    """From its name."""
    bits_per_weight: float = 0.0
    """Of its weights (tensors with two dimensions and more), from the tensor table; 0.0 where it could not be read."""
    main_type: str = ""
    """The type that most of those weights have: Q4_K, F16 ..."""
    source_label: str = ""
    """What the file was quantized from, where it says so (`localai.quantized.from_label`)."""
    source_bits_per_weight: float = 0.0
    """Of that source; 0.0 where it is not said."""
    has_importance_matrix: bool = False
    size_bytes: int = 0

    @property
    def is_requantized(self) -> bool:
        """Whether it was made from a file that had lost something already."""
        return bool(self.source_label) and self.source_label not in ORIGINALS


def default_reference(files: Sequence[Provenance]) -> str:
    """The key of the file to measure the others against; "" for none.

    What counts is the tensor table, not the name: a file that is called F16 and holds 4-bit tensors is a 4-bit file. A file
    that was made from another one is at most as precise as that one, and comes after it. In order:

    1. bits per weight (to a tenth), or those of the source where they are fewer;
    2. F32 before BF16 before F16 (16 bits are not the same 16 bits);
    3. what was made from an original before what was made from a quantized file;
    4. one made with an importance matrix before one without;
    5. the larger one, then by name, so that the choice is always the same.
    """
    best = max(files, key=_rank, default=None)
    return "" if best is None else best.key


def precision_bits(file: Provenance) -> float:
    """Bits per weight that the file can have kept of the original."""
    sources = [bits for bits in (file.bits_per_weight, file.source_bits_per_weight) if bits > 0]
    return min(sources, default=0.0)


def _rank(file: Provenance) -> tuple[float, int, bool, bool, int, str]:
    kind = -ORIGINALS.index(file.main_type) if file.main_type in ORIGINALS else -len(ORIGINALS)
    return (
        round(precision_bits(file), 1), kind, not file.is_requantized, file.has_importance_matrix, file.size_bytes, file.key)

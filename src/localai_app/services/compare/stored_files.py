"""How the weights of an installed model are stored, and what its file would become under other labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from localai_app.gguf.header import GgufHeader
from localai_app.gguf.planned_types import planned_bytes, planned_tensors
from localai_app.gguf.reader import read_header_file
from localai_app.gguf.stored_types import StoredTypes, stored_types
from localai_app.gguf.stored_words import fallback_words, other_words, shares_words
from localai_app.services.views import InstalledModel


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What there is to say of an installed file's types."""

    shares: str
    """ "Stored as Q4_K (62% of the weights), Q6_K (30%) and Q8_0 (8%)."; empty where there is nothing to say."""
    fallback: str
    """Which tensors fell back to another type; empty where none did."""
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A re-quantization that could be made."""

    label: str
    size_bytes: int
    fallback: str
    """Which tensors would fall back to another type; empty where none would."""


def stored_file(model: InstalledModel) -> StoredFile:
    """Read the headers of a model and say how it is stored. Slow: not in the window's thread. AppError where that fails."""
    stored = stored_types(_headers(model), model.label)
    return StoredFile(shares_words(stored), fallback_words(stored), other_words(stored))


def planned_files(model: InstalledModel, labels: Sequence[str]) -> tuple[PlannedFile, ...]:
    """What a model would become under each of these labels, in their order. Slow, as `stored_file`."""
    headers = _headers(model)
    return tuple(
        PlannedFile(label, planned_bytes(headers, label), fallback_words(_planned_types(headers, label))) for label in labels)


def _planned_types(headers: Sequence[GgufHeader], label: str) -> StoredTypes:
    first = headers[0]
    whole = GgufHeader(
        first.name, first.file_size, first.version, first.metadata, planned_tensors(headers, label), first.alignment,
        first.header_bytes, first.data_start)
    return stored_types([whole], label)


def _headers(model: InstalledModel) -> list[GgufHeader]:
    return [read_header_file(path) for path in model.paths]

"""How the weights of an installed model are stored, and what its file would become under other labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from localai_app.gguf.header import GgufHeader
from localai_app.gguf.planned_types import QuantizerPlan, data_bytes
from localai_app.gguf.stored_types import stored_types
from localai_app.gguf.stored_words import fallback_words, other_words, shares_words
from localai_app.services.compare.model_files import headers_of
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
    return stored_as(headers_of(model), model.label)


def stored_as(headers: Sequence[GgufHeader], label: str) -> StoredFile:
    """How a model with these headers is stored; `label`: what its name says."""
    stored = stored_types(headers, label)
    return StoredFile(shares_words(stored), fallback_words(stored), other_words(stored))


def planned_files(model: InstalledModel, labels: Sequence[str]) -> tuple[PlannedFile, ...]:
    """What a model would become under each of these labels, in their order. Slow, as `stored_file`."""
    plan = QuantizerPlan(headers_of(model))
    files = []
    for label in labels:
        header = plan.header(label)
        files.append(PlannedFile(label, data_bytes(header), fallback_words(stored_types([header], label))))
    return tuple(files)

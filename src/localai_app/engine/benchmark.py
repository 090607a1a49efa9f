"""What a benchmark of a loaded model measures: counts and seconds, as llama.cpp's own `llama-bench` takes them."""

from __future__ import annotations

import statistics
from enum import StrEnum

import msgspec


class BenchmarkKind(StrEnum):
    """What a row of a benchmark is about."""

    PROMPT = "prompt"
    """Reading a prompt into an empty cache."""
    GENERATION = "generation"
    """A token at a time, behind what is in the cache already. Nothing is sampled."""


class BenchmarkRow(msgspec.Struct, frozen=True, kw_only=True):
    """One length or depth. `seconds` are those of each repeat, for all tokens; none where the context is too short for it."""

    kind: BenchmarkKind
    tokens: int
    """Evaluated in each repeat."""
    depth: int = 0
    """In the cache before the first of them."""
    seconds: tuple[float, ...] = ()

    @property
    def needed_ctx(self) -> int:
        """The context that it needs, in tokens."""
        return self.depth + self.tokens

    @property
    def tps(self) -> float | None:
        """Tokens per second, by the median of the repeats; None where it was not measured."""
        seconds = statistics.median(self.seconds) if self.seconds else 0.0
        return self.tokens / seconds if seconds > 0 else None

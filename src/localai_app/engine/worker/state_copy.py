"""Copies of what a context holds of its conversation, in main memory: the whole of it, or the part that cannot be rewound.

A copy is an anonymous mapping: its pages come when they are written, and go back to the system with its last owner.
"""

from __future__ import annotations

import ctypes
import mmap
from dataclasses import dataclass, field
from typing import Any

_WHOLE, _PARTIAL_ONLY = 0, 1
"""`LLAMA_STATE_SEQ_FLAGS_NONE` and `LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY` of llama.h; the second leaves out what every
cache can drop from its end: it writes sliding windows and recurrent states only."""
SEQUENCE = 0
"""The one sequence of a worker's context."""


def copy_of_state(library: Any, context: Any, limit_bytes: int, *, is_partial: bool = False) -> mmap.mmap | None:
    """What the context holds; None if that is nothing, more than `limit_bytes`, or a kind of cache that cannot be copied."""
    flags = _PARTIAL_ONLY if is_partial else _WHOLE
    size: int = library.llama_state_seq_get_size_ext(context, SEQUENCE, flags)
    if not 0 < size <= limit_bytes:
        return None
    copy = mmap.mmap(-1, size)
    written: int = library.llama_state_seq_get_data_ext(context, _address(copy), size, SEQUENCE, flags)
    return copy if written == size else None


def put_state(library: Any, context: Any, copy: mmap.mmap, *, is_partial: bool = False) -> bool:
    """Bring a copy back into the context; false if it does not fit there, in which case nothing in it is to be relied on."""
    flags = _PARTIAL_ONLY if is_partial else _WHOLE
    return bool(library.llama_state_seq_set_data_ext(context, _address(copy), len(copy), SEQUENCE, flags))


def _address(copy: mmap.mmap) -> Any:
    return (ctypes.c_uint8 * len(copy)).from_buffer(copy)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What cannot be rewound, as it was after the first `n_tokens` tokens."""

    n_tokens: int
    copy: mmap.mmap


@dataclass(slots=True)
class Checkpoints:
    """Checkpoints of one conversation, rising; the oldest go where `budget_bytes` is not enough for all."""

    budget_bytes: int
    _kept: list[Checkpoint] = field(default_factory=list)

    def add(self, checkpoint: Checkpoint) -> None:
        """Keep one more, behind those that there are."""
        self.forget_behind(checkpoint.n_tokens - 1)
        self._kept.append(checkpoint)
        while len(self._kept) > 1 and self.n_bytes > self.budget_bytes:
            del self._kept[0]

    def newest_within(self, n_tokens: int) -> Checkpoint | None:
        """The one from which the least is left to evaluate up to `n_tokens`."""
        return next((one for one in reversed(self._kept) if one.n_tokens <= n_tokens), None)

    def ends_at(self, n_tokens: int) -> bool:
        """Whether the last one is of exactly so many tokens."""
        return bool(self._kept) and self._kept[-1].n_tokens == n_tokens

    def forget_behind(self, n_tokens: int) -> None:
        """Those of a longer conversation describe one that is no more."""
        while self._kept and self._kept[-1].n_tokens > n_tokens:
            self._kept.pop()

    def newest(self) -> tuple[Checkpoint, ...]:
        """The last one, if there is any."""
        return tuple(self._kept[-1:])

    @property
    def n_bytes(self) -> int:
        """Main memory that they take."""
        return sum(len(one.copy) for one in self._kept)

"""The logits of an output row as llama.cpp's samplers take them, filled without a loop in Python."""

from __future__ import annotations

import array
import ctypes
from typing import Any

_ITEM_BYTES = 12
"""`llama_token_data` of llama.h: id (int32), logit and p (float32)."""
_NOTHING = float("-inf")


class CandidateArray:
    """A `llama_token_data_array` over the whole vocabulary, reused from token to token."""

    def __init__(self, library: Any, n_vocab: int) -> None:
        self._library = library
        self._n_vocab = n_vocab
        storage = bytearray(_ITEM_BYTES * n_vocab)
        self._items = (library.llama_token_data * n_vocab).from_buffer(storage)
        self._ids = memoryview(storage).cast("i")
        self._logits = memoryview(storage).cast("f")
        self._row = bytearray(4 * n_vocab)
        self._row_address = ctypes.addressof((ctypes.c_char * len(self._row)).from_buffer(self._row))
        self._row_logits = memoryview(self._row).cast("f")
        self._all_ids = memoryview(array.array("i", range(n_vocab)))
        self._begin_pointer = ctypes.cast(self._items, ctypes.POINTER(library.llama_token_data))
        self._array = library.llama_token_data_array(data=self._begin_pointer, size=n_vocab, selected=-1, sorted=False)
        self._reference = ctypes.byref(self._array)

    def fill(self, context: Any, row: int) -> None:
        """Take the logits of an output row (-1: the last one)."""
        ctypes.memmove(self._row_address, self._library.llama_get_logits_ith(context, row), len(self._row))
        self._begin()

    def fill_with(self, logits: bytes) -> None:
        """Take these logits, float32 by token."""
        self._row[:] = logits
        self._begin()

    def forbid(self, tokens: set[int]) -> None:
        """Leave tokens out; only right after the array was filled."""
        for token in tokens:
            self._items[token].logit = _NOTHING

    def apply(self, sampler: Any) -> None:
        """Let a sampler or a chain change the candidates."""
        self._library.llama_sampler_apply(sampler, self._reference)

    def forget_order(self) -> None:
        """Say that the candidates are in no order any more: a grammar forbids tokens where they stand."""
        self._array.sorted = False

    @property
    def size(self) -> int:
        """How many candidates are left."""
        return int(self._array.size)

    def token(self, place: int) -> int:
        """The token at a place of the array; right after it was filled, place and token are the same."""
        return int(self._array.data[place].id)

    def logit(self, place: int) -> float:
        """Its logit."""
        return float(self._array.data[place].logit)

    def p(self, place: int) -> float:
        """Its probability, where a sampler has worked it out."""
        return float(self._array.data[place].p)

    @property
    def selected(self) -> int:
        """The place that a sampler chose; -1 before."""
        return int(self._array.selected)

    def _begin(self) -> None:
        self._ids[0::3] = self._all_ids
        self._logits[1::3] = self._row_logits
        # XTC moves the beginning of the array.
        self._array.data = self._begin_pointer
        self._array.size, self._array.selected, self._array.sorted = self._n_vocab, -1, False

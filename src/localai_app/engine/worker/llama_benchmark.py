"""A loaded model of llama.cpp as the target of a benchmark."""

from __future__ import annotations

import ctypes
import random
from typing import Any

from localai_app.engine.worker.decoding import require_decoded
from localai_app.engine.worker.llama_model import LlamaModel

_SEED = 1
_TABLE_TOKENS = 8192
"""Random tokens that are made beforehand, and used again after so many."""


class LlamaBenchmark:
    """A BenchmarkTarget, used with `with`: the cache is empty before and after, and the threads are as before.

    Random tokens, the same in each run; those of prompts and of generation come from one stream. It goes past the rule by
    which a sliding-window cache is read again: what such a cache has dropped changes an answer, not its speed.
    """

    def __init__(self, model: LlamaModel, threads: int) -> None:
        self.ctx = model.ctx
        self.part_tokens = model.ubatch
        self._model = model
        self._library = model.library
        rng = random.Random(_SEED)
        self._tokens = (ctypes.c_int32 * (_TABLE_TOKENS + self.part_tokens))(
            *rng.choices(range(model.n_vocab), k=_TABLE_TOKENS + self.part_tokens))
        self._used = 0
        self._threads_before = (
            self._library.llama_n_threads(model.context), self._library.llama_n_threads_batch(model.context))
        self.threads: int = threads or self._threads_before[0]

    def __enter__(self) -> LlamaBenchmark:
        self._model.truncate_cache(0)
        self._library.llama_set_n_threads(self._model.context, self.threads, self.threads)
        return self

    def __exit__(self, *_error: object) -> None:
        self._library.llama_set_n_threads(self._model.context, *self._threads_before)
        self._model.truncate_cache(0)

    def evaluate(self, count: int) -> None:
        """One decode of `count` tokens, waited for."""
        start = self._used % _TABLE_TOKENS
        self._used += count
        pointer = ctypes.cast(
            ctypes.byref(self._tokens, start * ctypes.sizeof(ctypes.c_int32)), ctypes.POINTER(ctypes.c_int32))
        batch: Any = self._library.llama_batch_get_one(pointer, count)
        result: int = self._library.llama_decode(self._model.context, batch)
        self._library.llama_synchronize(self._model.context)
        require_decoded(result)

    def truncate(self, length: int) -> bool:
        """Keep the first `length` tokens; recurrent caches cannot."""
        memory = self._model.memory
        if length > 0 and self._library.llama_memory_seq_rm(memory, 0, length, -1):
            return True
        self._library.llama_memory_clear(memory, False)
        return length == 0

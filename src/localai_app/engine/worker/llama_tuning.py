"""A loaded model of llama.cpp as the target of a tuning: its weights with a small context of their own."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Callable
from typing import Any

from localai_app.engine.worker.decoding import require_decoded
from localai_app.engine.worker.llama_model import LlamaModel

ROOM_TOKENS = 256
"""Of the context, beyond one step: single tokens are timed at about this depth."""
_SEED = 1


class LlamaTuning:
    """A TuningTarget. The conversation in the model's own context stays as it is."""

    def __init__(self, model: LlamaModel, make_context: Callable[[int, int], Any]) -> None:
        """`make_context` makes a context of the model for (cells, tokens of a step), NULL where it cannot."""
        self._model = model
        self._library = model.library
        self._make_context = make_context
        self._context: Any = None
        self._cells = 0
        self._used = 0
        self._tokens: Any = None

    def open(self, ubatch: int) -> bool:
        """Begin with an empty context whose steps have so many tokens; false where there is no memory for it."""
        threads = self._library.llama_n_threads(self._context) if self._context else 0
        self.close()
        self._cells = ubatch + ROOM_TOKENS
        self._context = self._make_context(self._cells, ubatch)
        if not self._context:
            return False
        self._used = 0
        self._tokens = (ctypes.c_int32 * ubatch)(*random.Random(_SEED).choices(range(self._model.n_vocab), k=ubatch))
        if threads:
            self.set_threads(threads)
        return True

    def set_threads(self, threads: int) -> None:
        """Compute with so many threads from now on."""
        self._library.llama_set_n_threads(self._context, threads, threads)

    def evaluate(self, count: int) -> None:
        """One step of so many tokens, waited for; the context begins anew where it is full."""
        if self._used + count > self._cells:
            self._library.llama_memory_clear(self._library.llama_get_memory(self._context), False)
            self._used = 0
        result: int = self._library.llama_decode(self._context, self._library.llama_batch_get_one(self._tokens, count))
        self._library.llama_synchronize(self._context)
        require_decoded(result)
        self._used += count

    def use(self, threads: int, prompt_threads: int) -> None:
        """Let the loaded model itself go on with these; 0: as before."""
        library, context = self._library, self._model.context
        library.llama_set_n_threads(
            context, threads or library.llama_n_threads(context), prompt_threads or library.llama_n_threads_batch(context))

    def close(self) -> None:
        """Give the small context back."""
        if self._context:
            self._library.llama_free(self._context)
        self._context = None

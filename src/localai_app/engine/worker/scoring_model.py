"""A model that reads a text and tells the logits of some of its places, a few rows at a time."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from localai_app.engine.failure import RequestRefusedError
from localai_app.engine.protocol import LoadOptions
from localai_app.engine.scoring import ScoredModel
from localai_app.engine.worker.decoding import require_decoded
from localai_app.engine.worker.llama_load import ModelLoader
from localai_app.engine.worker.llama_model import LlamaModel
from localai_app.errors import ENGINE_OUT_OF_MEMORY

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

LOGITS_BYTES = 64 * 1024**2
"""What the logits of one slice may take, for each of the two models; llama.cpp holds as much again in its working memory.

Up to 65,536 entries in the vocabulary it holds the whole second half of a chunk of 512, which is then computed exactly as the
tool does it: how many rows are multiplied together changes the last digits of quantized products, and by that a divergence by
some percent. With 262,144 entries it is a slice of 64 rows; all rows of the half would take 256 MiB, and as much again.
"""
MAX_ROWS = 256
STEP_TOKENS = 512
_WARM_TOKENS = 2


def rows_within(budget_bytes: int, n_vocab: int) -> int:
    """Rows of 32-bit logits in one slice: as many as the budget holds, one at least."""
    return max(1, min(MAX_ROWS, budget_bytes // (4 * max(1, n_vocab))))


class ScoringModel:
    """Owns a loaded model with a context of its own kind: an empty cache, and room for the logits of a slice."""

    def __init__(self, loader: ModelLoader, model: LlamaModel, options: LoadOptions, description: str, gpu_layers: int) -> None:
        """Takes the place of the model's context. `options` are those of the load."""
        library = model.library
        self.library = library
        self.vocab = model.vocab
        self.n_vocab = model.n_vocab
        self.ctx_train: int = library.llama_model_n_ctx_train(model.model)
        self.rows = rows_within(LOGITS_BYTES, model.n_vocab)
        self._model = model.model
        self._loader = loader
        """Holds what C keeps pointers to."""
        self._description, self._gpu_layers = description, gpu_layers
        self._read_tokens, self._read_s = 0, 0.0
        self._generated_tokens, self._generated_s = 0, 0.0
        threads = library.llama_n_threads(model.context)
        library.llama_free(model.context)
        parameters = loader.context_parameters(options, threads)
        parameters.n_batch = max(parameters.n_ubatch, self.rows)
        if hasattr(parameters, "n_outputs_max"):
            parameters.n_outputs_max = self.rows
        self._context = library.llama_init_from_model(self._model, parameters)
        if not self._context:
            library.llama_model_free(self._model)
            raise RequestRefusedError(ENGINE_OUT_OF_MEMORY)
        self._step: int = library.llama_n_ubatch(self._context)
        self._memory = library.llama_get_memory(self._context)
        self._batch: Any = library.llama_batch_init(max(self._step, self.rows), 0, 1)

    @property
    def threads(self) -> int:
        """That compute."""
        return int(self.library.llama_n_threads_batch(self._context))

    def begin(self) -> None:
        """Forget what was read."""
        self.library.llama_memory_clear(self._memory, True)

    def read(self, tokens: Sequence[int], position: int) -> None:
        """Read tokens from a position on, without their logits."""
        for start in range(0, len(tokens), self._step):
            part = tokens[start : start + self._step]
            self._read_s += self._decode(part, position + start, first_row=len(part))
            self._read_tokens += len(part)

    def takes_at_once(self, n_tokens: int, n_rows: int) -> bool:
        """Whether so many tokens can be read in one step, with the logits of `n_rows` of them."""
        return n_tokens <= self._step and n_rows <= self.rows

    def logits_of(self, tokens: Sequence[int], position: int, first_row: int = 0) -> npt.NDArray[np.float32]:
        """Read tokens in one step; the logits after each from place `first_row` on (rows, vocabulary), until the next step."""
        import numpy

        self._read_s += self._decode(tokens, position, first_row=first_row)
        self._read_tokens += len(tokens)
        pointer = self.library.llama_get_logits(self._context)
        if not pointer:
            raise RequestRefusedError(ENGINE_OUT_OF_MEMORY)
        logits: npt.NDArray[np.float32] = numpy.ctypeslib.as_array(
            ctypes.cast(pointer, ctypes.POINTER(ctypes.c_float)), (len(tokens) - first_row, self.n_vocab))
        return logits

    def time_generation(self, tokens: Sequence[int]) -> None:
        """Time these tokens one by one, as in an answer, after a few that are not counted."""
        self.begin()
        for position, token in enumerate(tokens):
            seconds = self._decode((token,), position)
            if position >= _WARM_TOKENS:
                self._generated_s += seconds
                self._generated_tokens += 1

    def scored(self) -> ScoredModel:
        """What it is, and how fast it was."""
        return ScoredModel(
            description=self._description, gpu_layers=self._gpu_layers, read_tokens=self._read_tokens, read_s=self._read_s,
            generated_tokens=self._generated_tokens, generated_s=self._generated_s)

    def free(self) -> None:
        """Give the memory back."""
        self.library.llama_batch_free(self._batch)
        self.library.llama_free(self._context)
        self.library.llama_model_free(self._model)

    def _decode(self, tokens: Sequence[int], position: int, *, first_row: int = 0) -> float:
        """Evaluate one batch, with logits from place `first_row` on, and wait for it; the seconds that it took."""
        batch = self._batch
        batch.n_tokens = len(tokens)
        for index, token in enumerate(tokens):
            batch.token[index] = token
            batch.pos[index] = position + index
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = 0
            batch.logits[index] = index >= first_row
        started_s = time.perf_counter()
        require_decoded(self.library.llama_decode(self._context, batch))
        self.library.llama_synchronize(self._context)
        return time.perf_counter() - started_s

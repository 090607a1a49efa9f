"""Log-probabilities of tokens as the model gives them, before any sampler changes them."""

from __future__ import annotations

import math
from typing import Any

from localai_app.engine.conversation import TokenLogprob
from localai_app.engine.worker.candidates import CandidateArray

_LEAST = 1e-300
"""So that the logarithm of a probability that float32 rounds to nothing exists."""


class LogprobReader:
    """Works out the log-probability of a token and of the `n_alternatives` likeliest ones of a row, in C."""

    def __init__(self, library: Any, model: Any, n_alternatives: int) -> None:
        self._library = library
        self._model = model
        self._n = n_alternatives
        self._candidates = CandidateArray(library, model.n_vocab)
        # `dist` works out all probabilities on the way to its choice, which is not used.
        self._softmax: Any = library.llama_sampler_init_dist(0)
        self._top: Any = library.llama_sampler_init_top_k(max(1, n_alternatives))

    def read(self, context: Any, row: int, token: int) -> TokenLogprob:
        """The log-probabilities (natural logarithm) of a chosen token and of its alternatives."""
        candidates = self._candidates
        candidates.fill(context, row)
        candidates.apply(self._softmax)
        logit = candidates.logit(token)
        candidates.apply(self._top)
        # From the likeliest token, whose probability is exact, since small ones are rounded to 0.
        offset = math.log(max(_LEAST, candidates.p(0))) - candidates.logit(0)
        alternatives = tuple(
            (self._text(candidates.token(place)), candidates.logit(place) + offset)
            for place in range(min(self._n, candidates.size)))
        return TokenLogprob(text=self._text(token), logprob=min(0.0, logit + offset), alternatives=alternatives)

    def close(self) -> None:
        """Free what is held in C."""
        self._library.llama_sampler_free(self._softmax)
        self._library.llama_sampler_free(self._top)

    def _text(self, token: int) -> str:
        piece: bytes = self._model.piece(token, with_special=True)
        return piece.decode("utf-8", "replace")

"""Holds an answer to a grammar: llama.cpp's grammar sampler, with the checks that keep it from ending the worker."""

from __future__ import annotations

import ctypes
import math
import time
from typing import Any

from localai_app.engine.failure import RequestRefusedError
from localai_app.engine.grammar import GrammarError, parse_grammar
from localai_app.engine.worker.candidates import CandidateArray
from localai_app.engine.worker.grammar_tracker import GrammarTracker, TooAmbiguousError
from localai_app.engine.worker.guarded import LimitExceededError, run_guarded
from localai_app.errors import GRAMMAR_INVALID, GRAMMAR_STUCK

_DEADLINE_S = 5.0
_MEMORY_BYTES = 256 * 1024**2
_MAX_MASK_S = 5.0
_NEARLY_NOTHING = 1e-30
"""Share of the likeliest token below which candidates are dropped: those that the grammar forbids."""
_LIKELIEST = 1024
_NEGLIGIBLE = 1e-4
_NOTHING = float("-inf")


class GrammarGuard:
    """One grammar along one answer. RequestRefusedError GRAMMAR_INVALID if it cannot be used."""

    def __init__(self, library: Any, model: Any, text: str) -> None:
        self._library = library
        self._model = model
        try:
            self._tracker = run_guarded(
                lambda: GrammarTracker(parse_grammar(text)), deadline_s=_DEADLINE_S, memory_bytes=_MEMORY_BYTES)
        except (GrammarError, LimitExceededError) as error:
            raise RequestRefusedError(GRAMMAR_INVALID, reason=str(error)) from error
        except TooAmbiguousError as error:
            raise RequestRefusedError(GRAMMAR_INVALID, reason="it can begin in too many ways") from error
        self._sampler: Any = library.llama_sampler_init_grammar(model.vocab, text.encode("utf-8", "replace"), b"root")
        if not self._sampler:
            raise RequestRefusedError(GRAMMAR_INVALID, reason="llama.cpp does not accept it")
        self._greedy: Any = library.llama_sampler_init_greedy()
        self._drop_forbidden: Any = library.llama_sampler_init_min_p(_NEARLY_NOTHING, 1)
        self._likeliest: Any = library.llama_sampler_init_top_k(_LIKELIEST)
        self._single = (library.llama_token_data * 1)()
        pointer = ctypes.cast(self._single, ctypes.POINTER(library.llama_token_data))
        self._single_array = library.llama_token_data_array(data=pointer, size=1, selected=-1, sorted=False)
        self._invisible: set[int] = set()
        """Tokens that a grammar takes for text and that are never shown (<|im_start|> and the like)."""

    def allows(self, token: int) -> bool:
        """Whether the grammar lets this token come next."""
        is_end = self._is_end(token)
        if is_end:
            return self._tracker.may_end
        if not self._model.piece(token):
            self._invisible.add(token)
            return False
        item = self._single[0]
        item.id, item.logit, item.p = token, 1.0, 0.0
        self._single_array.size = 1
        self._library.llama_sampler_apply(self._sampler, ctypes.byref(self._single_array))
        return bool(item.logit != _NOTHING)

    def mask_likeliest(self, candidates: CandidateArray, temperature: float, n_others: int) -> bool:
        """Leave of the likeliest tokens those that may come next; false if others could matter, and all have to be checked.

        `n_others` is how many tokens beyond them the chain would look at. They matter if together they could have more than
        a ten-thousandth of the weight of the best one that is left, at this temperature.
        """
        candidates.forbid(self._invisible)
        candidates.apply(self._likeliest)
        beyond = candidates.logit(candidates.size - 1)
        candidates.apply(self._sampler)
        candidates.forget_order()
        candidates.apply(self._greedy)
        best = candidates.logit(candidates.selected)
        if best == _NOTHING:
            return False
        if temperature > 0 and n_others * math.exp((beyond - best) / temperature) > _NEGLIGIBLE:
            return False
        candidates.apply(self._drop_forbidden)
        return True

    def mask(self, candidates: CandidateArray) -> None:
        """Leave only tokens that may come next. RequestRefusedError GRAMMAR_STUCK if there are none."""
        started_s = time.monotonic()
        candidates.forbid(self._invisible)
        candidates.apply(self._sampler)
        if time.monotonic() - started_s > _MAX_MASK_S:
            raise RequestRefusedError(GRAMMAR_STUCK, reason="the grammar is too slow to follow from here")
        candidates.apply(self._greedy)
        if candidates.logit(candidates.selected) == _NOTHING:
            raise RequestRefusedError(GRAMMAR_STUCK, reason="the grammar leaves no token that the model knows")
        candidates.apply(self._drop_forbidden)

    def accept(self, token: int) -> None:
        """Take note of a token that is allowed. RequestRefusedError GRAMMAR_STUCK where that leads too far, or is not."""
        if not self._is_end(token):
            try:
                self._tracker.advance(self._model.piece(token, with_special=True))
            except TooAmbiguousError as error:
                raise RequestRefusedError(
                    GRAMMAR_STUCK, reason="the text can be read in too many ways by the grammar") from error
            if not self._tracker.n_readings:
                # llama.cpp would end the process.
                raise RequestRefusedError(GRAMMAR_STUCK, reason="the text so far does not follow the grammar")
        elif not self._tracker.may_end:
            raise RequestRefusedError(GRAMMAR_STUCK, reason="the text so far does not follow the grammar")
        self._library.llama_sampler_accept(self._sampler, token)

    def follow(self, text: str) -> None:
        """Take note of a text; as `accept` does for each of its tokens."""
        wanted = text.encode("utf-8", "replace")
        # Some tokenizers put a space before a text; behind a line end they do not.
        for lead in ("", "\n"):
            tokens = self._model.tokenize_plain(lead + text)
            pieces = [self._model.piece(token, with_special=True) for token in tokens]
            for begin in range(min(3, len(tokens))):
                if b"".join(pieces[begin:]) == wanted:
                    for token in tokens[begin:]:
                        self.accept(token)
                    return
        raise RequestRefusedError(GRAMMAR_STUCK, reason="the text so far cannot be followed by the grammar")

    def close(self) -> None:
        """Free what is held in C."""
        for sampler in (self._sampler, self._greedy, self._drop_forbidden, self._likeliest):
            self._library.llama_sampler_free(sampler)

    def _is_end(self, token: int) -> bool:
        return bool(self._library.llama_vocab_is_eog(self._model.vocab, token))

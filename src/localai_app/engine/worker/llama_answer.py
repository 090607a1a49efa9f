"""One answer of llama.cpp: evaluates the prompt in parts, then a token at a time."""

from __future__ import annotations

import ctypes
import itertools
from typing import Any

from localai_app.engine.failure import RequestRefusedError
from localai_app.engine.protocol import Sampling, TokenLogprob
from localai_app.engine.reading.answer_shape import Reading
from localai_app.engine.worker.answer import DraftCounts
from localai_app.engine.worker.decoding import DONE, require_decoded
from localai_app.engine.worker.detokenize import pieces_within
from localai_app.engine.worker.llama_model import LlamaModel
from localai_app.engine.worker.sampler import TokenSampler
from localai_app.engine.worker.transcript import Transcript


class LlamaAnswer:
    """An AnswerSource over a LlamaModel. The cache always holds exactly `model.cached`, also after an abort."""

    def __init__(self, model: LlamaModel, transcript: Transcript, tokens: list[int], sampling: Sampling) -> None:
        self._model = model
        self._transcript = transcript
        self._tokens = tokens
        self._generated: list[int] = []
        self.prompt_tokens = len(tokens)
        self.reused_tokens = model.keep_common_prefix(tokens)
        self.context_total = model.ctx
        self.drafts = DraftCounts()
        self.reading = Reading()
        library = model.library
        self._decode = library.llama_decode
        self._is_eog = library.llama_vocab_is_eog
        self._batch_of = library.llama_batch_get_one
        self._sampler = TokenSampler(library, model, sampling)
        self._sampler.prime(tokens)
        self._one_token = (ctypes.c_int32 * 1)()
        self._one_token_batch = self._batch_of(self._one_token, 1)
        self._is_pending = False
        """Whether the last generated token is still to be evaluated."""

    def go_on_from(self, text: str) -> None:
        """The answer begins with this text, which is in the prompt already; a grammar goes on behind it."""
        try:
            self._sampler.resume(text)
        except RequestRefusedError:
            self.close("")
            raise

    def evaluate_prompt_part(self) -> int:
        """Evaluate up to one ubatch of the prompt; how many of its tokens are done."""
        model, cached = self._model, self._model.cached
        # Before the last token where a state is carried on: an answer made anew begins there.
        place = len(self._tokens) - (1 if model.has_state else 0)
        end = min(len(cached) + model.ubatch, place if len(cached) < place else len(self._tokens))
        part = list(itertools.islice(self._tokens, len(cached), end))
        buffer = (ctypes.c_int32 * len(part))(*part)
        self._evaluate(self._batch_of(buffer, len(part)))
        cached.extend(part)
        if end == place:
            model.keep_checkpoint()
        return end

    def next_piece(self) -> bytes | None:
        """Evaluate the token before, choose the next one; None at the end of the model's answer."""
        model = self._model
        if self._is_pending:
            self._evaluate(self._one_token_batch)
            model.cached.append(self._one_token[0])
            self._is_pending = False
        token = self._sampler.sample(model.context)
        if self._is_eog(model.vocab, token):
            return None
        self._one_token[0] = token
        self._is_pending = True
        self._generated.append(token)
        return model.piece(token)

    def take_logprobs(self) -> tuple[TokenLogprob, ...]:
        """The log-probabilities of the tokens since the last call; empty where they were not asked for."""
        return self._sampler.take_logprobs()

    def close(self, shown_text: str) -> None:
        """Free the sampler, and remember which tokens the answer was made of."""
        self._sampler.close()
        pieces = [self._model.piece(token) for token in self._generated]
        count, text = pieces_within(pieces, shown_text)
        if count:
            self._transcript.remember_answer(text, self._generated[:count])

    def _evaluate(self, batch: Any) -> None:
        result: int = self._decode(self._model.context, batch)
        if result != DONE:
            # Parts of the batch may be in the cache: back to what is known to be there.
            self._model.truncate_cache(len(self._model.cached))
            require_decoded(result)

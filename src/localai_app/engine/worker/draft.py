"""Where drafted tokens come from: a smaller model of the same vocabulary, or the conversation itself."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from typing import Any, Protocol

from localai_app.engine.sampling import Sampling
from localai_app.engine.speculation_rule import FIRST_REST_TOKENS, REMEMBERED_REST_TOKENS, SpeculationRule
from localai_app.engine.worker.answer import AnswerAbortedError
from localai_app.engine.worker.decoding import ABORTED, DONE
from localai_app.engine.worker.exactness import Exactness
from localai_app.engine.worker.llama_model import LlamaModel
from localai_app.engine.worker.lookup import PromptLookup
from localai_app.engine.worker.sampler import TokenSampler


class Drafter(Protocol):
    """Proposes tokens for one answer."""

    def extend(self, tokens: Iterable[int]) -> None:
        """These tokens of the conversation follow."""

    def propose(self, count: int) -> list[int]:
        """Up to `count` tokens that may follow."""


class Drafting:
    """How tokens are drafted for a loaded model, and what that gained so far. `draft` None: by prompt lookup."""

    def __init__(self, draft: LlamaModel | None, longest: int, gain: float) -> None:
        self.longest = longest
        self.gain = gain
        self._draft = draft
        self._exactness: dict[int, Exactness] = {}

    def exactness_at(self, step: int) -> Exactness:
        """What is known of the calculation in a step of cells, from this answer or an earlier one."""
        return self._exactness.setdefault(step, Exactness(self.longest))

    def forget_exactness(self) -> None:
        """The number of threads may be another one now, on which the calculation depends."""
        self._exactness.clear()

    def drafter(self) -> Drafter:
        """For one answer."""
        return PromptLookup() if self._draft is None else ModelDrafter(self._draft)

    def rule(self) -> SpeculationRule:
        """For one answer. Whether a text repeats itself differs from one answer to the next; how good a model guesses, less."""
        rest_tokens = FIRST_REST_TOKENS if self._draft is None else REMEMBERED_REST_TOKENS
        return SpeculationRule(self.longest, self.gain, rest_tokens)

    def free(self) -> None:
        """Give the memory of the draft model back."""
        if self._draft is not None:
            self._draft.free()
            self._draft = None


class ModelDrafter:
    """Drafts with the likeliest tokens of a smaller model, whose cache follows the conversation."""

    def __init__(self, draft: LlamaModel) -> None:
        self._draft = draft
        self._tokens: list[int] = []
        self._n_evaluated = 0
        """How many of them the draft model's cache begins with for certain: they are not compared again each time."""

    def extend(self, tokens: Iterable[int]) -> None:
        """These tokens of the conversation follow; they are evaluated with the next proposal."""
        self._tokens.extend(tokens)

    def propose(self, count: int) -> list[int]:
        """Up to `count` tokens; none where the draft model's context is full, or it cannot go back in its cache."""
        draft, library = self._draft, self._draft.library
        if count <= 0 or not self._tokens or len(self._tokens) + count > draft.ctx:
            return []
        draft.keep_common_prefix(self._tokens, known=self._n_evaluated)
        while len(draft.cached) < len(self._tokens):
            start = len(draft.cached)
            self._evaluate(self._tokens[start:start + draft.ubatch])
        self._n_evaluated = len(self._tokens)
        sampler = TokenSampler(library, draft, Sampling(temperature=0.0))
        try:
            return self._continue(sampler, count)
        finally:
            sampler.close()

    def _continue(self, sampler: TokenSampler, count: int) -> list[int]:
        draft = self._draft
        proposed: list[int] = []
        while True:
            token = sampler.sample(draft.context)
            if draft.library.llama_vocab_is_eog(draft.vocab, token):
                return proposed
            proposed.append(token)
            if len(proposed) == count:
                return proposed
            self._evaluate([token])

    def _evaluate(self, tokens: list[int]) -> None:
        draft, library = self._draft, self._draft.library
        buffer = (ctypes.c_int32 * len(tokens))(*tokens)
        result: int = library.llama_decode(draft.context, library.llama_batch_get_one(buffer, len(tokens)))
        if result != DONE:
            draft.truncate_cache(len(draft.cached))
            # Without a draft the answer goes on alone; only the user's own wish to stop ends it.
            raise AnswerAbortedError if result == ABORTED else DraftFailedError(result)
        draft.cached.extend(tokens)


class DraftFailedError(Exception):
    """The draft model could not evaluate a batch."""


def vocabulary_difference(library: Any, model: LlamaModel, draft: LlamaModel) -> str:
    """What keeps a model from drafting for another one, as the end of a sentence; empty where their tokens are the same."""
    if library.llama_vocab_type(model.vocab) != library.llama_vocab_type(draft.vocab):
        return "their tokenizers are of different kinds"
    if model.n_vocab != draft.n_vocab:
        return f"its vocabulary has {draft.n_vocab} tokens, not {model.n_vocab}"
    text_of = library.llama_vocab_get_text
    for token in range(model.n_vocab):
        if text_of(model.vocab, token) != text_of(draft.vocab, token):
            return f"token {token} of its vocabulary is another one"
    for name, special in (("start", library.llama_vocab_bos), ("end", library.llama_vocab_eos)):
        if special(model.vocab) != special(draft.vocab):
            return f"another token stands for the {name} of a text"
    return ""


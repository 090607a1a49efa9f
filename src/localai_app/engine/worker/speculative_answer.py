"""An answer some of whose tokens are drafted and verified several at once.

The sampler chain chooses every token, from the logits of its own row; a draft only saves time where it says the same. So the
answer is the one that the chain makes without drafts, as far as the computer calculates several rows as it does one. It does
not everywhere: on a CPU, llama.cpp divides the attention of a single token among threads from 512 cells on, and multiplies four
rows at once by rearranged weights of some types (Q4_K) otherwise than one; GPUs take other kernels. The logits then differ by
about 1. An answer that should come out the same again is therefore drafted only where they were seen to be the same to the bit.
"""

from __future__ import annotations

import ctypes
import time
from collections import deque
from typing import Any

from localai_app.engine.protocol import Sampling
from localai_app.engine.worker.draft import DraftFailedError, Drafting
from localai_app.engine.worker.exactness import Exactness
from localai_app.engine.worker.llama_answer import LlamaAnswer
from localai_app.engine.worker.llama_model import LlamaModel
from localai_app.engine.worker.transcript import Transcript

CELLS_STEP = 256
"""llama.cpp looks at the cache in steps of so many cells (`get_n_kv`); in between, a token's calculation has one shape."""
_END = -1


class SpeculativeAnswer(LlamaAnswer):
    """A LlamaAnswer that evaluates drafted tokens with the pending one while its rule says that this is faster."""

    def __init__(
        self, model: LlamaModel, transcript: Transcript, tokens: list[int], sampling: Sampling, drafting: Drafting,
    ) -> None:
        super().__init__(model, transcript, tokens, sampling)
        self._drafting = drafting
        self._rule = drafting.rule()
        self._drafter = drafting.drafter()
        self._untold = list(tokens)
        """Tokens that the drafter does not know yet."""
        self._chosen = list(tokens)
        """The prompt and every token chosen so far; the cache follows it."""
        self._ready: deque[int] = deque()
        """Tokens that were chosen and not asked for yet."""
        self._rows = _Rows(model.library, drafting.longest + 1)
        self._must_repeat = sampling.temperature <= 0 or sampling.seed is not None

    def next_piece(self) -> bytes | None:
        """The next token; several are made at once where they were drafted."""
        if not self._ready:
            self._make_more()
        token = self._ready.popleft()
        if token == _END:
            return None
        self._generated.append(token)
        return self._model.piece(token)

    def close(self, shown_text: str) -> None:
        """Free what is held in C, and keep what drafting gained."""
        self._rows.free()
        self.drafts.gain = self._rule.gain
        self._drafting.gain = self._rule.gain or self._drafting.gain
        super().close(shown_text)

    def _make_more(self) -> None:
        if not self._is_pending:
            self._take(self._sampler.sample(self._model.context))
            return
        started_s = time.perf_counter()
        drafted = self._draft()
        if not drafted:
            self._make_one()
            self._rule.note_plain(time.perf_counter() - started_s)
        elif self._must_repeat and self._exactness.length_to_compare:
            self._compare(drafted)
        else:
            accepted = self._verify(drafted)
            self._rule.note_round(len(drafted), accepted, time.perf_counter() - started_s)
        self.drafts.gain = self._rule.gain

    def _draft(self) -> list[int]:
        if not self._rule.may_draft:
            return []
        length = self._length_now()
        if length <= 0:
            return []
        self._drafter.extend(self._untold)
        self._untold.clear()
        try:
            drafted = self._drafter.propose(length)
        except DraftFailedError:
            self._rule.forbid()
            return []
        ends = [index for index, token in enumerate(drafted) if self._is_eog(self._model.vocab, token)]
        return drafted[: ends[0]] if ends else drafted

    def _length_now(self) -> int:
        """How many tokens to draft: as the rule says, within the context, and where need be within what is exact."""
        used = len(self._model.cached) + 1
        length = min(self._rule.draft_length, self.context_total - used)
        if not self._must_repeat:
            return length
        # All rows have to lie in one step: those of single tokens behind it would have another shape.
        room = min(((used - 1) // CELLS_STEP + 1) * CELLS_STEP, self.context_total) - used
        exactness = self._exactness
        return min(room, exactness.length_to_compare or min(length, exactness.length))

    @property
    def _exactness(self) -> Exactness:
        """Of the step of cells in which the pending token lies."""
        return self._drafting.exactness_at(len(self._model.cached) // CELLS_STEP)

    def _make_one(self) -> None:
        self._evaluate(self._one_token_batch)
        self._model.cached.append(self._one_token[0])
        self._is_pending = False
        self._take(self._sampler.sample(self._model.context))

    def _take(self, token: int) -> bool:
        """Note a chosen token, which is then to be evaluated; false at the end of the answer."""
        if self._is_eog(self._model.vocab, token):
            self._ready.append(_END)
            return False
        self._ready.append(token)
        self._chosen.append(token)
        self._untold.append(token)
        self._one_token[0] = token
        self._is_pending = True
        return True

    def _verify(self, drafted: list[int]) -> int:
        """Evaluate the pending token and drafted ones, and choose from their rows as long as the draft was right."""
        model = self._model
        base, batch = len(model.cached), [self._one_token[0], *drafted]
        self._evaluate(self._rows.batch(batch, base))
        model.cached.extend(batch)
        self._is_pending = False
        accepted = 0
        for row in range(len(batch)):
            token = self._sampler.sample(model.context, row)
            if not self._take(token) or row == len(drafted) or token != drafted[row]:
                break
            accepted += 1
        self.drafts.drafted_tokens += len(drafted)
        self.drafts.accepted_tokens += accepted
        if accepted < len(drafted) and not model.truncate_cache(base + 1 + accepted):
            self._read_again(base + 1 + accepted)
        return accepted

    def _compare(self, drafted: list[int]) -> None:
        """Evaluate a draft together and then its tokens alone, as far as it is right, and see whether their logits agree."""
        model, exactness = self._model, self._exactness
        base, batch = len(model.cached), [self._one_token[0], *drafted]
        self._evaluate(self._rows.batch(batch, base))
        model.cached.extend(batch)
        together = [self._logits(row) for row in range(len(batch))]
        if not model.truncate_cache(base):
            self._read_again(base)
        for row, logits in enumerate(together):
            self._make_one()
            exactness.note(len(drafted), batch[row], is_equal=self._logits(-1) == logits)
            if not self._is_pending or row == len(drafted) or self._one_token[0] != drafted[row]:
                return

    def _logits(self, row: int) -> bytes:
        model = self._model
        return ctypes.string_at(
            model.library.llama_get_logits_ith(model.context, row), model.n_vocab * ctypes.sizeof(ctypes.c_float))

    def _read_again(self, length: int) -> None:
        """The cache could not drop single tokens: put the first `length` chosen ones back into it, and draft no more."""
        self._rule.forbid()
        cached = self._model.cached
        while len(cached) < length:
            part = self._chosen[len(cached):min(length, len(cached) + self._model.ubatch)]
            buffer = (ctypes.c_int32 * len(part))(*part)
            self._evaluate(self._batch_of(buffer, len(part)))
            cached.extend(part)


class _Rows:
    """A batch of consecutive tokens of the conversation, each with an output row."""

    def __init__(self, library: Any, size: int) -> None:
        self._library = library
        self._batch: Any = library.llama_batch_init(size, 0, 1)

    def batch(self, tokens: list[int], position: int) -> Any:
        """These tokens, the first at `position`; valid until the next call."""
        batch = self._batch
        batch.n_tokens = len(tokens)
        for index, token in enumerate(tokens):
            batch.token[index] = token
            batch.pos[index] = position + index
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = 0
            batch.logits[index] = 1
        return batch

    def free(self) -> None:
        """Give the batch back; a second call does nothing."""
        if self._batch is not None:
            self._library.llama_batch_free(self._batch)
            self._batch = None

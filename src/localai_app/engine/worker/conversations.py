"""Which conversation is in the cache, and copies of others, so that going back to one does not read it again.

The context has one sequence. Several of them in one cache would make each token of one look past the cells of all
others, and a part of the cache for each would take its whole memory whether used or not. A copy in main memory
takes what its conversation has filled, and only that.
"""

from __future__ import annotations

import contextlib
import mmap
import sys
from dataclasses import dataclass
from pathlib import Path

from localai_app.engine.worker.llama_model import LlamaModel
from localai_app.engine.worker.state_copy import Checkpoint, copy_of_state, put_state
from localai_app.engine.worker.state_file import StateFileError, StateHeader, StatePart, read_state, write_state
from localai_app.engine.worker.transcript import Transcript, common_prefix_length

_WORTH_TOKENS = 64
"""A conversation shorter than this is read again faster than anybody notices (0.3 s at 200 tokens per second)."""
_BRANCH_TOKENS = 512
"""So many tokens dropped from one and the same conversation are a branch to come back to; fewer are an answer made anew."""
_WORTH_CHARACTERS = 256
"""So much more of a prompt a copy has to share than what is in the cache already, to be brought back."""
_LEFT_FREE_BYTES = 1024**3
"""So much main memory is left to other programs, whatever was free when the model was loaded."""
MOST_FILE_BYTES = 2 * 1024**3
"""A larger state is not written: at 500 MB/s of a common SSD it would take over four seconds."""
_FILE_MARGIN_BYTES = 64 * 1024**2
"""For the header of a file."""
_CHECKPOINT_SHARE = 4
"""One part in so many of the memory for copies is for checkpoints of the conversation in the cache."""


@dataclass(frozen=True, slots=True)
class KeptState:
    """A conversation as it was in the cache: its tokens, the text they stand for, and llama.cpp's own state."""

    conversation: str
    transcript: Transcript
    tokens: tuple[int, ...]
    copy: mmap.mmap
    checkpoints: tuple[Checkpoint, ...] = ()

    @property
    def n_bytes(self) -> int:
        """Main memory that it takes."""
        return len(self.copy) + sum(len(one.copy) for one in self.checkpoints)


class Conversations:
    """The conversation in the cache and the kept ones, last used last; the first ones go where memory runs short."""

    def __init__(self, model: LlamaModel, kept_bytes: int, *, starts_empty: bool = False) -> None:
        """`starts_empty`: as in LoadOptions."""
        self._model = model
        self._starts_empty = starts_empty
        self._limit_bytes = kept_bytes - kept_bytes // _CHECKPOINT_SHARE
        self._kept: list[KeptState] = []
        self.transcript = Transcript()
        self.conversation = ""

    @staticmethod
    def checkpoint_bytes(kept_bytes: int) -> int:
        """The part of the memory for copies that a model's checkpoints may take."""
        return kept_bytes // _CHECKPOINT_SHARE

    def open(self, conversation: str, prompt: str) -> list[int]:
        """Bring the state that is nearest to a prompt into the cache; the prompt's tokens.

        The conversation's own state, that of one it branched off from, or none at all: what counts is the text.
        """
        if self._starts_empty:
            self._model.truncate_cache(0)
            self.transcript = Transcript()
        best = self._nearest(conversation, prompt)
        if best is not None:
            self._swap_in(best, keeps=best.conversation != conversation)
        model = self._model
        tokens = self.transcript.tokens_for(prompt, model.tokenize_start, model.tokenize_rest)
        if not tokens:
            # A model without a BOS token has nothing to begin from in an empty text.
            tokens = model.tokenize_start("\n")
        shared = common_prefix_length(model.cached, tokens)
        dropped = len(model.cached) - shared
        is_another = conversation != self.conversation or shared < dropped
        if dropped >= (_WORTH_TOKENS if is_another else _BRANCH_TOKENS):
            self._keep_current()
        self.conversation = conversation
        return tokens

    def save(self, conversation: str, path: Path, key: str) -> tuple[int, int]:
        """Write a conversation's state to a file: tokens and bytes, 0 where there is nothing worth it. OSError if it fails."""
        state = next((one for one in reversed(self._kept) if one.conversation == conversation), None)
        if conversation == self.conversation and len(self._model.cached) >= _WORTH_TOKENS:
            state = self._copy_of_current(MOST_FILE_BYTES) or state
        if state is None or state.n_bytes > MOST_FILE_BYTES:
            return 0, 0
        text, tokens, marks = state.transcript.parts
        counts = (len(state.tokens), *(one.n_tokens for one in state.checkpoints))
        header = StateHeader(
            key=key, tokens=state.tokens, text=text, text_tokens=tokens, marks=marks,
            parts=tuple(StatePart(count, 0, 0) for count in counts))
        return len(state.tokens), write_state(path, header, (state.copy, *(one.copy for one in state.checkpoints)))

    def restore(self, conversation: str, path: Path, key: str) -> int:
        """Bring a state from a file into the cache; its tokens, 0 where none came. A file that is of no use is removed."""
        if conversation == self.conversation or any(one.conversation == conversation for one in self._kept):
            return 0
        model = self._model
        try:
            header, copies = read_state(path, key, MOST_FILE_BYTES + _FILE_MARGIN_BYTES)
            if len(header.tokens) >= model.ctx or not all(0 <= token < model.n_vocab for token in header.tokens):
                raise StateFileError("its tokens are not this model's")
            state = KeptState(
                conversation, Transcript.from_parts(header.text, header.text_tokens, header.marks), header.tokens, copies[0],
                tuple(Checkpoint(part.n_tokens, copy) for part, copy in zip(header.parts[1:], copies[1:], strict=True)))
            if len(model.cached) >= _WORTH_TOKENS:
                self._keep_current(reserved_bytes=state.n_bytes)
            if not self._put(state):
                raise StateFileError("llama.cpp does not take it")
        except StateFileError as error:
            print(f"worker: the state in {path.name} is not used: {error}", file=sys.stderr, flush=True)
            with contextlib.suppress(OSError):
                path.unlink()
            return 0
        self.conversation = conversation
        return len(state.tokens)

    def set_aside(self) -> None:
        """Empty the cache; what was in it is kept if it is worth it."""
        if len(self._model.cached) >= _WORTH_TOKENS:
            self._keep_current()
        self._model.truncate_cache(0)
        self.transcript, self.conversation = Transcript(), ""

    def _nearest(self, conversation: str, prompt: str) -> KeptState | None:
        """The kept state that is worth to be brought back for a prompt."""
        def rank(state: KeptState) -> tuple[int, bool]:
            return state.transcript.shared_length(prompt), state.conversation == conversation

        best = max(self._kept, key=rank, default=None)
        if best is None:
            return None
        gain = best.transcript.shared_length(prompt) - self.transcript.shared_length(prompt)
        return best if gain >= _WORTH_CHARACTERS else None

    def _swap_in(self, state: KeptState, *, keeps: bool) -> None:
        """Put a kept state into the cache, in place of what is there, which is kept if it is worth it."""
        model = self._model
        self._kept.remove(state)
        if len(model.cached) >= _WORTH_TOKENS:
            self._keep_current(reserved_bytes=state.n_bytes)
        if self._put(state) and keeps:
            self._kept.append(state)

    def _put(self, state: KeptState) -> bool:
        model = self._model
        model.truncate_cache(0)
        if not put_state(model.library, model.context, state.copy):
            model.truncate_cache(0)
            self.transcript = Transcript()
            return False
        model.cached[:] = state.tokens
        self.transcript = state.transcript.copy()
        for checkpoint in state.checkpoints:
            model.checkpoints.add(checkpoint)
        return True

    def _keep_current(self, reserved_bytes: int = 0) -> None:
        """Copy what is in the cache, and let go of the oldest copies where there is not enough memory for all."""
        held = sum(one.n_bytes for one in self._kept) + reserved_bytes
        limit = min(self._limit_bytes, held + available_bytes() - _LEFT_FREE_BYTES)
        state = self._copy_of_current(limit - reserved_bytes)
        if state is None:
            return
        self._kept.append(state)
        while len(self._kept) > 1 and sum(one.n_bytes for one in self._kept) + reserved_bytes > limit:
            del self._kept[0]

    def _copy_of_current(self, limit_bytes: int) -> KeptState | None:
        model = self._model
        copy = copy_of_state(model.library, model.context, limit_bytes)
        if copy is None:
            return None
        return KeptState(self.conversation, self.transcript.copy(), tuple(model.cached), copy, model.checkpoints.newest())


def available_bytes() -> int:
    """Main memory that could be had now without making other programs wait."""
    import psutil

    return int(psutil.virtual_memory().available)

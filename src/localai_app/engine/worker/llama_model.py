"""A loaded model with its context: tokens, pieces, and what the KV cache holds."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from typing import Any

from localai_app.engine.failure import RequestRefusedError
from localai_app.engine.worker.state_copy import SEQUENCE, Checkpoint, Checkpoints, copy_of_state, put_state
from localai_app.engine.worker.transcript import common_prefix_length
from localai_app.errors import MODEL_LOAD_FAILED

_NO_VOCABULARY, _SPM_VOCABULARY = 0, 1
"""`LLAMA_VOCAB_TYPE_NONE` and `LLAMA_VOCAB_TYPE_SPM` of llama.h."""


class LlamaModel:
    """Owns `llama_model` and `llama_context`. `cached` are the tokens whose keys and values are in the cache, in order.

    `checkpoint_bytes`: main memory for checkpoints, from which a cache goes back that cannot drop its last tokens.
    """

    def __init__(self, library: Any, model: Any, context: Any, checkpoint_bytes: int = 0) -> None:
        self.library = library
        self.model = model
        self.context = context
        self.vocab = library.llama_model_get_vocab(model)
        self.memory = library.llama_get_memory(context)
        self.ctx: int = library.llama_n_ctx_seq(context)
        self.ubatch: int = library.llama_n_ubatch(context)
        self.n_vocab: int = library.llama_vocab_n_tokens(self.vocab)
        self.cached: list[int] = []
        self.checkpoints = Checkpoints(checkpoint_bytes)
        self.has_state = bool(library.llama_model_is_recurrent(model) or library.llama_model_is_hybrid(model))
        """Whether a state is carried from token to token, which cannot go back by even one."""
        self.has_vocabulary: bool = library.llama_vocab_type(self.vocab) != _NO_VOCABULARY
        self._window: int = library.llama_model_n_swa(model)
        self._pieces: dict[int, bytes] = {}
        self._shown: frozenset[int] = frozenset()
        """Special tokens whose text is a part of the answer."""
        self._piece_buffer = ctypes.create_string_buffer(512)

    def free(self) -> None:
        """Give the memory back."""
        self.library.llama_free(self.context)
        self.library.llama_model_free(self.model)

    def template_source(self) -> str:
        """The chat template inside the file; empty for a base model."""
        source: bytes | None = self.library.llama_model_chat_template(self.model, None)
        return (source or b"").decode("utf-8", "replace").strip()

    def metadata(self, key: str) -> str:
        """A text or number of the file's metadata; empty where it is not there."""
        buffer = ctypes.create_string_buffer(512)
        length = self.library.llama_model_meta_val_str(self.model, key.encode(), buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace") if length > 0 else ""

    def show_tokens(self, texts: Iterable[str]) -> None:
        """Let special tokens with these texts be seen in answers, so that they can be read."""
        encoded = [self._tokenize(text) for text in texts] if self.has_vocabulary else []
        self._shown = frozenset(tokens[0] for tokens in encoded if len(tokens) == 1)
        self._pieces.clear()

    def adds_bos(self) -> bool:
        """Whether every text starts with the BOS token."""
        return bool(self.library.llama_vocab_get_add_bos(self.vocab))

    def bos_text(self) -> str:
        """The BOS token as it stands in templates; empty if there is none."""
        return self._text_of(self.library.llama_vocab_bos(self.vocab))

    def eos_text(self) -> str:
        """The EOS token as it stands in templates; empty if there is none."""
        return self._text_of(self.library.llama_vocab_eos(self.vocab))

    def tokenize_start(self, text: str) -> list[int]:
        """The tokens of a text from its beginning, with the BOS token where the model wants one."""
        tokens = self._tokenize(text)
        bos: int = self.library.llama_vocab_bos(self.vocab)
        return [bos, *tokens] if self.adds_bos() and bos >= 0 else tokens

    def tokenize_rest(self, text: str) -> list[int] | None:
        """The tokens of a text that follows another one; None where the tokenizer would begin it with a space of its own."""
        tokens = self._tokenize(text)
        if tokens and self.library.llama_vocab_type(self.vocab) == _SPM_VOCABULARY:
            first = self.piece(tokens[0], with_special=True)
            if not text.encode().startswith(first):
                return None
        return tokens

    def tokenize_plain(self, text: str) -> list[int]:
        """The tokens of a text by itself, nothing added."""
        return self._tokenize(text)

    def piece(self, token: int, *, with_special: bool = False) -> bytes:
        """The bytes of one token; special tokens are empty unless asked for."""
        if not with_special and token in self._pieces:
            return self._pieces[token]
        buffer = self._piece_buffer
        is_seen = with_special or token in self._shown
        length = self.library.llama_token_to_piece(self.vocab, token, buffer, len(buffer), 0, is_seen)
        if length < 0:
            buffer = self._piece_buffer = ctypes.create_string_buffer(-length)
            length = self.library.llama_token_to_piece(self.vocab, token, buffer, len(buffer), 0, is_seen)
        piece = buffer.raw[:length]
        if not with_special:
            self._pieces[token] = piece
        return piece

    def keep_common_prefix(self, tokens: list[int], known: int = 0) -> int:
        """Drop from the cache what differs from `tokens`; how many of them are still in it.

        At least the last token is left to evaluate, since its logits are needed. The first `known` tokens are the same as in
        the cache, as far as it reaches, and are not compared.
        """
        known = min(known, len(self.cached))
        shared = min(known + common_prefix_length(self.cached[known:], tokens[known:]), len(tokens) - 1)
        if shared < len(self.cached):
            self.truncate_cache(shared)
        return len(self.cached)

    def truncate_cache(self, length: int) -> bool:
        """Keep the first `length` tokens; false if this kind of cache kept fewer: those of a checkpoint, or none."""
        library = self.library
        if length > 0 and not self._window_was_passed(length) and self._drop_behind(length):
            return True
        # A window's checkpoint holds all that the token before its own end has to see, too.
        reach = length if self.has_state else length + 1
        checkpoint = self.checkpoints.newest_within(reach) if length > 0 else None
        if checkpoint is not None and put_state(library, self.context, checkpoint.copy, is_partial=True):
            kept = min(length, checkpoint.n_tokens)
            if self._drop_behind(kept):
                return kept == length
        library.llama_memory_clear(self.memory, False)
        self.checkpoints.forget_behind(0)
        self.cached.clear()
        return length == 0

    def keep_checkpoint(self) -> None:
        """Make it possible to come back to this place in the conversation, where the cache cannot do so by itself."""
        if not self.needs_checkpoints or self.checkpoints.ends_at(len(self.cached)):
            return
        copy = copy_of_state(self.library, self.context, self.checkpoints.budget_bytes, is_partial=True)
        if copy is not None:
            self.checkpoints.add(Checkpoint(len(self.cached), copy))

    @property
    def needs_checkpoints(self) -> bool:
        """Whether tokens at the end of the cache cannot always be dropped."""
        return self.has_state or self._window > 0

    def _drop_behind(self, length: int) -> bool:
        if not self.library.llama_memory_seq_rm(self.memory, SEQUENCE, length, -1):
            return False
        del self.cached[length:]
        self.checkpoints.forget_behind(length)
        return True

    def _window_was_passed(self, length: int) -> bool:
        """Whether a sliding-window cache has already dropped tokens that position `length` has to see.

        It sees the `window - 1` positions before it (`llama_hparams::is_masked_swa`).
        """
        if self._window <= 0:
            return False
        oldest: int = self.library.llama_memory_seq_pos_min(self.memory, SEQUENCE)
        return oldest < 0 or oldest > max(0, length - self._window + 1)

    def _tokenize(self, text: str) -> list[int]:
        if not self.has_vocabulary:
            # llama.cpp would end the process by an assertion.
            raise RequestRefusedError(
                MODEL_LOAD_FAILED, name="the model", reason="its file holds no vocabulary, without which no text can be read")
        data = text.encode("utf-8", "replace")
        room = len(data) + 16
        tokens = (ctypes.c_int32 * room)()
        count: int = self.library.llama_tokenize(self.vocab, data, len(data), tokens, room, False, True)
        if count < 0:
            tokens = (ctypes.c_int32 * -count)()
            count = self.library.llama_tokenize(self.vocab, data, len(data), tokens, -count, False, True)
        return list(tokens[:count])

    def _text_of(self, token: int) -> str:
        return self.piece(token, with_special=True).decode("utf-8", "replace") if token >= 0 else ""

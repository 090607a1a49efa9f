"""Applies the policy of a chat to its conversation with the loaded model's own count of tokens."""

from __future__ import annotations

import msgspec

from localai_app.engine.failure import RequestRefusedError
from localai_app.engine.protocol import Chat, CountTokens, HistoryCut, Overflow, Sampling, TokensCounted
from localai_app.engine.worker.backend import Backend
from localai_app.engine.worker.overflow import ContextRoom, Fitted, fit_conversation
from localai_app.errors import PROMPT_TOO_LONG
from localai_app.units import format_count


class ContextCutter:
    """Keeps the result of the last conversation: what was counted while it was written is not counted again to answer it."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._last: tuple[Chat, Fitted] | None = None

    def forget(self) -> None:
        """Another model counts otherwise, and may have another context."""
        self._last = None

    def cut(self, chat: Chat) -> tuple[Chat, HistoryCut]:
        """The chat as its policy allows it to be sent, and what that leaves out.

        RequestRefusedError PROMPT_TOO_LONG where even that is longer than the context; that of `stop` is left to the back end.
        """
        if chat.overflow is Overflow.STOP:
            return chat, HistoryCut()
        total, fitted = self._backend.context_total(), self._fitted(chat)
        if fitted.tokens >= total:
            raise RequestRefusedError(PROMPT_TOO_LONG, needed=format_count(fitted.tokens), context=format_count(total))
        return msgspec.structs.replace(chat, messages=fitted.messages, prefill=fitted.prefill), fitted.cut

    def count(self, command: CountTokens) -> TokensCounted:
        """How long the conversation is, and what would be sent of it."""
        total, fitted = self._backend.context_total(), self._fitted(command.chat)
        return TokensCounted(
            id=command.id, prompt_tokens=fitted.whole_tokens, sent_tokens=fitted.tokens if fitted.tokens < total else None,
            context_total=total, cut=fitted.cut)

    def _fitted(self, chat: Chat) -> Fitted:
        same = msgspec.structs.replace(
            chat, id=0, conversation="", sampling=Sampling(max_tokens=chat.sampling.max_tokens))
        if self._last is None or self._last[0] != same:
            room = ContextRoom.of(self._backend.context_total(), chat.sampling.max_tokens)
            fitted = fit_conversation(
                chat.messages, chat.prefill, chat.overflow, room,
                lambda messages, prefill: self._backend.count_tokens(
                    msgspec.structs.replace(chat, messages=tuple(messages), prefill=prefill)),
                known=chat.known_cut)
            self._last = (same, fitted)
        return self._last[1]

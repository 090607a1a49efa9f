"""What an answer may need beside the conversation and the sampling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from localai_app.engine.protocol import Chat, ChatMessage, HistoryCut, Overflow, Sampling


@dataclass(frozen=True, slots=True)
class ChatExtras:
    """See the fields of `protocol.Chat` with these names."""

    prefill: str = ""
    prefill_thinking: str = ""
    thinking: str | None = None
    tools: tuple[dict[str, Any], ...] = ()
    overflow: Overflow = Overflow.STOP
    known_cut: HistoryCut | None = None
    conversation: str = ""

    def command(self, request_id: int, messages: Sequence[ChatMessage], sampling: Sampling) -> Chat:
        """The request for an answer to a conversation."""
        return Chat(
            id=request_id, messages=tuple(messages), sampling=sampling, prefill=self.prefill,
            prefill_thinking=self.prefill_thinking, thinking=self.thinking, tools=self.tools, overflow=self.overflow,
            known_cut=self.known_cut, conversation=self.conversation)


NO_EXTRAS = ChatExtras()

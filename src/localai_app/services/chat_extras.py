"""What an answer may need beside the conversation and the sampling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ChatExtras:
    """See the fields of `protocol.Chat` with these names."""

    prefill: str = ""
    thinking: str | None = None
    tools: tuple[dict[str, Any], ...] = ()


NO_EXTRAS = ChatExtras()

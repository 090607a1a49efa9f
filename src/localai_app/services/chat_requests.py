"""What goes to a model for the next answer of a stored chat: its turns, and how it is to be answered."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from localai_app.engine.protocol import Overflow, Sampling
from localai_app.services.chat_extras import ChatExtras
from localai_app.services.chat_settings import ChatSettings, ChatSettingsService
from localai_app.services.chat_turns import Turns, chat_turns, last_cut
from localai_app.services.sampling_service import SamplingService
from localai_app.services.settings_service import SettingsService
from localai_app.services.thinking import AnswerText, parts_of
from localai_app.services.vendor_sampling import OFF
from localai_app.store.records import Message

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One answer as it is asked for."""

    turns: Turns
    sampling: Sampling
    extras: ChatExtras


class ChatRequests:
    """Puts together what the program's settings and those of the chat say."""

    def __init__(self, settings: SettingsService, chat_settings: ChatSettingsService, sampling: SamplingService) -> None:
        self._settings = settings
        self._chat_settings = chat_settings
        self._sampling = sampling

    def request(
        self, conversation_id: int | None, history: Sequence[Message], continues: Message | None = None, *, model_key: str = "",
    ) -> ChatRequest:
        """The request for an answer to `history`, or for more of the one that `continues` is.

        `conversation_id` None: a chat that is not saved yet. `model_key`: the model to sample. AppError if the store fails.
        """
        own = self._chat_settings.get(conversation_id) if conversation_id is not None else ChatSettings()
        system_prompt = self._settings.text("system_prompt") if own.system_prompt is None else own.system_prompt
        turns = chat_turns(system_prompt, history)
        cut = (continues.cut if continues is not None else None) or last_cut(history)
        sampling = self._sampling.effective(model_key, own).sampling
        # A shape holds from the first token on, also for thoughts.
        has_shape = bool(sampling.grammar.strip() or sampling.json_schema.strip())
        begun = parts_of(continues) if continues is not None else AnswerText()
        extras = ChatExtras(
            prefill=begun.answer, prefill_thinking=begun.thinking, thinking=OFF if has_shape else own.thinking,
            overflow=overflow_of(own, self._settings.text("context_policy")),
            known_cut=turns.from_stored(cut) if cut is not None else None, conversation=str(conversation_id or ""))
        return ChatRequest(turns, sampling, extras)

    def overflow(self, conversation_id: int) -> Overflow:
        """What is done where a chat is longer than the context. AppError if the store fails."""
        return overflow_of(self._chat_settings.get(conversation_id), self._settings.text("context_policy"))


def overflow_of(chat: ChatSettings, default: str) -> Overflow:
    """The policy of a chat, or that of the program."""
    try:
        return Overflow(chat.overflow or default)
    except ValueError:
        log.info("there is no way called %r to treat a full context", chat.overflow)
        return Overflow(default)

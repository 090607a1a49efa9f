"""What is set for one chat and differs from all others: kept in the store, and gone with the chat."""

from __future__ import annotations

import msgspec

from localai_app.engine.sampling_values import SamplingValues
from localai_app.services.events import ChatSettingsChanged, EventBus
from localai_app.services.stored_json import stored_value
from localai_app.store.database import Store

PANEL_FACT = "chat_panel"


class ChatSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is set for one chat; None: as the program's settings and the model say."""

    system_prompt: str | None = None
    sampling: SamplingValues = SamplingValues()
    thinking: str | None = None
    """How much the model thinks before it answers; the choices are the model's."""
    overflow: str | None = None
    """What is done where the context is full."""
    logprobs: int | None = None
    """How many alternatives are listed beside each token; None: no log-probabilities."""
    seed: int | None = None
    """None: another one for each answer."""

    @property
    def is_default(self) -> bool:
        """Whether nothing is set."""
        return self == ChatSettings()


class ChatSettingsService:
    """Reads and changes what is set; every change is published as ChatSettingsChanged."""

    def __init__(self, store: Store, events: EventBus) -> None:
        self._store = store
        self._events = events

    def get(self, conversation_id: int) -> ChatSettings:
        """What is set for a chat; nothing where nothing is, or where it makes no sense.

        AppError if the store cannot be read.
        """
        text = self._store.chat_settings.of_chat(conversation_id)
        settings = stored_value(text, ChatSettings, f"what is set for chat {conversation_id}") or ChatSettings()
        return msgspec.structs.replace(settings, sampling=settings.sampling.known())

    def is_panel_open(self) -> bool:
        """Whether the window shows these settings beside the chat. AppError if the store cannot be read."""
        return self._store.library.get_fact(PANEL_FACT) == "open"

    def remember_panel(self, is_open: bool) -> None:
        """Keep it so at the next start. AppError if the store cannot be written."""
        self._store.library.set_fact(PANEL_FACT, "open" if is_open else "closed")

    def set(self, conversation_id: int, settings: ChatSettings) -> None:
        """Remember these. AppError if the store cannot be written."""
        if settings == self.get(conversation_id):
            return
        self._store.chat_settings.set_of_chat(conversation_id, msgspec.json.encode(settings).decode())
        self._events.publish(ChatSettingsChanged(conversation_id))

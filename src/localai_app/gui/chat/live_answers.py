"""Answers that stream right now, whichever chat is on screen: their text since the beginning."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from localai_app.services.events import AnswerProgressed
from localai_app.services.thinking import AnswerText, parts_of
from localai_app.store.records import Message, MessageState, Role


class LiveAnswers:
    """The store is written some times a second, so a chat that is opened in between takes its text from here."""

    def __init__(self, stored_messages: Callable[[int], Sequence[Message]]) -> None:
        self._stored_messages = stored_messages
        self._texts: dict[int, AnswerText] = {}

    def begin(self, message: Message) -> None:
        """An answer begins, perhaps from a text that it already has."""
        if message.role is Role.ASSISTANT:
            self._texts[message.id] = parts_of(message)

    def progress(self, event: AnswerProgressed, shown: Message | None) -> None:
        """More text came; `shown` is the message as it is on screen, if it is."""
        if event.message_id not in self._texts:
            known = shown if shown is not None else self._stored(event)
            self._texts[event.message_id] = parts_of(known) if known is not None else AnswerText()
        self._texts[event.message_id].add(event.channel, event.text, takes_back=event.takes_back)

    def end(self, message_id: int) -> None:
        """The store has all of it."""
        self._texts.pop(message_id, None)

    def with_live_text(self, messages: Sequence[Message]) -> list[Message]:
        """Stored messages, with the text of what streams as it is now."""
        return [
            msgspec.structs.replace(
                message, text=live.answer, thinking=live.thinking, state=MessageState.STREAMING)
            if (live := self._texts.get(message.id)) is not None else message
            for message in messages
        ]

    def _stored(self, event: AnswerProgressed) -> Message | None:
        return next((known for known in self._stored_messages(event.conversation_id) if known.id == event.message_id), None)

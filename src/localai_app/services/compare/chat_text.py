"""The user's own past chats as a text to measure on: what a model would be asked and would answer here."""

from __future__ import annotations

from localai_app.compare.loss import TextSource
from localai_app.store.conversations import ConversationStore
from localai_app.store.records import Role

NAME = "Past chats"
MAX_CHARS = 400_000
"""About 100,000 tokens: longer than any measurement that is offered."""


def text_of_chats(conversations: ConversationStore, max_chars: int = MAX_CHARS) -> TextSource:
    """Questions and answers of the newest chats, whole chats first to last, until there are `max_chars` characters."""
    parts: list[str] = []
    room = max_chars
    for conversation in conversations.list():
        if room <= 0:
            break
        asked = [
            message.text.strip() for message in conversations.messages(conversation.id)
            if message.role in (Role.USER, Role.ASSISTANT) and message.text.strip()]
        chat = "\n\n".join(asked)[:room]
        if chat:
            parts.append(chat)
            room -= len(chat)
    return TextSource(name=NAME, text="\n\n".join(parts))

"""Past chats as a text to measure losses on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from localai_app.services.compare.chat_text import NAME, text_of_chats
from localai_app.store.database import Store, open_store
from localai_app.store.records import Role


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "store.db")
    yield opened
    opened.close()


def chat(store: Store, *texts: str) -> None:
    made = store.conversations.create("A chat")
    for place, text in enumerate(texts):
        store.conversations.add_message(made.id, Role.ASSISTANT if place % 2 else Role.USER, text)


def test_questions_and_answers_of_the_newest_chats_come_first(store: Store) -> None:
    chat(store, "Old question", "Old answer")
    chat(store, "New question", "New answer", "  ")
    text = text_of_chats(store.conversations)
    assert text.name == NAME
    assert text.text == "New question\n\nNew answer\n\nOld question\n\nOld answer"


def test_it_is_bounded(store: Store) -> None:
    for _ in range(5):
        chat(store, "x" * 40)
    assert text_of_chats(store.conversations, 100).text.count("x") == 100


def test_without_chats_it_is_empty(store: Store) -> None:
    assert text_of_chats(store.conversations).text == ""

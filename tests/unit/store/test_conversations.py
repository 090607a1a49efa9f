"""Chats and messages: what is written is what is read, in the right order, whatever the text holds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localai_app.errors import AppError
from localai_app.store.database import Store, open_store
from localai_app.store.records import MessageState, MessageStats, Role

STATS = MessageStats(
    prompt_tokens=12, completion_tokens=34, prompt_tps=120.5, tps=21.25, ttft_s=0.4, context_used=46, context_total=8192,
    finish_reason="stop")


def test_a_chat_is_found_again_after_a_restart(store_path: Path) -> None:
    store = open_store(store_path)
    chat = store.conversations.create("Greetings", "owner/repo:Q4_K_M")
    question = store.conversations.add_message(chat.id, Role.USER, "Grüße? 你好 👋")
    answer = store.conversations.add_message(chat.id, Role.ASSISTANT, "", MessageState.STREAMING, model_key="owner/repo:Q4_K_M")
    store.conversations.append_text(answer.id, "Hello")
    store.conversations.append_text(answer.id, " there")
    finished = store.conversations.finish_message(answer.id, MessageState.DONE, STATS)
    store.close()

    again = open_store(store_path)
    assert again.notice is None
    assert [found.title for found in again.conversations.list()] == ["Greetings"]
    assert again.conversations.messages(chat.id) == (question, finished)
    assert (finished.text, finished.state, finished.stats) == ("Hello there", MessageState.DONE, STATS)
    again.close()


def test_the_chat_that_changed_last_comes_first(store_path: Path) -> None:
    seconds = iter(range(1000, 2000))
    store = open_store(store_path, clock=lambda: float(next(seconds)))
    first, second, third = (store.conversations.create(title) for title in ("first", "second", "third"))
    store.conversations.add_message(first.id, Role.USER, "newest")
    store.conversations.rename(second.id, "renamed")
    assert [chat.id for chat in store.conversations.list()] == [first.id, third.id, second.id]
    assert store.conversations.get(second.id).title == "renamed"
    store.conversations.set_model(second.id, "other")
    assert store.conversations.get(second.id).model_key == "other"
    store.close()


def test_deleting_can_be_undone_in_reverse_order(store: Store) -> None:
    first, second = store.conversations.create("first"), store.conversations.create("second")
    store.conversations.add_message(first.id, Role.USER, "kept")
    store.conversations.delete(first.id)
    store.conversations.delete(second.id)
    assert store.conversations.list() == ()
    with pytest.raises(AppError) as missing:
        store.conversations.get(first.id)
    assert missing.value.code == "chat_missing"
    restored = [store.conversations.restore_last_deleted() for _ in range(3)]
    assert [chat.id if chat else None for chat in restored] == [second.id, first.id, None]
    assert [message.text for message in store.conversations.messages(first.id)] == ["kept"]


def test_deleted_chats_go_for_good_after_thirty_days(store_path: Path) -> None:
    store = open_store(store_path, clock=lambda: 0.0)
    old = store.conversations.create("old")
    store.conversations.add_message(old.id, Role.USER, "text")
    store.conversations.delete(old.id)
    store.close()
    day_s = 24 * 3600.0
    for now_s, is_left in ((29 * day_s, True), (31 * day_s, False)):
        store = open_store(store_path, clock=lambda: now_s)  # noqa: B023 - called before the next round
        assert (len(store.conversations.messages(old.id)) == 1) is is_left
        store.close()


def test_one_message_can_be_removed(store: Store) -> None:
    chat = store.conversations.create("chat")
    first, second = (store.conversations.add_message(chat.id, Role.USER, text) for text in ("one", "two"))
    store.conversations.delete_message(first.id)
    assert store.conversations.messages(chat.id) == (second,)
    with pytest.raises(AppError):
        store.conversations.finish_message(first.id, MessageState.DONE)


@pytest.mark.parametrize(("query", "found"), [
    ("", {"Pasta", "Straße", "日本語", "100%"}),
    ("pasta", {"Pasta"}),
    ("CARBON", {"Pasta"}),
    ("egg pasta", {"Pasta"}),
    ("egg moon", set()),
    ("ÜBER", {"Straße"}),
    ("STRASSE", set()),
    ("straße", {"Straße"}),
    ("語", {"日本語"}),
    ("%", {"100%"}),
    ("_", {"100%"}),
    ("\\", {"100%"}),
    ('"quoted"', {"100%"}),
    ("it's", {"100%"}),
    ("'; DROP TABLE messages; --", set()),
    ("\ud800", set()),
    ("a" * 100_000, set()),
])
def test_search_takes_every_character_for_itself(store: Store, query: str, found: set[str]) -> None:
    for title, text in (
        ("Pasta", "Carbonara with egg"), ("Straße", "Wir fahren über Land"), ("日本語", "言語モデル"),
        ("100%", 'snake_case, back\\slash, "quoted", it\'s'),
    ):
        chat = store.conversations.create(title)
        store.conversations.add_message(chat.id, Role.USER, text)
    assert {chat.title for chat in store.conversations.list(query)} == found


def test_deleted_chats_are_not_found(store: Store) -> None:
    chat = store.conversations.create("secret")
    store.conversations.delete(chat.id)
    assert store.conversations.list("secret") == ()


@given(text=st.text(), query=st.text(max_size=20))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_kept_and_any_query_answered(store: Store, text: str, query: str) -> None:
    chat = store.conversations.create(text)
    message = store.conversations.add_message(chat.id, Role.USER, text)
    assert store.conversations.messages(chat.id) == (message,)
    assert message.text == text
    store.conversations.list(query)


def test_half_a_surrogate_pair_becomes_the_replacement_character(store: Store) -> None:
    chat = store.conversations.create("chat")
    answer = store.conversations.add_message(chat.id, Role.ASSISTANT, "a\ud83d", MessageState.STREAMING)
    store.conversations.append_text(answer.id, "\udc4bb")
    assert store.conversations.messages(chat.id)[0].text == "a\ufffd\ufffdb"


def test_many_threads_write_at_once(store: Store) -> None:
    chats = [store.conversations.create(f"chat {number}") for number in range(4)]

    def write(chat_id: int) -> None:
        answer = store.conversations.add_message(chat_id, Role.ASSISTANT, "", MessageState.STREAMING)
        for number in range(25):
            store.conversations.append_text(answer.id, f"{number} ")
        store.conversations.finish_message(answer.id, MessageState.STOPPED)

    with ThreadPoolExecutor(len(chats)) as pool:
        list(pool.map(write, [chat.id for chat in chats]))
    expected = "".join(f"{number} " for number in range(25))
    assert [store.conversations.messages(chat.id)[0].text for chat in chats] == [expected] * 4


def test_answers_left_streaming_become_interrupted_at_the_next_start(store_path: Path) -> None:
    store = open_store(store_path)
    chat = store.conversations.create("chat")
    answer = store.conversations.add_message(chat.id, Role.ASSISTANT, "half an ans", MessageState.STREAMING)
    store.close()
    store = open_store(store_path)
    message = store.conversations.messages(chat.id)[0]
    assert (message.id, message.text, message.state) == (answer.id, "half an ans", MessageState.INTERRUPTED)
    store.close()


def test_numbers_that_cannot_be_read_do_not_cost_the_answer(store: Store) -> None:
    chat = store.conversations.create("chat")
    answer = store.conversations.add_message(chat.id, Role.ASSISTANT, "text", MessageState.STREAMING)
    store.conversations.finish_message(answer.id, MessageState.DONE, STATS)
    store._connection.write("UPDATE messages SET stats = '{\"tps\": \"fast\"}'")
    assert store.conversations.messages(chat.id)[0].stats is None


def test_a_thousand_chats_and_a_long_one_are_all_read(store: Store) -> None:
    with store._connection.transaction():
        for number in range(1000):
            chat = store.conversations.create(f"chat {number}")
            store.conversations.add_message(chat.id, Role.USER, f"needle{number} " + "hay " * 50)
        for number in range(1999):
            store.conversations.add_message(chat.id, Role.ASSISTANT, f"answer {number}")
    assert len(store.conversations.list()) == 1000
    assert len(store.conversations.messages(chat.id)) == 2000
    assert [found.title for found in store.conversations.list("NEEDLE512 hay")] == ["chat 512"]

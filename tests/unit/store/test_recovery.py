"""Damaged files: kept under another name, and everything readable is in the new one."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from localai_app.errors import AppError
from localai_app.store.database import Store, open_store
from localai_app.store.records import MessageState, Role
from localai_app.store.recovery import TABLES
from tests.helpers.measurements import MEASUREMENT

PAGE_BYTES = 4096
CHATS = 30
MESSAGES_EACH = 40


def _text(chat: int, number: int) -> str:
    return f"chat {chat} message {number} " + "word " * 60


def _fill(path: Path) -> None:
    store = open_store(path)
    with store._connection.transaction():
        for chat in range(CHATS):
            conversation = store.conversations.create(f"chat {chat}")
            for number in range(MESSAGES_EACH):
                store.conversations.add_message(conversation.id, Role.USER, _text(chat, number))
    store.library.set_fact("memory_bandwidth", "123")
    store.library.link("/models/a.gguf")
    store.load_settings.set("/models/a.gguf", '{"ctx":4096}')
    store.measurements.add(MEASUREMENT)
    store.close()


def _texts(store: Store) -> set[str]:
    return {message.text for chat in store.conversations.list() for message in store.conversations.messages(chat.id)}


ALL_TEXTS = {_text(chat, number) for chat in range(CHATS) for number in range(MESSAGES_EACH)}


def _overwrite(path: Path, start: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(content)


def _open_damaged(path: Path, expect_log: Callable[[str], None]) -> Store:
    damaged = path.read_bytes()
    expect_log("the store was damaged .* recovered: ")
    store = open_store(path)
    assert store.notice is not None
    assert store.notice.code == "store_damaged"
    (backup,) = path.parent.glob("localai.damaged-*.sqlite3")
    assert backup.read_bytes() == damaged
    assert backup.name in store.notice.action
    assert sorted(file.name for file in path.parent.iterdir() if file.is_dir()) == []
    return store


def _assert_usable(store: Store, path: Path) -> None:
    """The new file takes messages and opens again without a notice."""
    chat = store.conversations.create("after")
    store.conversations.add_message(chat.id, Role.USER, "new text")
    store.close()
    again = open_store(path)
    assert again.notice is None
    assert [message.text for message in again.conversations.messages(chat.id)] == ["new text"]
    again.close()


@pytest.mark.parametrize("header", [b"\0" * 100, b"garbage " * 12 + b"!!!!", b"SQLite format 3\0" + b"\xff" * 84])
def test_a_damaged_header_costs_nothing(store_path: Path, expect_log: Callable[[str], None], header: bytes) -> None:
    _fill(store_path)
    _overwrite(store_path, 0, header)
    store = _open_damaged(store_path, expect_log)
    assert _texts(store) == ALL_TEXTS
    assert store.library.get_fact("memory_bandwidth") == "123"
    assert [linked.path for linked in store.library.linked()] == ["/models/a.gguf"]
    assert store.load_settings.get("/models/a.gguf") == '{"ctx":4096}'
    assert store.measurements.list() == (MEASUREMENT,)
    _assert_usable(store, store_path)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_pages_cost_only_what_stood_on_them(store_path: Path, expect_log: Callable[[str], None], seed: int) -> None:
    _fill(store_path)
    chance = random.Random(seed)
    pages = store_path.stat().st_size // PAGE_BYTES
    damaged = sorted(chance.sample(range(30, pages - 2), 2))
    for page in damaged:
        _overwrite(store_path, page * PAGE_BYTES, chance.randbytes(PAGE_BYTES))
    store = _open_damaged(store_path, expect_log)
    recovered = _texts(store)
    assert recovered <= ALL_TEXTS
    # Some 11 messages stand on a page of 4 KiB.
    assert len(ALL_TEXTS - recovered) <= 2 * 13
    assert len(store.conversations.list()) == CHATS
    _assert_usable(store, store_path)


def test_a_file_cut_in_the_middle_keeps_all_that_is_left_in_it(store_path: Path, expect_log: Callable[[str], None]) -> None:
    _fill(store_path)
    whole_bytes = store_path.stat().st_size // 2 // PAGE_BYTES * PAGE_BYTES
    left = store_path.read_bytes()[:whole_bytes]
    with store_path.open("r+b") as file:
        file.truncate(whole_bytes + 100)
    store = _open_damaged(store_path, expect_log)
    recovered = _texts(store)
    assert recovered == {text for text in ALL_TEXTS if text.encode() in left}
    assert len(recovered) > len(ALL_TEXTS) // 4
    _assert_usable(store, store_path)


@pytest.mark.parametrize("content", [b"x", b"no database at all\n" * 1000, random.Random(1).randbytes(50_000)])
def test_a_file_that_never_was_a_database_is_kept_and_replaced(
    store_path: Path, expect_log: Callable[[str], None], content: bytes,
) -> None:
    store_path.write_bytes(content)
    store = _open_damaged(store_path, expect_log)
    assert store.conversations.list() == ()
    _assert_usable(store, store_path)


def test_messages_whose_chat_was_lost_get_a_chat_again(store_path: Path, expect_log: Callable[[str], None]) -> None:
    store = open_store(store_path)
    chat = store.conversations.create("lost")
    store.conversations.add_message(chat.id, Role.USER, "kept")
    store.conversations.add_message(chat.id, Role.ASSISTANT, "answer", MessageState.STREAMING)
    root = store._connection.read("SELECT rootpage FROM sqlite_master WHERE name = 'conversations'")[0][0]
    store.close()
    _overwrite(store_path, (root - 1) * PAGE_BYTES, b"\xff" * PAGE_BYTES)
    store = _open_damaged(store_path, expect_log)
    (found,) = store.conversations.list()
    assert found.title == "Recovered chat"
    assert [(message.text, message.state) for message in store.conversations.messages(found.id)] == [
        ("kept", MessageState.DONE), ("answer", MessageState.INTERRUPTED)]
    _assert_usable(store, store_path)


def test_every_table_is_recovered(store_path: Path) -> None:
    store = open_store(store_path)
    rows = store._connection.read("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    assert {row["name"] for row in rows} == {*TABLES, "migrations"}
    store.close()


def test_an_empty_file_is_a_new_store(store_path: Path) -> None:
    store_path.touch()
    store = open_store(store_path)
    assert store.notice is None
    assert store.conversations.list() == ()
    store.close()


def test_two_damages_in_one_second_keep_both_files(store_path: Path, expect_log: Callable[[str], None]) -> None:
    expect_log("the store was damaged .* recovered: ")
    for content in (b"first garbage", b"second garbage"):
        store_path.write_bytes(content)
        open_store(store_path, clock=lambda: 0.0).close()
    kept = {file.read_bytes() for file in store_path.parent.glob("localai.damaged-19700101-000000*.sqlite3")}
    assert kept == {b"first garbage", b"second garbage"}


def test_a_recovery_that_fails_leaves_the_damaged_file_for_the_next_try(
    store_path: Path, expect_log: Callable[[str], None],
) -> None:
    _fill(store_path)
    _overwrite(store_path, 0, b"\0" * 100)
    damaged = store_path.read_bytes()
    in_the_way = store_path.with_name("localai.recovered.sqlite3")
    in_the_way.mkdir()
    with pytest.raises(AppError) as unavailable:
        open_store(store_path)
    assert unavailable.value.code == "store_unavailable"
    assert store_path.read_bytes() == damaged
    assert list(store_path.parent.glob("*.damaged-*")) == []
    in_the_way.rmdir()
    store = _open_damaged(store_path, expect_log)
    assert _texts(store) == ALL_TEXTS
    store.close()

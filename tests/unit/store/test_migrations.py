"""Older files are brought up to date with a backup; newer ones are left alone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from localai_app.errors import AppError
from localai_app.store.database import open_store
from localai_app.store.migrations import MIGRATIONS, Migration
from localai_app.store.records import Role


def _add_stars(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE conversations ADD COLUMN stars INTEGER NOT NULL DEFAULT 0")
    connection.execute("UPDATE conversations SET stars = length(title)")


STARS = Migration("stars", _add_stars)
NEXT_VERSION = (*MIGRATIONS, STARS)
NAMES = [migration.name for migration in MIGRATIONS]


def _older_file(path: Path) -> None:
    store = open_store(path)
    chat = store.conversations.create("Old chat")
    store.conversations.add_message(chat.id, Role.USER, "old text")
    store.library.link("/models/linked.gguf")
    store.downloads.add(repo_id="owner/repo", commit="c", label="Q8_0", files=(("a.gguf", 1, None),))
    store.close()


def _column(path: Path, sql: str) -> list[object]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute(sql)]


def _backups(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.glob("*.before-*"))


def test_an_older_file_keeps_everything_and_is_copied_first(store_path: Path) -> None:
    _older_file(store_path)
    store = open_store(store_path, migrations=NEXT_VERSION)
    (chat,) = store.conversations.list()
    assert [message.text for message in store.conversations.messages(chat.id)] == ["old text"]
    assert [linked.path for linked in store.library.linked()] == ["/models/linked.gguf"]
    assert [download.repo_id for download in store.downloads.list()] == ["owner/repo"]
    store.close()
    assert _column(store_path, "SELECT stars FROM conversations") == [len("Old chat")]
    assert _column(store_path, "SELECT name FROM migrations ORDER BY position") == [*NAMES, "stars"]

    backup = store_path.with_name("localai.before-stars.sqlite3")
    assert _backups(store_path) == [backup.name]
    assert _column(backup, "SELECT title FROM conversations") == ["Old chat"]
    assert _column(backup, "SELECT name FROM migrations ORDER BY position") == NAMES


def test_a_new_file_and_one_that_is_up_to_date_are_not_copied(store_path: Path) -> None:
    for _ in range(2):
        open_store(store_path, migrations=NEXT_VERSION).close()
    assert _backups(store_path) == []
    assert _column(store_path, "SELECT name FROM migrations ORDER BY position") == [*NAMES, "stars"]


def test_the_backup_is_a_store_of_the_old_version(store_path: Path) -> None:
    _older_file(store_path)
    open_store(store_path, migrations=NEXT_VERSION).close()
    backup = store_path.with_name("localai.before-stars.sqlite3")
    store = open_store(backup)
    assert store.notice is None
    assert [chat.title for chat in store.conversations.list()] == ["Old chat"]
    store.close()


def test_only_the_last_three_backups_are_kept(store_path: Path) -> None:
    open_store(store_path).close()
    steps = list(MIGRATIONS)
    for number in range(5):
        steps.append(Migration(f"step-{number}", lambda _connection: None))
        open_store(store_path, migrations=steps).close()
    assert _backups(store_path) == [f"localai.before-step-{number}.sqlite3" for number in (2, 3, 4)]


def test_a_step_that_fails_leaves_the_file_as_it_was(store_path: Path) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        _add_stars(connection)
        connection.execute("INSERT INTO no_such_table VALUES (1)")

    _older_file(store_path)
    with pytest.raises(sqlite3.OperationalError, match="no_such_table"):
        open_store(store_path, migrations=(*MIGRATIONS, Migration("broken", fail)))
    assert _column(store_path, "SELECT name FROM migrations ORDER BY position") == NAMES
    assert "stars" not in _column(store_path, "SELECT name FROM pragma_table_info('conversations')")
    store = open_store(store_path)
    assert [chat.title for chat in store.conversations.list()] == ["Old chat"]
    store.close()


def test_a_file_of_a_newer_version_is_refused_and_not_touched(store_path: Path) -> None:
    _older_file(store_path)
    open_store(store_path, migrations=NEXT_VERSION).close()
    before = {file.name: file.read_bytes() for file in store_path.parent.iterdir()}
    with pytest.raises(AppError) as refused:
        open_store(store_path)
    assert refused.value.code == "store_newer"
    assert {file.name: file.read_bytes() for file in store_path.parent.iterdir()} == before


def test_a_file_of_the_first_version_learns_how_models_are_loaded(store_path: Path) -> None:
    store = open_store(store_path, migrations=MIGRATIONS[:1])
    store.conversations.create("Old chat")
    store.close()
    store = open_store(store_path)
    assert store.load_settings.get("a/b:Q8_0") is None
    store.load_settings.set("a/b:Q8_0", '{"ctx":4096}')
    store.load_settings.set("a/b:Q8_0", '{"ctx":2048}')
    store.load_settings.set("other", "{}")
    store.close()
    store = open_store(store_path)
    assert store.load_settings.get("a/b:Q8_0") == '{"ctx":2048}'
    store.load_settings.remove("a/b:Q8_0")
    assert (store.load_settings.get("a/b:Q8_0"), store.load_settings.get("other")) == (None, "{}")
    assert [chat.title for chat in store.conversations.list()] == ["Old chat"]
    store.close()
    assert _backups(store_path) == [f"localai.before-{MIGRATIONS[1].name}.sqlite3"]

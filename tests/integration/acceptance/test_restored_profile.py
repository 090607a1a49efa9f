"""An older profile is copied over one of a newer version: everything in it is there again, and its store was copied first."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from localai_app.errors import AppError
from localai_app.gui.theme import DARK
from localai_app.services.load_settings import LoadSettings
from localai_app.store.database import open_store
from localai_app.store.migrations import MIGRATIONS, Migration
from localai_app.store.records import MessageState, Role
from tests.helpers.gguf_files import write_tiny_gguf
from tests.helpers.real_window import open_window, wait_for
from tests.helpers.services_fixture import TINY_KEY, install_tiny_model, open_services


def _add_stars(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE conversations ADD COLUMN stars INTEGER NOT NULL DEFAULT 0")


NEXT_VERSION = (*MIGRATIONS, Migration("stars", _add_stars))
OLD_SETTINGS = {"theme": "dark", "proxy": "http://127.0.0.1:3128", "context_tokens": 4096, "temperature": 0.3}
"""In the form that the very first settings files had: no version, the values at the top."""


@pytest.fixture
def next_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program as it will be after the next change of its schema."""
    defaults = open_store.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "migrations", NEXT_VERSION)


def older_profile(folder: Path, linked: Path) -> Path:
    """Everything that a person has after a while with this version."""
    install_tiny_model(folder)
    with open_services(folder) as services:
        services.library.link(linked)
        services.load_settings.set(TINY_KEY, LoadSettings(ctx=1024))
        chat = services.chat.create()
        services.chat.rename(chat.id, "Holiday plans")
        services.store.conversations.add_message(chat.id, Role.USER, "Where to?", MessageState.DONE)
        services.store.conversations.add_message(chat.id, Role.ASSISTANT, "To the sea.", MessageState.DONE)
    (folder / "settings.json").write_text(json.dumps(OLD_SETTINGS), encoding="utf-8")
    return folder


def columns(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {row[0] for row in connection.execute("SELECT name FROM pragma_table_info('conversations')")}


def test_an_older_profile_over_a_newer_one(tmp_path: Path, offline: None, next_version: None, qapp, qtbot) -> None:
    linked = write_tiny_gguf(tmp_path / "elsewhere" / "own-Q8_0.gguf")
    with pytest.MonkeyPatch.context() as of_this_version:
        of_this_version.setitem(open_store.__kwdefaults__, "migrations", MIGRATIONS)  # type: ignore[arg-type]
        backup_of_user = older_profile(tmp_path / "backup", linked)
    data_dir = tmp_path / "data"
    with open_services(data_dir) as newer:
        newer.chat.create()
        newer.settings.set("theme", "light")
    assert "stars" in columns(data_dir / "localai.sqlite3")

    shutil.copytree(backup_of_user, data_dir, dirs_exist_ok=True)
    with open_window(data_dir, is_started=False) as run:
        services = run.services
        assert services.store.notice is None
        assert services.settings.notice is None
        (chat,) = services.chat.conversations()
        assert [message.text for message in services.chat.messages(chat.id)] == ["Where to?", "To the sea."]
        assert {model.key for model in services.library.models()} == {TINY_KEY, str(linked)}
        assert {key: services.settings.get(key) for key in OLD_SETTINGS} == OLD_SETTINGS
        assert services.load_settings.get(TINY_KEY) == LoadSettings(ctx=1024)
        assert run.window.theme.palette is DARK
        run.window.page("chat").open_conversation(chat.id)
        wait_for(qtbot, lambda: "To the sea." in run.texts())
        assert "Holiday plans" in run.texts()
        assert run.window.toasts.toasts == ()

    assert "stars" in columns(data_dir / "localai.sqlite3")
    copied_before = data_dir / "localai.before-stars.sqlite3"
    assert "stars" not in columns(copied_before)
    with closing(sqlite3.connect(copied_before)) as connection:
        assert connection.execute("SELECT title FROM conversations").fetchall() == [("Holiday plans",)]


def test_a_newer_profile_under_this_version_is_refused_in_words_and_kept(tmp_path: Path, next_version: None) -> None:
    with open_services(tmp_path) as newer:
        newer.chat.create()
    before = (tmp_path / "localai.sqlite3").read_bytes()
    with pytest.MonkeyPatch.context() as of_this_version:
        of_this_version.setitem(open_store.__kwdefaults__, "migrations", MIGRATIONS)  # type: ignore[arg-type]
        with pytest.raises(AppError, match=r"by a newer version of Local AI\. Update Local AI"), open_services(tmp_path):
            pass
    assert (tmp_path / "localai.sqlite3").read_bytes() == before

"""The steps from an empty file to today's schema, in order. A new step is a new function at the end of `MIGRATIONS`."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from localai_app.errors import STORE_NEWER, AppError
from localai_app.store.connection import immediate_transaction

KEPT_BACKUPS = 3


@dataclass(frozen=True, slots=True)
class Migration:
    """One step. `name` is remembered in the file and must never change; `apply` runs inside a transaction."""

    name: str
    apply: Callable[[sqlite3.Connection], None]


def _create_schema(connection: sqlite3.Connection) -> None:
    for statement in (
        """CREATE TABLE conversations (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            title TEXT NOT NULL,
            model_key TEXT NOT NULL DEFAULT '',
            created_s REAL NOT NULL,
            updated_s REAL NOT NULL,
            deleted_s REAL)""",
        "CREATE INDEX conversations_by_time ON conversations (updated_s DESC, id DESC)",
        """CREATE TABLE messages (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            conversation_id INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
            role TEXT NOT NULL,
            text TEXT NOT NULL,
            state TEXT NOT NULL,
            created_s REAL NOT NULL,
            model_key TEXT NOT NULL DEFAULT '',
            stats TEXT,
            error TEXT NOT NULL DEFAULT '',
            writer TEXT NOT NULL DEFAULT '')""",
        "CREATE INDEX messages_by_conversation ON messages (conversation_id, id)",
        "CREATE INDEX messages_streaming ON messages (state) WHERE state = 'streaming'",
        """CREATE TABLE downloads (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            repo_id TEXT NOT NULL,
            revision TEXT NOT NULL,
            label TEXT NOT NULL,
            files TEXT NOT NULL,
            state TEXT NOT NULL,
            done_bytes INTEGER NOT NULL DEFAULT 0,
            error TEXT NOT NULL DEFAULT '',
            created_s REAL NOT NULL)""",
        "CREATE TABLE linked_models (path PRIMARY KEY NOT NULL, added_s REAL NOT NULL)",
        """CREATE TABLE model_uses (
            model_key TEXT PRIMARY KEY NOT NULL,
            last_used_s REAL NOT NULL,
            tps REAL,
            prompt_tps REAL)""",
        "CREATE TABLE facts (name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL)",
    ):
        connection.execute(statement)


def _add_load_settings(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE load_settings (model_key TEXT PRIMARY KEY NOT NULL, json TEXT NOT NULL)")


def _add_measurements(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE measurements ("
        "id INTEGER PRIMARY KEY AUTOINCREMENT, measured_s REAL NOT NULL, model_key TEXT NOT NULL, json TEXT NOT NULL)")


def _add_chat_settings(connection: sqlite3.Connection) -> None:
    for statement in (
        "CREATE TABLE chat_settings ("
        "conversation_id INTEGER PRIMARY KEY REFERENCES conversations (id) ON DELETE CASCADE, json TEXT NOT NULL)",
        "CREATE TABLE model_sampling (model_key TEXT PRIMARY KEY NOT NULL, json TEXT NOT NULL)",
        "CREATE TABLE sampling_presets (name TEXT PRIMARY KEY NOT NULL, json TEXT NOT NULL)",
    ):
        connection.execute(statement)


def _add_benchmarks(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE benchmarks ("
        "id INTEGER PRIMARY KEY AUTOINCREMENT, measured_s REAL NOT NULL, model_key TEXT NOT NULL, json TEXT NOT NULL)")


def _add_answer_cuts(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE messages ADD COLUMN cut TEXT")


def _add_message_parts(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE messages ADD COLUMN thinking TEXT")
    connection.execute("ALTER TABLE messages ADD COLUMN tool_calls TEXT NOT NULL DEFAULT ''")


def _add_tuning(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE tuning (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, json TEXT NOT NULL)")


def _add_comparisons(connection: sqlite3.Connection) -> None:
    for statement in (
        """CREATE TABLE comparisons (
            id INTEGER PRIMARY KEY AUTOINCREMENT, created_s REAL NOT NULL, state TEXT NOT NULL, title TEXT NOT NULL,
            searched TEXT NOT NULL, json TEXT NOT NULL)""",
        """CREATE TABLE comparison_runs (
            comparison_id INTEGER NOT NULL REFERENCES comparisons (id) ON DELETE CASCADE, contestant INTEGER NOT NULL,
            json TEXT NOT NULL, PRIMARY KEY (comparison_id, contestant))""",
        """CREATE TABLE comparison_answers (
            comparison_id INTEGER NOT NULL REFERENCES comparisons (id) ON DELETE CASCADE, contestant INTEGER NOT NULL,
            prompt INTEGER NOT NULL, repeat INTEGER NOT NULL, json TEXT NOT NULL,
            PRIMARY KEY (comparison_id, contestant, prompt, repeat))""",
        """CREATE TABLE comparison_votes (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            comparison_id INTEGER NOT NULL REFERENCES comparisons (id) ON DELETE CASCADE, prompt INTEGER NOT NULL,
            repeat INTEGER NOT NULL, judge TEXT NOT NULL, json TEXT NOT NULL)""",
        "CREATE INDEX comparison_votes_by_comparison ON comparison_votes (comparison_id, id)",
        "CREATE TABLE prompt_sets (name TEXT PRIMARY KEY NOT NULL, json TEXT NOT NULL)",
        "CREATE TABLE losses (id INTEGER PRIMARY KEY AUTOINCREMENT, measured_s REAL NOT NULL, json TEXT NOT NULL)",
    ):
        connection.execute(statement)


MIGRATIONS: tuple[Migration, ...] = (
    Migration("schema", _create_schema),
    Migration("load_settings", _add_load_settings),
    Migration("measurements", _add_measurements),
    Migration("chat_settings", _add_chat_settings),
    Migration("benchmarks", _add_benchmarks),
    Migration("answer_cuts", _add_answer_cuts),
    Migration("message_parts", _add_message_parts),
    Migration("tuning", _add_tuning),
    Migration("comparisons", _add_comparisons),
)


def applied_names(connection: sqlite3.Connection) -> tuple[str, ...]:
    """The steps that a file has behind it, in their order; empty for a new file."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'migrations'").fetchone() is None:
        return ()
    return tuple(row[0] for row in connection.execute("SELECT name FROM migrations ORDER BY position"))


def refuse_newer(connection: sqlite3.Connection, migrations: Sequence[Migration]) -> None:
    """Raise STORE_NEWER for a file with steps that this version does not know; reads only."""
    known = {migration.name for migration in migrations}
    unknown = [name for name in applied_names(connection) if name not in known]
    if unknown:
        raise AppError(STORE_NEWER, detail=f"unknown steps: {', '.join(unknown)}")


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration]) -> None:
    """Apply the steps that are missing, each in a transaction; an existing file is copied beside itself first."""
    done = applied_names(connection)
    pending = [migration for migration in migrations if migration.name not in done]
    if not pending:
        return
    if done:
        back_up(connection, path.with_name(f"{path.stem}.before-{pending[0].name}{path.suffix}"))
        _forget_old_backups(path)
    for migration in pending:
        _apply(connection, migration)


def back_up(connection: sqlite3.Connection, target: Path) -> None:
    """Copy the database as it is now, the write-ahead log included, to `target`, which is complete or not there."""
    unfinished = target.with_name(target.name + ".part")
    unfinished.unlink(missing_ok=True)
    copy = sqlite3.connect(unfinished)
    try:
        connection.backup(copy)
    except BaseException:
        copy.close()
        unfinished.unlink(missing_ok=True)
        raise
    copy.close()
    unfinished.replace(target)


def _apply(connection: sqlite3.Connection, migration: Migration) -> None:
    with immediate_transaction(connection):
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations "
            "(position INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, applied_s REAL NOT NULL)")
        # Another process may have applied it between the first look and the lock.
        if migration.name not in applied_names(connection):
            migration.apply(connection)
            connection.execute("INSERT INTO migrations (name, applied_s) VALUES (?, ?)", (migration.name, time.time()))


def _forget_old_backups(path: Path) -> None:
    backups = sorted(
        path.parent.glob(f"{path.stem}.before-*{path.suffix}"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
    for old in backups[KEPT_BACKUPS:]:
        old.unlink(missing_ok=True)

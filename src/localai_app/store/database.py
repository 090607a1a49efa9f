"""The file behind the store: opened, checked, recovered and brought up to date."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from localai_app.errors import STORE_DAMAGED, AppError
from localai_app.store.benchmarks import BenchmarkStore
from localai_app.store.chat_settings import ChatSettingsStore
from localai_app.store.comparisons import ComparisonStore
from localai_app.store.connection import DAMAGED, StoreConnection, errors_in_words, primary_code
from localai_app.store.conversations import ConversationStore
from localai_app.store.downloads import DownloadStore
from localai_app.store.library import LibraryStore
from localai_app.store.load_settings import LoadSettingsStore
from localai_app.store.measurements import MeasurementStore
from localai_app.store.migrations import MIGRATIONS, Migration, migrate, refuse_newer
from localai_app.store.prompt_sets import LossStore, PromptSetStore
from localai_app.store.recovery import find_damage, is_torso, move_aside, remove_database, salvage
from localai_app.store.text import FOLDED_CONTAINS, folded_contains
from localai_app.store.tuning import TuningStore

log = logging.getLogger(__name__)

Clock = Callable[[], float]


class Store:
    """Chats, downloads and library in one SQLite file; usable from every thread."""

    def __init__(self, connection: StoreConnection, notice: AppError | None, clock: Clock) -> None:
        self._connection = connection
        self.notice = notice
        """What the user should know about opening (STORE_DAMAGED after a recovery), or None."""
        self.conversations = ConversationStore(connection, clock)
        self.downloads = DownloadStore(connection, clock)
        self.library = LibraryStore(connection, clock)
        self.load_settings = LoadSettingsStore(connection)
        self.measurements = MeasurementStore(connection)
        self.tuning = TuningStore(connection)
        self.chat_settings = ChatSettingsStore(connection)
        self.benchmarks = BenchmarkStore(connection)
        self.comparisons = ComparisonStore(connection, clock)
        self.prompt_sets = PromptSetStore(connection)
        self.losses = LossStore(connection, clock)

    def close(self) -> None:
        """Write everything into the main file and let go of it; a second call does nothing."""
        self._connection.close()


def open_store(
    path: Path, *, busy_timeout_s: float = 5.0, clock: Clock = time.time, migrations: Sequence[Migration] = MIGRATIONS,
) -> Store:
    """Open or create the store. A damaged file is moved aside, what can be read of it is copied, and `notice` says so.

    AppError STORE_NEWER: written by a newer version, left as it is. STORE_BUSY: another program held it
    for `busy_timeout_s`. STORE_UNAVAILABLE: folder missing and not to be made, no space, no permission.
    """
    with errors_in_words(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            connection, notice = _open(path, busy_timeout_s, migrations), None
        except _DamagedError as damage:
            notice = _recover(path, str(damage), clock, migrations)
            connection = _open(path, busy_timeout_s, migrations)
    store = Store(StoreConnection(connection, path), notice, clock)
    try:
        store.conversations.interrupt_streaming()
        store.conversations.purge_deleted()
    except BaseException:
        store.close()
        raise
    return store


def _recover(path: Path, damage: str, clock: Clock, migrations: Sequence[Migration]) -> AppError:
    """Put a new file with all readable rows in the place of a damaged one, which is kept; returns what to tell the user.

    The damaged file stays in its place until the new one is complete, so that a failure here can be repeated.
    """
    fresh = path.with_name(f"{path.stem}.recovered{path.suffix}")
    remove_database(fresh)
    try:
        with closing(_open(fresh, 0.0, migrations)) as connection:
            recovered = salvage(path, connection)
        backup = move_aside(path, datetime.fromtimestamp(clock(), UTC).strftime("%Y%m%d-%H%M%S"))
        fresh.replace(path)
    except BaseException:
        remove_database(fresh)
        raise
    log.warning("the store was damaged (%s); %s; kept as %s", damage, recovered.words, backup.name)
    return AppError(STORE_DAMAGED, detail=f"{damage}; {recovered.words}", backup=backup.name)


def _open(path: Path, busy_timeout_s: float, migrations: Sequence[Migration]) -> sqlite3.Connection:
    """A checked connection at today's schema; `_DamagedError` where the file cannot be trusted."""
    if is_torso(path):
        raise _DamagedError("the file ends in its first page")
    connection = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False)
    try:
        connection.row_factory = sqlite3.Row
        connection.create_function(FOLDED_CONTAINS, 2, folded_contains, deterministic=True)
        refuse_newer(connection, migrations)
        damage = find_damage(connection)
        if damage:
            raise _DamagedError(damage)
        connection.execute("PRAGMA journal_mode = WAL")
        # FULL: an answer that was stored survives a power cut, not only a crash of the program.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        migrate(connection, path, migrations)
    except sqlite3.DatabaseError as error:
        connection.close()
        if primary_code(error) in DAMAGED:
            raise _DamagedError(str(error)) from error
        raise
    except BaseException:
        connection.close()
        raise
    return connection


class _DamagedError(Exception):
    """The file is not sound; the reason is SQLite's own."""

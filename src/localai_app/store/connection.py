"""One SQLite connection for all threads, with errors in words."""

from __future__ import annotations

import errno
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from localai_app.errors import STORE_BUSY, STORE_UNAVAILABLE, AppError

BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
REASONS = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "it cannot be written to",
    sqlite3.SQLITE_PERM: "access is denied",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened or created",
    sqlite3.SQLITE_IOERR: "reading or writing failed, perhaps because the disk is full",
    sqlite3.SQLITE_CORRUPT: "it is damaged; start Local AI again to recover what can be read",
    sqlite3.SQLITE_NOTADB: "it is damaged; start Local AI again to recover what can be read",
}
"""Primary result codes of SQLite in words."""

DISK_FULL_NUMBERS = (errno.ENOSPC, errno.EDQUOT) if hasattr(errno, "EDQUOT") else (errno.ENOSPC,)

Value = str | bytes | int | float | None


class StoreConnection:
    """Reads and transactions one at a time, from any thread. SQLite's errors come out as `AppError`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._lock = threading.RLock()

    def read(self, sql: str, parameters: Sequence[Value] = ()) -> list[Any]:
        """All rows of a query (`sqlite3.Row`)."""
        with self._lock, errors_in_words(self._path):
            return self._connection.execute(sql, parameters).fetchall()

    def read_one(self, sql: str, parameters: Sequence[Value] = ()) -> Any | None:
        """The first row of a query, or None."""
        rows = self.read(sql, parameters)
        return rows[0] if rows else None

    def write(self, sql: str, parameters: Sequence[Value] = ()) -> int:
        """One change in a transaction of its own; the id of the row that an INSERT made."""
        with self.transaction():
            return self._connection.execute(sql, parameters).lastrowid or 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Several changes together: all are kept, or none where anything in the block fails. May be nested."""
        with self._lock, errors_in_words(self._path):
            if self._connection.in_transaction:
                yield
                return
            with immediate_transaction(self._connection):
                yield

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        with self._lock:
            self._connection.close()


@contextmanager
def immediate_transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction that takes the write lock at its beginning, so that it cannot fail for it in the middle."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's result code without its details; 0 where the error does not come from SQLite itself."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


@contextmanager
def errors_in_words(path: Path) -> Iterator[None]:
    """Turn what can go wrong with the file into `AppError`; mistakes in the program pass through as they are."""
    try:
        yield
    except sqlite3.Error as error:
        code = primary_code(error)
        if code in BUSY:
            raise AppError(STORE_BUSY, detail=str(error)) from error
        if code in REASONS:
            raise AppError(STORE_UNAVAILABLE, detail=str(error), folder=path.parent, reason=REASONS[code]) from error
        raise
    except OSError as error:
        reason = REASONS[sqlite3.SQLITE_FULL] if error.errno in DISK_FULL_NUMBERS else (error.strerror or str(error)).lower()
        raise AppError(STORE_UNAVAILABLE, detail=str(error), folder=path.parent, reason=reason) from error

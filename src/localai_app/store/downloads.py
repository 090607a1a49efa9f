"""Downloads that are not finished."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from localai_app.store.connection import StoreConnection, Value
from localai_app.store.records import DownloadRecord, DownloadState
from localai_app.store.text import storable

log = logging.getLogger(__name__)

COLUMNS = "id, repo_id, revision, label, files, state, done_bytes, error, created_s"
DownloadFiles = tuple[tuple[str, int, str | None], ...]


class DownloadStore:
    """What is to be gone on with at the next start. Downloads that were active when the program died stay active."""

    def __init__(self, connection: StoreConnection, clock: Callable[[], float]) -> None:
        self._connection = connection
        self._clock = clock

    def add(
        self, repo_id: str, commit: str, label: str, files: DownloadFiles, *, state: DownloadState = DownloadState.ACTIVE,
    ) -> DownloadRecord:
        """Remember a new download; `files` are (path in the repository, size in bytes, sha256)."""
        now_s = self._clock()
        row_id = self._connection.write(
            "INSERT INTO downloads (repo_id, revision, label, files, state, created_s) VALUES (?, ?, ?, ?, ?, ?)",
            (storable(repo_id), storable(commit), storable(label), storable(msgspec.json.encode(files).decode()), state.value,
             now_s))
        return DownloadRecord(
            id=row_id, repo_id=repo_id, commit=commit, label=label, files=files, state=state, done_bytes=0, error="",
            created_s=now_s)

    def list(self) -> tuple[DownloadRecord, ...]:
        """All of them, oldest first. A row whose list of files cannot be read is left out."""
        records = (_record(row) for row in self._connection.read(f"SELECT {COLUMNS} FROM downloads ORDER BY id"))
        return tuple(record for record in records if record is not None)

    def get(self, download_id: int) -> DownloadRecord | None:
        """One download; None where there is none."""
        row = self._connection.read_one(f"SELECT {COLUMNS} FROM downloads WHERE id = ?", (download_id,))
        return None if row is None else _record(row)

    def update(
        self, download_id: int, *, state: DownloadState | None = None, done_bytes: int | None = None, error: str | None = None,
    ) -> None:
        """Change what is given and leave the rest."""
        changes: dict[str, Value] = {
            "state": None if state is None else state.value, "done_bytes": done_bytes,
            "error": None if error is None else storable(error)}
        given = {column: value for column, value in changes.items() if value is not None}
        if given:
            assignments = ", ".join(f"{column} = ?" for column in given)
            self._connection.write(f"UPDATE downloads SET {assignments} WHERE id = ?", (*given.values(), download_id))

    def remove(self, download_id: int) -> None:
        """Forget a download that is finished or given up."""
        self._connection.write("DELETE FROM downloads WHERE id = ?", (download_id,))


def _record(row: Any) -> DownloadRecord | None:
    try:
        files = msgspec.json.decode(row["files"], type=DownloadFiles)
        state = DownloadState(row["state"])
    except (msgspec.MsgspecError, ValueError):
        log.warning("the download %s of %s cannot be read", row["id"], row["repo_id"])
        return None
    return DownloadRecord(
        id=row["id"], repo_id=row["repo_id"], commit=row["revision"], label=row["label"], files=files, state=state,
        done_bytes=row["done_bytes"], error=row["error"], created_s=row["created_s"])

"""What to do with a damaged file: keep it, and copy every row that can still be read into a new one."""

from __future__ import annotations

import shutil
import sqlite3
import struct
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from localai_app.store.connection import immediate_transaction

TABLES = ("conversations", "messages", "downloads", "linked_models", "model_uses", "facts", "load_settings", "measurements",
          "chat_settings", "model_sampling", "sampling_presets", "tuning", "benchmarks", "comparisons", "comparison_runs",
          "comparison_answers", "comparison_votes", "prompt_sets", "losses")
"""In the order in which rows refer to earlier ones."""
PAGE_BYTES = 4096
"""SQLite's default, which the store uses."""
HEADER_BYTES = 100
PAGE_COUNT_OFFSET = 28
MIN_PAGE_BYTES = 512
MAGIC = b"SQLite format 3\0"
TABLE_PAGE_KINDS = (0x05, 0x0D)
"""First byte of a page of a table's tree: inner page, leaf."""
SIDE_SUFFIXES = ("", "-wal", "-shm")
MAX_ROWID = 2**63 - 1
FARTHEST_JUMP = 2**20
"""How far beyond the last readable row others are looked for where the end of a table is damaged."""


@dataclass(frozen=True, slots=True)
class Salvage:
    """How much was read from a damaged file."""

    rows: dict[str, int]

    @property
    def words(self) -> str:
        """For the log and the details of the message."""
        return "recovered: " + ", ".join(f"{count} {table.replace('_', ' ')}" for table, count in self.rows.items())


def is_torso(path: Path) -> bool:
    """Whether a file ends before a first page could: SQLite would take it for an empty one and write over it."""
    return path.is_file() and 0 < path.stat().st_size < MIN_PAGE_BYTES


def find_damage(connection: sqlite3.Connection) -> str:
    """What SQLite's quick check complains about; empty for a sound file."""
    problems = [str(row[0]) for row in connection.execute("PRAGMA quick_check(5)")]
    return "" if problems == ["ok"] else "; ".join(problems)


def move_aside(path: Path, stamp: str) -> Path:
    """Rename a file and its write-ahead log to a name that no other file has; returns the new one."""
    backup = path.with_name(f"{path.stem}.damaged-{stamp}{path.suffix}")
    number = 1
    while backup.exists():
        number += 1
        backup = path.with_name(f"{path.stem}.damaged-{stamp}-{number}{path.suffix}")
    for suffix in SIDE_SUFFIXES:
        side = Path(f"{path}{suffix}")
        if side.exists():
            side.replace(f"{backup}{suffix}")
    return backup


def remove_database(path: Path) -> None:
    """Remove a file of ours with what belongs to it, as far as it is there."""
    for suffix in SIDE_SUFFIXES:
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def salvage(damaged: Path, target: sqlite3.Connection) -> Salvage:
    """Copy every readable row of `damaged`, which stays as it is, into the fresh database behind `target`."""
    rows = dict.fromkeys(TABLES, 0)
    with tempfile.TemporaryDirectory(prefix="recover-", dir=damaged.parent) as folder:
        copy = Path(folder) / "copy.sqlite3"
        # The -shm file is only an index of the log; SQLite makes a sound one.
        for suffix in ("", "-wal"):
            if Path(f"{damaged}{suffix}").exists():
                shutil.copyfile(f"{damaged}{suffix}", f"{copy}{suffix}")
        _mend_header(copy)
        with closing(sqlite3.connect(copy)) as source:
            source.text_factory = lambda raw: raw.decode("utf-8", "replace")
            for table in TABLES:
                rows[table] = _copy_table(source, target, table)
    with immediate_transaction(target):
        _adopt_orphans(target)
    return Salvage(rows)


def _copy_table(source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> int:
    """Copy the rows of one table; the number of rows that arrived."""
    wanted = {row[1] for row in target.execute(f"PRAGMA table_info({table})")}
    try:
        columns = [row[1] for row in source.execute(f"PRAGMA table_info({table})") if row[1] in wanted]
    except sqlite3.Error:
        return 0
    if not columns:
        return 0
    insert = f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    copied = 0
    target.execute("PRAGMA foreign_keys = OFF")
    with immediate_transaction(target):
        for row in _readable_rows(source, table, columns):
            try:
                copied += target.execute(insert, row).rowcount
            except sqlite3.IntegrityError:
                # A value that the schema forbids is damage as well.
                continue
    target.execute("PRAGMA foreign_keys = ON")
    return copied


def _readable_rows(source: sqlite3.Connection, table: str, columns: Sequence[str]) -> Iterator[tuple[object, ...]]:
    """Rows from the front up to the damage, then from the back down to it, then those between two damaged places."""
    select = f"SELECT rowid, {', '.join(columns)} FROM {table} WHERE rowid > ? AND rowid < ? ORDER BY rowid"
    low, high = 0, MAX_ROWID
    for rowid, *row in _until_damage(source, select, (low, high)):
        low = rowid
        yield tuple(row)
    for rowid, *row in _until_damage(source, f"{select} DESC", (low, high)):
        high = rowid
        yield tuple(row)
    if high == MAX_ROWID:
        high = low + FARTHEST_JUMP
    yield from _rows_between(source, select, low, high)


def _rows_between(source: sqlite3.Connection, select: str, low: int, high: int) -> Iterator[tuple[object, ...]]:
    """Rows with ids between two damaged ones. The step over the damage doubles until a sound page comes."""
    step = 1
    start = low + 1
    while start < high:
        reached = start
        for rowid, *row in _until_damage(source, select, (start, high)):
            reached = rowid
            yield tuple(row)
        if reached == start:
            start, step = start + step, step * 2
            continue
        # The last step may have been too far: what it passed is read backwards.
        for _, *row in _until_damage(source, f"{select} DESC", (low, start + 1)):
            yield tuple(row)
        low, start, step = reached, reached + 1, 1


def _until_damage(source: sqlite3.Connection, sql: str, parameters: tuple[int, int]) -> Iterator[tuple[int, ...]]:
    """Rows until SQLite refuses to go on, or until their ids are out of order or bounds, which no sound page holds."""
    low, high = parameters
    is_descending = sql.endswith("DESC")
    try:
        for row in source.execute(sql, parameters):
            if not low < row[0] < high:
                return
            low, high = (low, row[0]) if is_descending else (row[0], high)
            yield row
    except sqlite3.Error:
        return


def _adopt_orphans(target: sqlite3.Connection) -> None:
    """Messages whose chat was lost get a chat again, and values that no version writes are made harmless."""
    target.execute(
        """INSERT INTO conversations (id, title, created_s, updated_s)
           SELECT conversation_id, 'Recovered chat', MIN(created_s), MAX(created_s) FROM messages
           WHERE conversation_id NOT IN (SELECT id FROM conversations) GROUP BY conversation_id""")
    target.execute("DELETE FROM messages WHERE role NOT IN ('system', 'user', 'assistant') OR typeof(text) != 'text'")
    target.execute(
        "UPDATE messages SET state = 'interrupted' WHERE state NOT IN ('streaming', 'done', 'stopped', 'interrupted')")
    target.execute("DELETE FROM downloads WHERE state NOT IN ('active', 'paused', 'failed') OR NOT json_valid(files)")


def _mend_header(copy: Path) -> None:
    """Make a header sound that hides sound pages: damaged itself, or with more pages than a file that was cut off.

    Layout: SQLite's file format documentation, section 1.3; every field that counts has a known value in our files.
    """
    pages = -(-copy.stat().st_size // PAGE_BYTES)
    with copy.open("r+b") as file:
        header = file.read(HEADER_BYTES)
        schema_page_kind = file.read(1)
        if not schema_page_kind or schema_page_kind[0] not in TABLE_PAGE_KINDS:
            return
        file.truncate(pages * PAGE_BYTES)
        if _is_plausible(header):
            file.seek(PAGE_COUNT_OFFSET)
            file.write(struct.pack(">I", pages))
            return
        file.seek(0)
        file.write(struct.pack(">16sH6B4I", MAGIC, PAGE_BYTES, 2, 2, 0, 64, 32, 32, 1, pages, 0, 0))
        file.write(struct.pack(">8I20x2I", 1, 4, 0, 0, 1, 0, 0, 0, 1, sqlite3.sqlite_version_info[0] * 1_000_000))


def _is_plausible(header: bytes) -> bool:
    page_bytes, write_version, read_version, reserved, *fractions = struct.unpack(">H6B", header[16:24])
    return (
        header.startswith(MAGIC) and page_bytes == PAGE_BYTES and write_version in (1, 2) and read_version in (1, 2)
        and reserved == 0 and fractions == [64, 32, 32])

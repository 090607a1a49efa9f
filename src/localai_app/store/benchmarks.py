"""Benchmarks of installed models, with everything that decided their speed: the newest few hundred."""

from __future__ import annotations

import logging

import msgspec

from localai_app.store.connection import StoreConnection
from localai_app.store.records import BenchmarkRecord
from localai_app.store.text import storable

log = logging.getLogger(__name__)

KEPT_BENCHMARKS = 300


class BenchmarkStore:
    """The part of the store with one row for each benchmark."""

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection

    def add(self, record: BenchmarkRecord) -> None:
        """Keep one more, and as many of the newest as are kept."""
        record = msgspec.structs.replace(
            record, model_key=storable(record.model_key), model_name=storable(record.model_name))
        with self._connection.transaction():
            self._connection.write(
                "INSERT INTO benchmarks (measured_s, model_key, json) VALUES (?, ?, ?)",
                (record.time_s, record.model_key, msgspec.json.encode(record).decode()))
            self._connection.write(
                "DELETE FROM benchmarks WHERE id NOT IN (SELECT id FROM benchmarks ORDER BY id DESC LIMIT ?)",
                (KEPT_BENCHMARKS,))

    def list(self, model_key: str | None = None) -> tuple[BenchmarkRecord, ...]:
        """Those of one model, or all of them, newest first; rows that cannot be read are left out."""
        if model_key is None:
            rows = self._connection.read("SELECT json FROM benchmarks ORDER BY id DESC")
        else:
            rows = self._connection.read(
                "SELECT json FROM benchmarks WHERE model_key = ? ORDER BY id DESC", (storable(model_key),))
        found = []
        for row in rows:
            try:
                found.append(msgspec.json.decode(row["json"], type=BenchmarkRecord))
            except (msgspec.MsgspecError, UnicodeError) as error:
                log.info("a benchmark cannot be read and is left out: %s", error)
        return tuple(found)

    def forget(self, model_key: str) -> None:
        """Forget those of one model."""
        self._connection.write("DELETE FROM benchmarks WHERE model_key = ?", (storable(model_key),))

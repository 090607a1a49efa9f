"""Model files added in place, what is remembered of models, and facts measured on this computer."""

from __future__ import annotations

import os
from collections.abc import Callable

from localai_app.store.connection import StoreConnection
from localai_app.store.records import LinkedModel, ModelUse
from localai_app.store.text import storable


class LibraryStore:
    """The library's part of the store."""

    def __init__(self, connection: StoreConnection, clock: Callable[[], float]) -> None:
        self._connection = connection
        self._clock = clock

    def link(self, path: str | os.PathLike[str]) -> LinkedModel:
        """Remember a model file where it is; a second time changes nothing."""
        self._connection.write(
            "INSERT OR IGNORE INTO linked_models (path, added_s) VALUES (?, ?)", (_path_value(path), self._clock()))
        row = self._connection.read_one("SELECT path, added_s FROM linked_models WHERE path = ?", (_path_value(path),))
        return LinkedModel(path=os.fspath(path), added_s=self._clock() if row is None else row["added_s"])

    def unlink(self, path: str | os.PathLike[str]) -> None:
        """Forget a linked file; the file itself is not touched."""
        self._connection.write("DELETE FROM linked_models WHERE path = ?", (_path_value(path),))

    def linked(self) -> tuple[LinkedModel, ...]:
        """All linked files in the order in which they were added."""
        rows = self._connection.read("SELECT path, added_s FROM linked_models ORDER BY added_s, rowid")
        return tuple(LinkedModel(path=os.fsdecode(row["path"]), added_s=row["added_s"]) for row in rows)

    def note_use(self, model_key: str, tps: float | None = None, prompt_tps: float | None = None) -> None:
        """Remember that a model was used now, and its speeds in tokens per second where they were measured."""
        self._connection.write(
            "INSERT INTO model_uses (model_key, last_used_s, tps, prompt_tps) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (model_key) DO UPDATE SET last_used_s = excluded.last_used_s, "
            "tps = COALESCE(excluded.tps, tps), prompt_tps = COALESCE(excluded.prompt_tps, prompt_tps)",
            (storable(model_key), self._clock(), tps, prompt_tps))

    def uses(self) -> tuple[ModelUse, ...]:
        """What is remembered of each model, the one used last first."""
        rows = self._connection.read(
            "SELECT model_key, last_used_s, tps, prompt_tps FROM model_uses ORDER BY last_used_s DESC, model_key")
        return tuple(
            ModelUse(model_key=row["model_key"], last_used_s=row["last_used_s"], tps=row["tps"], prompt_tps=row["prompt_tps"])
            for row in rows)

    def get_fact(self, name: str) -> str | None:
        """A fact measured earlier, such as the bandwidth of main memory; None where there is none."""
        row = self._connection.read_one("SELECT value FROM facts WHERE name = ?", (storable(name),))
        return None if row is None else str(row["value"])

    def set_fact(self, name: str, value: str) -> None:
        """Remember a measured fact, in place of an earlier one of that name."""
        self._connection.write(
            "INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (storable(name), storable(value)))


def _path_value(path: str | os.PathLike[str]) -> str | bytes:
    """A path as text, or as its bytes where a file name is no text in the system's encoding."""
    text = os.fspath(path)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return os.fsencode(text)
    return text

"""What was found out on this computer about how models run fastest, as JSON whose meaning is that of the services."""

from __future__ import annotations

from localai_app.store.connection import StoreConnection
from localai_app.store.text import storable

KEPT_FINDINGS = 500


class TuningStore:
    """The part of the store with one row for each thing that was found out, by a name that holds all it depends on."""

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection

    def get(self, name: str) -> str | None:
        """What was found out; None where nothing was."""
        row = self._connection.read_one("SELECT json FROM tuning WHERE name = ?", (storable(name),))
        return None if row is None else str(row["json"])

    def set(self, name: str, json: str) -> None:
        """Keep this in place of anything earlier, and as many of the newest as are kept."""
        with self._connection.transaction():
            self._connection.write("DELETE FROM tuning WHERE name = ?", (storable(name),))
            self._connection.write("INSERT INTO tuning (name, json) VALUES (?, ?)", (storable(name), storable(json)))
            self._connection.write(
                "DELETE FROM tuning WHERE id NOT IN (SELECT id FROM tuning ORDER BY id DESC LIMIT ?)", (KEPT_FINDINGS,))

    def remove(self, name: str) -> None:
        """Forget it."""
        self._connection.write("DELETE FROM tuning WHERE name = ?", (storable(name),))

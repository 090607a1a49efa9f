"""The user's own prompt sets and measured losses of quantization, as JSON whose meaning is that of the services."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from localai_app.store.connection import StoreConnection
from localai_app.store.text import storable

KEPT_LOSSES = 500


class PromptSetStore:
    """The part of the store with one row for each prompt set."""

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection

    def set(self, name: str, json: str) -> None:
        """Keep a set, in place of one of the same name."""
        self._connection.write(
            "INSERT OR REPLACE INTO prompt_sets (name, json) VALUES (?, ?)", (storable(name), storable(json)))

    def remove(self, name: str) -> None:
        """Forget a set."""
        self._connection.write("DELETE FROM prompt_sets WHERE name = ?", (storable(name),))

    def list(self) -> tuple[str, ...]:
        """All of them, by name."""
        return tuple(str(row["json"]) for row in self._connection.read("SELECT json FROM prompt_sets ORDER BY name"))


@dataclass(frozen=True, slots=True)
class LossRow:
    """One measured loss."""

    id: int
    measured_s: float
    json: str


class LossStore:
    """The part of the store with one row for each variant that was measured against a reference."""

    def __init__(self, connection: StoreConnection, clock: Callable[[], float]) -> None:
        self._connection = connection
        self._clock = clock

    def add(self, json: str) -> None:
        """Keep one more, and as many of the newest as are kept."""
        with self._connection.transaction():
            self._connection.write("INSERT INTO losses (measured_s, json) VALUES (?, ?)", (self._clock(), storable(json)))
            self._connection.write(
                "DELETE FROM losses WHERE id NOT IN (SELECT id FROM losses ORDER BY id DESC LIMIT ?)", (KEPT_LOSSES,))

    def list(self) -> tuple[LossRow, ...]:
        """All of them, newest first."""
        rows = self._connection.read("SELECT id, measured_s, json FROM losses ORDER BY id DESC")
        return tuple(LossRow(**dict(row)) for row in rows)

    def remove(self, loss_id: int) -> None:
        """Forget one."""
        self._connection.write("DELETE FROM losses WHERE id = ?", (loss_id,))

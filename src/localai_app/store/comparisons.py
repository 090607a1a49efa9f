"""Comparisons of models, as JSON whose meaning is that of the services.

A finished answer is a row of its own, written once: what was finished before a crash is never asked again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from localai_app.store.connection import StoreConnection
from localai_app.store.text import FOLDED_CONTAINS, storable


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """The head of a comparison. `json`: everything but runs, answers and votes."""

    id: int
    created_s: float
    state: str
    title: str
    json: str
    n_answers: int
    n_votes: int


_HEAD = """SELECT id, created_s, state, title, json,
    (SELECT count(*) FROM comparison_answers WHERE comparison_id = comparisons.id) AS n_answers,
    (SELECT count(*) FROM comparison_votes WHERE comparison_id = comparisons.id) AS n_votes FROM comparisons"""


class ComparisonStore:
    """The part of the store with everything about comparing. AppError where it cannot be read or written."""

    def __init__(self, connection: StoreConnection, clock: Callable[[], float]) -> None:
        self._connection = connection
        self._clock = clock

    def add(self, title: str, state: str, json: str, *, searched: str) -> ComparisonRow:
        """Begin a comparison. `searched`: the text in which a search finds it."""
        created_s = self._clock()
        with self._connection.transaction():
            self._connection.write(
                "INSERT INTO comparisons (created_s, state, title, searched, json) VALUES (?, ?, ?, ?, ?)",
                (created_s, state, storable(title), storable(searched), storable(json)))
            row = self._connection.read_one("SELECT last_insert_rowid() AS id")
        assert row is not None
        return ComparisonRow(int(row["id"]), created_s, state, title, json, 0, 0)

    def set_state(self, comparison_id: int, state: str) -> None:
        """How far it is."""
        self._connection.write("UPDATE comparisons SET state = ? WHERE id = ?", (state, comparison_id))

    def set_head(self, comparison_id: int, json: str) -> None:
        """Replace what is kept beside runs, answers and votes."""
        self._connection.write("UPDATE comparisons SET json = ? WHERE id = ?", (storable(json), comparison_id))

    def get(self, comparison_id: int) -> ComparisonRow | None:
        """The head of one."""
        row = self._connection.read_one(f"{_HEAD} WHERE id = ?", (comparison_id,))
        return None if row is None else ComparisonRow(**dict(row))

    def list(self, search: str = "") -> tuple[ComparisonRow, ...]:
        """Newest first; with `search` those in whose prompts, names or answers it is found, in any case."""
        if not search.strip():
            rows = self._connection.read(f"{_HEAD} ORDER BY id DESC")
        else:
            wanted = storable(search.strip()).casefold()
            rows = self._connection.read(
                f"{_HEAD} WHERE {FOLDED_CONTAINS}(searched, ?) OR id IN ("
                "SELECT comparison_id FROM comparison_answers "
                f"WHERE {FOLDED_CONTAINS}(coalesce(json_extract(json, '$.text'), ''), ?)) ORDER BY id DESC",
                (wanted, wanted))
        return tuple(ComparisonRow(**dict(row)) for row in rows)

    def delete(self, comparison_id: int) -> None:
        """Remove a comparison with all that belongs to it."""
        self._connection.write("DELETE FROM comparisons WHERE id = ?", (comparison_id,))

    def set_run(self, comparison_id: int, contestant: int, json: str) -> None:
        """How a contestant was loaded; replaces an earlier load."""
        self._connection.write(
            "INSERT OR REPLACE INTO comparison_runs (comparison_id, contestant, json) VALUES (?, ?, ?)",
            (comparison_id, contestant, storable(json)))

    def runs(self, comparison_id: int) -> tuple[str, ...]:
        """Loads, by the contestants' places."""
        rows = self._connection.read(
            "SELECT json FROM comparison_runs WHERE comparison_id = ? ORDER BY contestant", (comparison_id,))
        return tuple(str(row["json"]) for row in rows)

    def add_answer(self, comparison_id: int, key: tuple[int, int, int], json: str) -> None:
        """Keep a finished cell (contestant, prompt, repeat); replaces what a rerun repeats."""
        self._connection.write(
            "INSERT OR REPLACE INTO comparison_answers (comparison_id, contestant, prompt, repeat, json) "
            "VALUES (?, ?, ?, ?, ?)",
            (comparison_id, *key, storable(json)))

    def remove_answers(self, comparison_id: int, contestant: int) -> None:
        """Forget a contestant's answers, before they are asked again."""
        self._connection.write(
            "DELETE FROM comparison_answers WHERE comparison_id = ? AND contestant = ?", (comparison_id, contestant))

    def answers(self, comparison_id: int) -> tuple[str, ...]:
        """Finished cells, by prompt, repeat and contestant."""
        rows = self._connection.read(
            "SELECT json FROM comparison_answers WHERE comparison_id = ? ORDER BY prompt, repeat, contestant", (comparison_id,))
        return tuple(str(row["json"]) for row in rows)

    def set_vote(self, comparison_id: int, prompt: int, repeat: int, judge: str, json: str) -> None:
        """Keep a judgement; replaces an earlier one of the same judge on the same answers."""
        with self._connection.transaction():
            self.remove_vote(comparison_id, prompt, repeat, judge)
            self._connection.write(
                "INSERT INTO comparison_votes (comparison_id, prompt, repeat, judge, json) VALUES (?, ?, ?, ?, ?)",
                (comparison_id, prompt, repeat, storable(judge), storable(json)))

    def remove_vote(self, comparison_id: int, prompt: int, repeat: int, judge: str) -> None:
        """Take a judgement back."""
        self._connection.write(
            "DELETE FROM comparison_votes WHERE comparison_id = ? AND prompt = ? AND repeat = ? AND judge = ?",
            (comparison_id, prompt, repeat, storable(judge)))

    def votes(self, comparison_id: int) -> tuple[str, ...]:
        """Judgements in the order in which they were given."""
        rows = self._connection.read("SELECT json FROM comparison_votes WHERE comparison_id = ? ORDER BY id", (comparison_id,))
        return tuple(str(row["json"]) for row in rows)

"""Comparisons of models, as JSON whose meaning is that of the services.

A finished answer is a row of its own, written once: what was finished before a crash is never asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from localai_app.store.connection import StoreConnection
from localai_app.store.text import contains_clause, search_words, storable


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
    n_voted_rounds: int = 0
    """Prompts times repeats whose answers a person judged."""


@dataclass(frozen=True, slots=True)
class ComparisonContents:
    """What belongs to a comparison beside its head: JSON with its place."""

    runs: Sequence[tuple[int, str]] = ()
    answers: Sequence[tuple[tuple[int, int, int], str]] = ()
    votes: Sequence[tuple[int, int, str, str]] = ()
    """Prompt, repeat, judge and the vote."""


_HEAD = """SELECT id, created_s, state, title, json,
    (SELECT count(*) FROM comparison_answers WHERE comparison_id = comparisons.id) AS n_answers,
    (SELECT count(*) FROM comparison_votes WHERE comparison_id = comparisons.id) AS n_votes,
    (SELECT count(*) FROM (SELECT DISTINCT prompt, repeat FROM comparison_votes
        WHERE comparison_id = comparisons.id AND judge = '')) AS n_voted_rounds FROM comparisons"""
_ANSWER_TEXT = "CASE WHEN json_valid(json) THEN coalesce(json_extract(json, '$.text'), '') ELSE '' END"
"""What a search looks at of an answer: neither its figures nor an error, which may name a model of a blind comparison."""


class ComparisonStore:
    """The part of the store with everything about comparing. AppError where it cannot be read or written."""

    def __init__(self, connection: StoreConnection, clock: Callable[[], float]) -> None:
        self._connection = connection
        self._clock = clock

    def add(self, title: str, state: str, json: str, *, searched: str) -> ComparisonRow:
        """Begin a comparison. `searched`: the text in which a search finds it."""
        row = ComparisonRow(0, self._clock(), state, title, json, 0, 0)
        return replace(row, id=self.restore(row, ComparisonContents(), searched=searched, keeps_id=False))

    def restore(self, row: ComparisonRow, contents: ComparisonContents, *, searched: str, keeps_id: bool) -> int:
        """Keep one that began at another time, all of it or nothing; its number, its own where `keeps_id` and that is free."""
        with self._connection.transaction():
            wanted_id = row.id if keeps_id and self.get(row.id) is None else None
            self._connection.write(
                "INSERT INTO comparisons (id, created_s, state, title, searched, json) VALUES (?, ?, ?, ?, ?, ?)",
                (wanted_id, row.created_s, row.state, storable(row.title), storable(searched), storable(row.json)))
            inserted = self._connection.read_one("SELECT last_insert_rowid() AS id")
            assert inserted is not None
            comparison_id = int(inserted["id"])
            for contestant, json in contents.runs:
                self.set_run(comparison_id, contestant, json)
            for key, json in contents.answers:
                self.add_answer(comparison_id, key, json)
            for prompt, repeat, judge, json in contents.votes:
                self.set_vote(comparison_id, prompt, repeat, judge, json)
        return comparison_id

    def set_searched(self, comparison_id: int, searched: str) -> None:
        """Have a search find it in another text, as when names may be told."""
        self._connection.write("UPDATE comparisons SET searched = ? WHERE id = ?", (storable(searched), comparison_id))

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
        """Newest first; with `search` those in whose prompts, names or answers each of its words is found in any case."""
        conditions, parameters = [], list[str]()
        for word in search_words(search):
            head, answer = contains_clause("searched", word), contains_clause(_ANSWER_TEXT, word)
            conditions.append(
                f"({head.sql} OR id IN (SELECT comparison_id FROM comparison_answers WHERE {answer.sql}))")
            parameters += [head.parameter, answer.parameter]
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        rows = self._connection.read(f"{_HEAD}{where} ORDER BY id DESC", tuple(parameters))
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

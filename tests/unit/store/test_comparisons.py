"""Comparisons in the store: found by words of prompts, names and answers, and restored as they were."""

from __future__ import annotations

import pytest

from localai_app.store.comparisons import ComparisonContents, ComparisonRow
from localai_app.store.database import Store


def ids(store: Store, search: str) -> list[int]:
    return [row.id for row in store.comparisons.list(search)]


@pytest.mark.parametrize(("search", "expected"), [
    ("", [2, 1]), ("HEAT", [1]), ("pump heat", [1]), ("réseau", [2]), ("RÉSEAU", [2]), ("glacier", [1]), ("GLACIER heat", [1]),
    ("glacier réseau", []), ("tps", []), ("hidden", []), ("100%", []), ("%", [])])
def test_each_word_is_looked_for_in_any_case_and_only_in_what_people_wrote(
    store: Store, search: str, expected: list[int],
) -> None:
    store.comparisons.add("one", "done", "{}", searched="How does a heat pump work?")
    store.comparisons.add("two", "done", "{}", searched="Le réseau")
    store.comparisons.add_answer(1, (0, 0, 0), '{"text":"Ask a\\nGlacier.","tps":3.5,"error":"Hidden could not be loaded"}')
    store.comparisons.add_answer(1, (1, 0, 0), "not json")
    assert ids(store, search) == expected


def test_rounds_that_a_person_voted_on_are_counted_once(store: Store) -> None:
    store.comparisons.add("one", "done", "{}", searched="")
    for prompt, repeat, judge in ((0, 0, ""), (0, 0, "a judge"), (0, 1, "a judge"), (1, 0, ""), (1, 0, "")):
        store.comparisons.set_vote(1, prompt, repeat, judge, "{}")
    row = store.comparisons.get(1)
    assert row is not None
    assert (row.n_votes, row.n_voted_rounds) == (4, 2)


def test_a_deleted_one_comes_back_under_its_number_and_an_imported_one_gets_its_own(store: Store) -> None:
    contents = ComparisonContents(
        runs=[(0, "{}"), (1, '{"a":1}')], answers=[((0, 0, 0), '{"text":"x"}'), ((1, 0, 0), "{}")], votes=[(0, 0, "", "{}")])
    row = ComparisonRow(5, 12.5, "cancelled", "title", '{"spec":1}', 0, 0)
    assert store.comparisons.restore(row, contents, searched="words", keeps_id=True) == 5
    assert store.comparisons.restore(row, contents, searched="words", keeps_id=True) == 6
    assert store.comparisons.restore(row, contents, searched="words", keeps_id=False) == 7
    kept = store.comparisons.get(5)
    assert kept == ComparisonRow(5, 12.5, "cancelled", "title", '{"spec":1}', 2, 1, 1)
    assert store.comparisons.runs(6) == ("{}", '{"a":1}')
    assert store.comparisons.answers(6) == ('{"text":"x"}', "{}")
    store.comparisons.set_searched(6, "other")
    assert ids(store, "other") == [6]


def test_a_comparison_that_cannot_be_restored_whole_is_not_restored(store: Store) -> None:
    contents = ComparisonContents(runs=[(0, "{}"), (1, None)])  # type: ignore[list-item]
    with pytest.raises(Exception, match=r"NoneType|NOT NULL|None"):
        store.comparisons.restore(ComparisonRow(1, 1.0, "done", "", "{}", 0, 0), contents, searched="", keeps_id=False)
    assert store.comparisons.list() == ()

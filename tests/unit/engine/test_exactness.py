"""When several rows count as calculated like one."""

from __future__ import annotations

from localai_app.engine.worker.exactness import EQUAL_ROWS, NARROW_DRAFT, Exactness


def compare(exactness: Exactness, length: int, *results: bool) -> None:
    for token, is_equal in enumerate(results):
        exactness.note(length, token, is_equal=is_equal)


def test_enough_equal_rows_make_a_length_exact() -> None:
    exactness = Exactness(8)
    compare(exactness, 8, *[True] * (EQUAL_ROWS - 1))
    assert (exactness.length, exactness.length_to_compare) == (0, 8)
    exactness.note(8, EQUAL_ROWS, is_equal=True)
    assert (exactness.length, exactness.length_to_compare) == (8, 0)


def test_the_same_token_again_and_again_proves_nothing() -> None:
    exactness = Exactness(8)
    for _ in range(5 * EQUAL_ROWS):
        exactness.note(8, 7, is_equal=True)
    assert exactness.length == 0


def test_one_row_that_differs_leads_to_the_narrow_draft_and_another_to_none() -> None:
    exactness = Exactness(8)
    compare(exactness, 8, True, True, True, False)
    assert (exactness.length, exactness.length_to_compare) == (0, NARROW_DRAFT)
    compare(exactness, NARROW_DRAFT, True, False)
    assert (exactness.length, exactness.length_to_compare) == (0, 0)
    compare(exactness, NARROW_DRAFT, *[True] * EQUAL_ROWS)
    assert exactness.length == 0


def test_a_shorter_draft_says_nothing_of_a_longer_one() -> None:
    exactness = Exactness(8)
    compare(exactness, 3, *[True] * EQUAL_ROWS)
    assert exactness.length == 3

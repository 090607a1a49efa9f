"""The order of cells, what is left of them, and how long that takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app.compare.comparison import CellKey, ComparisonSpec, Way
from localai_app.compare.contestant import Contestant
from localai_app.compare.matrix import cells_left, cells_of, seconds_left
from localai_app.compare.prompts import Prompt


def spec(prompts: int, repeats: int) -> ComparisonSpec:
    model = Contestant(model_key="a/b:Q4_0", name="b")
    return ComparisonSpec(
        contestants=(model, model), prompts=tuple(Prompt(text=str(number)) for number in range(prompts)), repeats=repeats)


def test_every_prompt_is_asked_once_before_any_is_asked_again() -> None:
    assert cells_of(spec(2, 2), 1) == (CellKey(1, 0, 0), CellKey(1, 1, 0), CellKey(1, 0, 1), CellKey(1, 1, 1))


@given(st.integers(1, 5), st.integers(1, 4), st.sets(st.tuples(st.integers(0, 1), st.integers(0, 4), st.integers(0, 3))))
def test_what_is_left_and_what_is_finished_is_everything_once(
    prompts: int, repeats: int, done: set[tuple[int, int, int]],
) -> None:
    wish = spec(prompts, repeats)
    finished = {CellKey(*key) for key in done}
    for contestant in (0, 1):
        left, every = cells_left(wish, contestant, finished), cells_of(wish, contestant)
        assert len(every) == prompts * repeats
        assert set(left) == set(every) - finished
        assert list(left) == [key for key in every if key in set(left)], "the order stays"


def test_in_turn_all_add_up_and_side_by_side_the_slowest_counts() -> None:
    args = ([4, 10], [2.0, 1.0], [None, 5.0])
    assert seconds_left(Way.IN_TURN, *args) == pytest.approx(23.0)
    assert seconds_left(Way.SIDE_BY_SIDE, *args) == pytest.approx(15.0)


def test_one_that_was_not_seen_yet_counts_as_the_others() -> None:
    assert seconds_left(Way.IN_TURN, [1, 2], [3.0, None], [None, None]) == pytest.approx(9.0)
    assert seconds_left(Way.IN_TURN, [1, 2], [None, None], [1.0, 1.0]) is None
    assert seconds_left(Way.IN_TURN, [0, 0], [3.0, 4.0], [9.0, 9.0]) == 0.0

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app.compare.checks import CheckResult
from localai_app.compare.comparison import AnswerRecord, Comparison, ComparisonSpec, ComparisonState, Verdict, Vote
from localai_app.compare.contestant import Contestant
from localai_app.compare.prompts import Prompt
from localai_app.compare.result_rows import column_names, result_rows, score_rows, share_words
from localai_app.compare.scores import Mark, Score, mark_of, mean_tps, score_of, tags_of, wilson_interval

RIGHT, WRONG = CheckResult(passed=True), CheckResult(passed=False, words="The last number is 3; 4 was expected.")


def answer(contestant: int, prompt: int, repeat: int = 0, *checks: CheckResult, error: str = "", **kept: float) -> AnswerRecord:
    return AnswerRecord(contestant=contestant, prompt=prompt, repeat=repeat, checks=checks, error=error, **kept)


def comparison(*answers: AnswerRecord, repeats: int = 1, is_blind: bool = False, votes: tuple[Vote, ...] = ()) -> Comparison:
    spec = ComparisonSpec(
        contestants=(Contestant(model_key="a/Alpha:Q4", name="Alpha"), Contestant(model_key="b/Beta:Q4", name="Beta")),
        prompts=(Prompt(text="2 +\n2?", tag="sums"), Prompt(text="Hello", tag="talk"), Prompt(text="5 + 5?", tag="sums")),
        repeats=repeats, is_blind=is_blind, hides_speed=is_blind)
    return Comparison(id=7, created_s=0.0, state=ComparisonState.DONE, spec=spec, answers=answers, votes=votes)


def test_every_cell_has_a_mark() -> None:
    assert mark_of(None) is Mark.OPEN
    assert mark_of(answer(0, 0)) is Mark.UNCHECKED
    assert mark_of(answer(0, 0, 0, RIGHT, RIGHT)) is Mark.RIGHT
    assert mark_of(answer(0, 0, 0, RIGHT, WRONG)) is Mark.WRONG
    assert mark_of(answer(0, 0, 0, RIGHT, error="It ended.")) is Mark.FAILED


def test_a_score_counts_each_contestant_and_tag_for_itself() -> None:
    made = comparison(
        answer(0, 0, 0, RIGHT), answer(0, 1), answer(0, 2, 0, WRONG), answer(1, 0, 0, RIGHT), answer(1, 2, error="It ended."))
    score = score_of(made, 0)
    assert (score.n_right, score.n_wrong, score.n_unchecked, score.n_failed, score.share) == (1, 1, 1, 0, 0.5)
    assert score_of(made, 1).share == 1.0
    assert score_of(made, 1).n_failed == 1
    assert score_of(made, 0, "talk").share is None
    assert score_of(made, 0, "sums").n_checked == 2
    assert tags_of(made) == ("sums", "talk")


def test_repeats_of_a_prompt_do_not_narrow_the_interval() -> None:
    once = score_of(comparison(answer(0, 0, 0, RIGHT), answer(0, 2, 0, WRONG)), 0)
    repeated = score_of(comparison(
        *(answer(0, prompt, repeat, check) for prompt, check in ((0, RIGHT), (2, WRONG)) for repeat in range(5)), repeats=5), 0)
    assert (repeated.share, repeated.low, repeated.high) == (once.share, once.low, once.high)
    assert repeated.n_checked == 10


def test_intervals_are_those_of_the_formula() -> None:
    # Newcombe, Statistics in Medicine 17 (1998) 857, table I: 81 of 263 and 0 of 20.
    assert wilson_interval(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson_interval(0.0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)


@given(st.integers(1, 10_000).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
def test_an_interval_holds_its_share(case: tuple[int, int]) -> None:
    right, count = case
    low, high = wilson_interval(right / count, count)
    assert 0 <= low <= right / count + 1e-12
    assert right / count - 1e-12 <= high <= 1


def test_speeds_that_were_not_measured_are_left_out() -> None:
    assert mean_tps([answer(0, 0, tps=10.0), answer(0, 1, tps=50.0), answer(0, 2, tps=0.0)]) == 30.0
    assert mean_tps([answer(0, 0)]) is None


def test_rows_have_every_prompt_and_repeat() -> None:
    made = comparison(answer(0, 0, 1, WRONG, tokens=5, tps=12.34), answer(1, 0, 1, RIGHT), repeats=2)
    rows = result_rows(made)
    assert [(row.prompt, row.repeat) for row in rows] == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]
    assert (rows[1].title, rows[1].tag) == ("2 + 2?", "sums")
    assert [cell.words for cell in rows[1].cells] == ["wrong · 12.3", "right"]
    assert rows[1].cells[0].details == "Alpha: wrong. The last number is 3; 4 was expected."
    assert rows[0].cells[0].details == "Alpha: not answered yet"
    assert column_names(made) == ("Alpha", "Beta")


def test_sums_have_a_row_for_each_contestant() -> None:
    rows = score_rows(comparison(answer(0, 0, 0, RIGHT), answer(1, 0, 0, WRONG)))
    assert [row.name for row in rows] == ["Alpha", "Beta"]
    assert [score.share for score in rows[0].by_tag] == [1.0, None]
    assert share_words(rows[0].score) == "100% (21 to 100%)"
    assert share_words(Score()) == ""


def every_word(made: Comparison) -> str:
    cells = [part for row in result_rows(made) for cell in row.cells for part in (cell.words, cell.details)]
    return " ".join([*column_names(made), *cells, *(row.name for row in score_rows(made))])


def test_before_the_vote_no_name_and_no_speed_is_told() -> None:
    # What is not complete can still become something to vote on.
    answers = (
        answer(0, 0, 0, RIGHT, tokens=9, tps=33.3), answer(1, 0), answer(0, 1), answer(1, 2, error="The model Beta ended."))
    made = comparison(*answers, is_blind=True)
    words = every_word(made)
    assert "Answer A" in words
    assert not any(secret in words for secret in ("Alpha", "Beta", "33.3"))
    assert score_rows(made) == ()


def test_a_vote_reveals_its_row_and_the_last_one_all() -> None:
    votes = tuple(Vote(prompt=prompt, repeat=0, verdict=Verdict.TIE) for prompt in range(3))
    made = comparison(answer(0, 0, 0, RIGHT, tokens=9, tps=33.3), is_blind=True, votes=votes[:1])
    first, second, _third = result_rows(made)
    assert {cell.words for cell in first.cells} == {"Alpha: right · 33.3", "Beta"}
    assert not any("Alpha" in cell.details for cell in second.cells)
    assert column_names(made) == ("Answer A", "Answer B")
    assert score_rows(made) == ()
    revealed = msgspec.structs.replace(made, votes=votes)
    assert column_names(revealed) == ("Alpha", "Beta")
    assert [cell.words for cell in result_rows(revealed)[0].cells] == ["right · 33.3", ""]
    assert len(score_rows(revealed)) == 2

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app.compare.checks import CheckResult, ExactCheck
from localai_app.compare.comparison import (
    AnswerRecord,
    Comparison,
    ComparisonSpec,
    ComparisonState,
    ContestantRun,
    Duel,
    Verdict,
    Vote,
)
from localai_app.compare.contestant import Contestant, ContestantSettings
from localai_app.compare.leaderboard import By, Judges, Leaderboard, Share, Standing, leaderboard
from localai_app.compare.prompts import Prompt
from localai_app.engine.sampling_values import SamplingValues

BIG = Contestant(model_key="a/Big-GGUF:Q8_0", name="Big", label="Q8_0")
SMALL = Contestant(model_key="a/Big-GGUF:Q2_K", name="Big", label="Q2_K")
OTHER = Contestant(model_key="b/Other-GGUF:Q4_0", name="Other", label="Q4_0")
USUAL = SamplingValues()
COLD = SamplingValues(numbers={"temperature": 0.2})


def compared(
    *votes: Vote, contestants: tuple[Contestant, ...] = (BIG, SMALL), tags: tuple[str, ...] = ("coding",) * 40, number: int = 1,
    failed: tuple[int, ...] = (), is_blind: bool = False, sampling: SamplingValues = USUAL,
) -> Comparison:
    """A finished comparison: the contestant at place p answers with 10 (p + 1) tok/s, one answer in p + 2 is right."""
    prompts = tuple(Prompt(text=f"Question {i}", tag=tag, checks=(ExactCheck(text="4"),)) for i, tag in enumerate(tags))
    answers = tuple(
        AnswerRecord(
            contestant=place, prompt=i, repeat=0, text="4", tps=0.0 if place in failed else 10.0 * (place + 1),
            checks=() if place in failed else (CheckResult(passed=i % (place + 2) == 0),),
            error="out of memory" if place in failed else "")
        for i in range(len(prompts)) for place in range(len(contestants)))
    runs = tuple(ContestantRun(contestant=place, size_bytes=1000 * (place + 1)) for place in range(len(contestants)))
    spec = ComparisonSpec(contestants=contestants, prompts=prompts, is_blind=is_blind, sampling=sampling)
    return Comparison(
        id=number, created_s=float(number), state=ComparisonState.DONE, spec=spec, runs=runs, answers=answers, votes=votes)


def best(winner: int, prompt: int = 0, judge: str = "") -> Vote:
    return Vote(prompt=prompt, repeat=0, verdict=Verdict.BEST, winner=winner, judge=judge)


def tie(prompt: int, verdict: Verdict = Verdict.TIE) -> Vote:
    return Vote(prompt=prompt, repeat=0, verdict=verdict)


def row(board: Leaderboard, name: str) -> Standing:
    return next(found for found in board.rows if found.name == name)


def test_who_wins_clearly_stands_above() -> None:
    board = leaderboard([compared(*(best(int(i % 10 == 0), i) for i in range(40)))])
    first, second = board.rows
    assert [first.name, second.name] == ["Big Q8_0", "Big Q2_K"]
    assert [first.rank, second.rank] == [1, 2]
    assert first.strength is not None
    assert second.strength is not None
    assert first.strength.low > second.strength.high
    assert first.strength.points == pytest.approx(2000 - second.strength.points)
    assert first.words == "wins 89% against Big Q2_K"
    assert second.words == "wins 11% against Big Q8_0"
    assert [first.n_votes, first.n_wins, second.n_wins] == [40, 36, 4]
    assert not any("share" in note for note in board.notes[:-1])


def test_few_votes_share_a_place_and_say_so() -> None:
    board = leaderboard([compared(best(0, 0), best(0, 1), best(0, 2))])
    assert [found.rank for found in board.rows] == [1, 1]
    assert board.notes[0].startswith("3 votes: too few to tell.")
    assert "A place is shared where intervals overlap" in board.notes[1]


def test_ties_and_votes_that_all_are_bad_are_counted_apart_and_make_equals() -> None:
    board = leaderboard([compared(tie(0), tie(1, Verdict.BOTH_BAD), tie(2))])
    first = row(board, "Big Q8_0")
    assert (first.n_votes, first.n_wins, first.n_ties, first.n_all_bad) == (3, 0, 2, 1)
    assert first.strength is not None
    assert first.strength.points == pytest.approx(1000)


def test_a_tag_counts_alone() -> None:
    both = compared(best(0, 0), best(1, 1), best(1, 2), tags=("coding", "", "translation"))
    assert leaderboard([both]).tags == ("coding", "translation", "")
    assert leaderboard([both], tag="coding").rows[0].name == "Big Q8_0"
    translation = leaderboard([both], tag="translation")
    assert translation.rows[0].name == "Big Q2_K"
    assert translation.n_votes == 1
    assert translation.rows[0].right.n == 1
    assert leaderboard([both], tag="").n_votes == 1
    assert leaderboard([both], tag="").tags == ("coding", "translation", "")


def test_people_and_models_are_kept_apart() -> None:
    both = compared(best(0, 0), best(1, 1, judge="x"), best(1, 2, judge="y"))
    assert leaderboard([both]).rows[0].name == "Big Q8_0"
    assert leaderboard([both], judges=Judges.MODELS).rows[0].name == "Big Q2_K"
    assert leaderboard([both], judges=Judges.BOTH).n_votes == 3
    assert leaderboard([both]).n_judge_votes == 2


def test_blind_answers_count_once_a_person_voted_on_them() -> None:
    hidden = compared(best(1, 1, judge="x"), is_blind=True)
    assert leaderboard([hidden], judges=Judges.BOTH) == Leaderboard()
    seen = compared(best(1, 1, judge="x"), best(1, 2, judge="x"), best(0, 1), is_blind=True)
    board = leaderboard([seen], judges=Judges.BOTH)
    assert board.n_votes == 2
    assert {found.right.n for found in board.rows} == {1}


def test_one_winner_among_three_beats_both_and_says_nothing_of_them() -> None:
    board = leaderboard([compared(*(best(2, i) for i in range(20)), contestants=(BIG, SMALL, OTHER))])
    assert board.rows[0].name == "Other Q4_0"
    assert [found.rank for found in board.rows] == [1, 2, 2]
    assert board.rows[1].strength is not None
    assert board.rows[2].strength is not None
    assert board.rows[1].strength.points == pytest.approx(board.rows[2].strength.points)


def test_what_failed_takes_no_part_in_a_vote() -> None:
    three = (BIG, SMALL, OTHER)
    board = leaderboard([compared(*(best(0, i) for i in range(20)), contestants=three, failed=(1,))])
    assert [found.name for found in board.rows] == ["Big Q8_0", "Other Q4_0"]
    assert leaderboard([compared(best(0, 0), failed=(1,))]).n_votes == 0


def test_a_judge_model_gives_a_verdict_on_each_pair() -> None:
    duels = (Duel(first=0, second=1, winner=0), Duel(first=0, second=2, winner=2), Duel(first=1, second=2))
    votes = [Vote(prompt=i, repeat=0, verdict=Verdict.TIE, judge="x", duels=duels) for i in range(40)]
    board = leaderboard([compared(*votes, contestants=(BIG, SMALL, OTHER))], judges=Judges.MODELS)
    assert [found.name for found in board.rows] == ["Other Q4_0", "Big Q8_0", "Big Q2_K"]
    assert board.n_votes == 40
    assert board.rows[0].n_votes == 40


def test_rows_are_told_apart_by_settings_where_asked() -> None:
    cold = msgspec.structs.replace(BIG, settings=ContestantSettings(sampling=COLD))
    votes = [best(1, i) for i in range(30)]
    mixed = [compared(*votes, contestants=(BIG, cold)), compared(*votes, contestants=(BIG, OTHER), sampling=COLD, number=2)]
    by_variant = leaderboard(mixed)
    assert [found.name for found in by_variant.rows] == ["Other Q4_0", "Big Q8_0"]
    assert by_variant.n_votes == 30
    by_settings = leaderboard(mixed, by=By.SETTINGS)
    assert [found.name for found in by_settings.rows] == [
        "Other Q4_0", "Big Q8_0 · temperature 0.2", "Big Q8_0 · default temperature"]
    assert by_settings.rows[1].settings == "temperature 0.2"


def test_what_no_votes_connect_is_said() -> None:
    far = tuple(msgspec.structs.replace(OTHER, model_key=f"c/{name}", name=name, label="") for name in ("Near", "Far"))
    board = leaderboard([compared(*(best(0, i) for i in range(12))), compared(best(0, 0), contestants=far, number=2)])
    assert [found.group for found in board.rows] == [0, 0, 1, 1]
    assert board.notes[0] == (
        "No votes connect Near and Far with those above, not even through another model: their points cannot be compared.")


def test_speed_size_and_right_answers_stand_beside_the_points() -> None:
    shared = msgspec.structs.replace(compared(number=2), answers=tuple(
        msgspec.structs.replace(answer, is_shared=True, tps=3.0) for answer in compared().answers))
    board = leaderboard([shared, compared(best(0, 0), number=3)])
    small = row(board, "Big Q2_K")
    assert (small.tps, small.is_speed_shared, small.size_bytes) == (20.0, False, 2000)
    assert small.right == Share(28, 80)
    only_shared = leaderboard([shared])
    assert row(only_shared, "Big Q2_K").tps == 3.0
    assert row(only_shared, "Big Q2_K").is_speed_shared
    assert [found.rank for found in only_shared.rows] == [None, None]
    assert only_shared.notes == ()


@pytest.mark.parametrize(("n_right", "n", "low", "high"), [
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
    (81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)])
def test_wilson_intervals_are_those_in_print(n_right: int, n: int, low: float, high: float) -> None:
    assert Share(n_right, n).interval == pytest.approx((low, high), abs=5e-5)


@given(st.integers(0, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_an_interval_of_a_share_holds_the_share(counts: tuple[int, int]) -> None:
    share = Share(*counts)
    low, high = share.interval
    assert 0.0 <= low <= share.value + 1e-12
    assert share.value <= high + 1e-12 <= 1.0 + 1e-9

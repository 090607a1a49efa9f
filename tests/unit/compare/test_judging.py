from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app.compare.comparison import Duel, Verdict, Vote
from localai_app.compare.judging import (
    CUT_MARK,
    MAX_REASON_CHARS,
    VERDICT_GRAMMAR,
    Bench,
    Opinion,
    Place,
    benches_left,
    duel_of,
    is_partial,
    named_reason,
    opinion_of,
    question,
    shortened,
    vote_of,
)
from localai_app.engine.grammar import parse_grammar
from tests.helpers.judged import CONTESTANTS, judged

X, Y, TIE = Opinion(Place.FIRST), Opinion(Place.SECOND), Opinion(Place.TIE)


@pytest.mark.parametrize(("straight", "swapped", "winner"), [
    (X, Y, 3), (Y, X, 5), (X, X, None), (Y, Y, None), (TIE, TIE, None), (X, TIE, None), (TIE, Y, None), (X, None, None),
    (None, Y, None)])
def test_only_what_both_orders_say_counts(straight: Opinion | None, swapped: Opinion | None, winner: int | None) -> None:
    assert duel_of(3, 5, straight, swapped) == Duel(first=3, second=5, winner=winner)


def test_replies_are_read() -> None:
    assert opinion_of('{"reason": "It is right.", "better": "Y"}') == Opinion(Place.SECOND, "It is right.")
    assert opinion_of('```json\n{"reason": "", "better": "tie"}\n```') == TIE
    for broken in ("", "X", '{"reason": "It is', '{"reason": "", "better": "Z"}', "}{", '{"better": 1}', "[]"):
        assert opinion_of(broken) is None


@given(st.text())
def test_no_reply_breaks_the_reading(text: str) -> None:
    found = opinion_of(text)
    assert found is None or isinstance(found, Opinion)
    assert opinion_of(msgspec.json.encode(Opinion(Place.FIRST, text.encode(errors="replace").decode())).decode()) is not None


def test_the_grammar_of_a_verdict_is_safe_and_short() -> None:
    rules = parse_grammar(VERDICT_GRAMMAR).rules
    assert MAX_REASON_CHARS < len(rules) < 2 * MAX_REASON_CHARS


def test_who_wins_every_duel_is_best() -> None:
    bench = Bench(2, 1, (0, 1, 3))
    duels = [Duel(first=0, second=1, winner=1), Duel(first=0, second=3), Duel(first=1, second=3, winner=1)]
    vote = vote_of(bench, duels, "a/judge:Q8_0", "", is_blind=True)
    assert (vote.verdict, vote.winner, vote.rivals, vote.prompt, vote.repeat) == (Verdict.BEST, 1, (0, 1, 3), 2, 1)
    assert vote.duels == tuple(duels)
    circle = [Duel(first=0, second=1, winner=0), Duel(first=1, second=3, winner=1), Duel(first=0, second=3, winner=3)]
    assert vote_of(bench, circle, "j", "", is_blind=False).verdict is Verdict.TIE


def test_what_is_left_to_judge_has_two_answers_and_no_vote_of_this_judge() -> None:
    comparison = judged((0, 1, 2), 0, n_prompts=4)
    answers = tuple(
        msgspec.structs.replace(answer, error="no memory") if answer.prompt == 0 and answer.contestant < 2 else answer
        for answer in comparison.answers if (answer.contestant, answer.prompt) != (1, 1))
    votes = (Vote(prompt=2, repeat=0, verdict=Verdict.TIE, judge="j"), Vote(prompt=3, repeat=0, verdict=Verdict.TIE))
    changed = msgspec.structs.replace(comparison, answers=answers, votes=votes)
    assert benches_left(changed, "j") == (Bench(1, 0, (0, 2)), Bench(3, 0, (0, 1, 2)))
    assert len(benches_left(changed, "other")) == 3
    assert list(Bench(1, 0, (0, 2, 5)).pairs) == [(0, 2), (0, 5), (2, 5)]


def test_a_contestant_and_its_other_files_are_partial() -> None:
    comparison = judged((0, 1), 1)
    assert is_partial(comparison, CONTESTANTS[0].model_key)
    assert is_partial(comparison, "Qwen/Qwen3-14B-GGUF:Q8_0")
    assert not is_partial(comparison, CONTESTANTS[2].model_key)
    assert not is_partial(comparison, "/models/phi-4.gguf")


def test_a_judge_reads_questions_and_answers_and_no_names() -> None:
    asked = question("What is 2 + 2?", "4", "5")
    assert [asked.index(part) for part in ("What is 2 + 2?", "Answer X:", "4\n", "Answer Y:", "5\n")] == sorted(
        asked.index(part) for part in ("What is 2 + 2?", "Answer X:", "4\n", "Answer Y:", "5\n"))


@given(st.text(), st.integers(40, 300))
def test_long_answers_are_cut_in_the_middle(text: str, room: int) -> None:
    cut = shortened(text, room)
    assert len(cut) <= room
    if len(text) > room:
        before, after = cut.split(CUT_MARK, 1) if cut.count(CUT_MARK) == 1 else ("", "")
        assert text.startswith(before)
        assert text.endswith(after)
    else:
        assert cut == text


def test_reasons_speak_of_columns() -> None:
    comparison = judged((0, 1, 2), 1)
    words = named_reason(comparison, Bench(0, 0, (0, 1, 2)), (2, 0), "Answer X is right,\n while Y adds XML.")
    assert words == "Answer C is right, while Answer A adds XML."

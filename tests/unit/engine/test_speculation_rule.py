"""When drafting goes on and when it ends, from seconds that are given."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app.engine.speculation_rule import (
    CHECK_TOKENS,
    FIRST_REST_TOKENS,
    LEAST_GAIN,
    LONGEST_REST_TOKENS,
    PLAIN_TOKENS,
    ROUNDS_BETWEEN_CHECKS,
    TRIAL_ROUNDS,
    WINDOW_ROUNDS,
    SpeculationRule,
)

PLAIN_S = 0.010


def timed(rule: SpeculationRule, tokens: int, seconds: float = PLAIN_S) -> None:
    for _ in range(tokens):
        rule.note_plain(seconds)


def on_trial() -> SpeculationRule:
    rule = SpeculationRule(8)
    timed(rule, PLAIN_TOKENS)
    return rule


def rounds(rule: SpeculationRule, count: int, accepted: int, seconds: float) -> None:
    for _ in range(count):
        assert rule.may_draft
        rule.note_round(4, accepted, seconds)


def test_nothing_is_drafted_before_single_tokens_were_timed() -> None:
    rule = SpeculationRule(8)
    for _ in range(PLAIN_TOKENS):
        assert not rule.may_draft
        rule.note_plain(PLAIN_S)
    assert rule.may_draft
    assert not rule.is_on


def test_it_goes_on_only_where_the_trial_was_faster() -> None:
    rule = on_trial()
    rounds(rule, TRIAL_ROUNDS, accepted=3, seconds=0.020)
    assert rule.is_on
    assert rule.gain == pytest.approx(2.0)


@pytest.mark.parametrize(("accepted", "seconds"), [(0, 0.015), (1, 0.020), (3, 0.039)])
def test_it_ends_where_the_trial_was_not_faster_by_enough(accepted: int, seconds: float) -> None:
    rule = on_trial()
    rounds(rule, TRIAL_ROUNDS, accepted, seconds)
    assert not rule.may_draft
    assert rule.gain < LEAST_GAIN


def test_it_ends_when_the_text_stops_repeating_itself() -> None:
    rule = on_trial()
    rounds(rule, WINDOW_ROUNDS, accepted=4, seconds=0.020)
    assert rule.is_on
    count = 0
    while rule.may_draft and count < 3 * WINDOW_ROUNDS:
        rule.note_round(4, 0, 0.020)
        count += 1
    assert not rule.may_draft
    assert count <= WINDOW_ROUNDS


def test_each_trial_that_failed_doubles_the_rest() -> None:
    rule = on_trial()
    rests = []
    for _ in range(8):
        rounds(rule, TRIAL_ROUNDS, accepted=0, seconds=0.02)
        waited = 0
        while not rule.may_draft:
            rule.note_plain(PLAIN_S)
            waited += 1
        rests.append(waited)
    assert rests[:3] == [FIRST_REST_TOKENS, 2 * FIRST_REST_TOKENS, 4 * FIRST_REST_TOKENS]
    assert rests[-1] == LONGEST_REST_TOKENS


def test_single_tokens_are_timed_again_while_it_is_on() -> None:
    rule = on_trial()
    rounds(rule, ROUNDS_BETWEEN_CHECKS, accepted=4, seconds=0.020)
    assert not rule.may_draft
    timed(rule, CHECK_TOKENS)
    assert rule.is_on


def test_what_was_measured_before_decides_how_an_answer_begins() -> None:
    good, bad = SpeculationRule(8, remembered_gain=1.5), SpeculationRule(8, remembered_gain=0.9, remembered_rest_tokens=100)
    timed(good, PLAIN_TOKENS)
    timed(bad, 99)
    assert good.is_on
    assert not bad.may_draft
    timed(bad, 1)
    assert bad.may_draft
    assert not bad.is_on


def test_one_slow_token_does_not_make_drafting_look_good() -> None:
    rule = SpeculationRule(8)
    timed(rule, PLAIN_TOKENS - 1)
    timed(rule, 1, seconds=5.0)
    rounds(rule, TRIAL_ROUNDS, accepted=1, seconds=0.025)
    assert not rule.may_draft


def test_forbidden_stays_forbidden() -> None:
    rule = on_trial()
    rule.forbid()
    timed(rule, 2 * LONGEST_REST_TOKENS)
    assert not rule.may_draft


def test_drafts_grow_while_they_are_right() -> None:
    rule = on_trial()
    lengths = []
    for _ in range(4):
        lengths.append(rule.draft_length)
        rule.note_round(rule.draft_length, rule.draft_length, 0.01)
    rule.note_round(rule.draft_length, 1, 0.01)
    assert lengths == [2, 4, 8, 8]
    assert rule.draft_length == 4


@given(st.integers(1, 16), st.lists(st.tuples(st.integers(0, 16), st.floats(1e-4, 1.0)), max_size=200))
def test_lengths_stay_in_bounds_whatever_happens(longest: int, history: list[tuple[int, float]]) -> None:
    rule = SpeculationRule(longest)
    for accepted, seconds in history:
        if rule.may_draft:
            rule.note_round(rule.draft_length, min(accepted, rule.draft_length), seconds)
        else:
            rule.note_plain(seconds)
        assert 1 <= rule.draft_length <= longest
        assert rule.gain >= 0.0

from __future__ import annotations

from collections import Counter
from itertools import permutations

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from localai_app.compare.blind import HIDDEN, BlindNames
from localai_app.compare.comparison import (
    AnswerRecord,
    Comparison,
    ComparisonSpec,
    ComparisonState,
    ContestantRun,
    Verdict,
    Vote,
)
from localai_app.compare.contestant import Contestant, ContestantSettings
from localai_app.compare.names import contestant_names, settings_words
from localai_app.compare.prompts import Prompt
from localai_app.engine.sampling_values import SamplingValues

QWEN = Contestant(model_key="Qwen/Qwen3-14B-GGUF:Q4_K_M", name="Qwen3 14B", label="Q4_K_M")
GEMMA = Contestant(model_key="ggml-org/gemma-3-12b-it-GGUF:Q8_0", name="Gemma 3 12B", label="Q8_0")
PHI = Contestant(model_key="/models/phi-4.gguf", name="Phi-4")


def comparison(
    *contestants: Contestant, n_prompts: int = 2, is_blind: bool = True, hides_speed: bool = False, seed: int = 42,
    number: int = 1,
) -> Comparison:
    spec = ComparisonSpec(
        contestants=contestants or (QWEN, GEMMA, PHI), prompts=tuple(Prompt(text=f"Question {i}") for i in range(n_prompts)),
        repeats=2, seed=seed, is_blind=is_blind, hides_speed=hides_speed)
    return Comparison(id=number, created_s=0.0, state=ComparisonState.DONE, spec=spec)


def with_votes(known: Comparison, *votes: Vote) -> Comparison:
    return msgspec.structs.replace(known, votes=votes)


def test_names_stay_hidden_until_a_person_votes_on_these_answers() -> None:
    hidden = comparison()
    vote = Vote(prompt=1, repeat=0, verdict=Verdict.TIE)
    names = BlindNames(with_votes(hidden, vote))
    assert {names.name(place, 0, 0) for place in range(3)} == {"Answer A", "Answer B", "Answer C"}
    assert [names.name(place, 1, 0) for place in range(3)] == ["Qwen3 14B", "Gemma 3 12B", "Phi-4"]
    assert not names.all_revealed
    assert names.listed_name(0) is None
    assert names.lineup() == "3 contestants, hidden until the vote"
    assert [names.shows_load(0, 0), names.shows_load(1, 0), names.shows_load(1, 1)] == [False, True, False]


def test_the_letters_run_from_left_to_right() -> None:
    names = BlindNames(comparison())
    for prompt in range(2):
        for repeat in range(2):
            shown = [names.name(place, prompt, repeat) for place in names.shown_order(prompt, repeat)]
            assert shown == ["Answer A", "Answer B", "Answer C"]


def test_a_judge_model_reveals_nothing() -> None:
    vote = Vote(prompt=0, repeat=0, verdict=Verdict.BEST, winner=1, judge="some/model:Q8_0")
    names = BlindNames(with_votes(comparison(), vote))
    assert not names.is_revealed(0, 0)
    assert names.name(1, 0, 0).startswith("Answer ")


def test_where_fewer_than_two_answered_nothing_is_left_to_hide() -> None:
    cells = [
        AnswerRecord(contestant=place, prompt=0, repeat=0, text="Yes." * (place == 1), error="no" * (place != 1))
        for place in range(3)]
    names = BlindNames(msgspec.structs.replace(comparison(), answers=tuple(cells)))
    assert names.is_revealed(0, 0)
    assert not names.is_revealed(0, 1)
    assert not names.all_revealed
    unfinished = BlindNames(msgspec.structs.replace(comparison(), answers=tuple(cells[:2])))
    assert not unfinished.is_revealed(0, 0)
    two = msgspec.structs.replace(cells[0], text="No.", error="")
    assert not BlindNames(msgspec.structs.replace(comparison(), answers=(two, *cells[1:]))).is_revealed(0, 0)


def test_all_is_revealed_when_every_answer_was_judged() -> None:
    votes = [Vote(prompt=prompt, repeat=repeat, verdict=Verdict.TIE) for prompt in range(2) for repeat in range(2)]
    assert not BlindNames(with_votes(comparison(), *votes[:3])).all_revealed
    names = BlindNames(with_votes(comparison(), *votes))
    assert names.all_revealed
    assert names.lineup() == "Qwen3 14B, Gemma 3 12B and Phi-4"
    assert names.listed_name(2) == "Phi-4"


def test_a_comparison_that_is_not_blind_shows_everything_in_the_order_that_was_chosen() -> None:
    names = BlindNames(comparison(is_blind=False, hides_speed=False))
    assert names.shown_order(0, 0) == (0, 1, 2)
    assert names.name(1, 0, 0) == "Gemma 3 12B"
    assert names.all_revealed
    assert names.shows_numbers(0, 0)


def test_the_order_lasts_through_the_vote_and_differs_between_prompts_and_comparisons() -> None:
    hidden = comparison(QWEN, GEMMA, PHI, n_prompts=40)
    before = [BlindNames(hidden).shown_order(prompt, 0) for prompt in range(40)]
    voted = with_votes(hidden, *(Vote(prompt=prompt, repeat=0, verdict=Verdict.TIE) for prompt in range(40)))
    assert [BlindNames(voted).shown_order(prompt, 0) for prompt in range(40)] == before
    counts = Counter(before)
    assert set(counts) == set(permutations(range(3)))
    assert before != [BlindNames(comparison(n_prompts=40, number=2)).shown_order(prompt, 0) for prompt in range(40)]
    assert before != [BlindNames(comparison(n_prompts=40, seed=43)).shown_order(prompt, 0) for prompt in range(40)]


def test_every_place_is_as_often_in_every_column() -> None:
    firsts = Counter(BlindNames(comparison(number=number)).shown_order(0, 0)[0] for number in range(600))
    assert all(150 < firsts[place] < 250 for place in range(3))


def test_numbers_are_hidden_where_that_was_wished_and_only_until_the_vote() -> None:
    assert BlindNames(comparison()).shows_numbers(0, 0)
    hidden = comparison(hides_speed=True)
    assert not BlindNames(hidden).shows_numbers(0, 0)
    voted = with_votes(hidden, Vote(prompt=0, repeat=0, verdict=Verdict.BOTH_BAD))
    assert BlindNames(voted).shows_numbers(0, 0)
    assert not BlindNames(voted).shows_numbers(0, 1)


def test_sentences_lose_everything_that_tells_a_contestant() -> None:
    run = ContestantRun(contestant=0, sha256=("ab" * 32,), description="qwen3 14B Q4_K - Medium")
    hidden = msgspec.structs.replace(comparison(), runs=(run,))
    names = BlindNames(hidden)
    for secret in (
        "Qwen3 14B", "qwen3 14b", "Q4_K_M", "Qwen/Qwen3-14B-GGUF:Q4_K_M", "Qwen3-14B-GGUF", "phi-4.gguf", "/models/phi-4.gguf",
        "qwen3 14B Q4_K - Medium", "ab" * 32, "Phi-4",
    ):
        assert names.without_names(f"It says {secret}: no room.") == f"It says {HIDDEN}: no room."
    voted = BlindNames(with_votes(hidden, Vote(prompt=0, repeat=1, verdict=Verdict.TIE)))
    assert voted.without_names("Phi-4 failed.", 0, 1) == "Phi-4 failed."
    assert voted.without_names("Phi-4 failed.", 0, 0) == f"{HIDDEN} failed."
    assert voted.without_names("A symphony-45 failed.") == "A symphony-45 failed."


def test_the_same_model_is_told_apart_by_label_and_then_by_what_differs() -> None:
    warm = msgspec.structs.replace(QWEN, settings=ContestantSettings(sampling=SamplingValues(numbers={"temperature": 0.9})))
    cold = msgspec.structs.replace(QWEN, settings=ContestantSettings(sampling=SamplingValues(numbers={"temperature": 0.2})))
    small = msgspec.structs.replace(QWEN, model_key="Qwen/Qwen3-14B-GGUF:Q2_K", label="Q2_K")
    assert contestant_names((QWEN, small, GEMMA)) == ("Qwen3 14B Q4_K_M", "Qwen3 14B Q2_K", "Gemma 3 12B")
    assert contestant_names((warm, cold)) == ("Qwen3 14B Q4_K_M · temperature 0.9", "Qwen3 14B Q4_K_M · temperature 0.2")
    assert contestant_names((QWEN, cold, small)) == (
        "Qwen3 14B Q4_K_M · default temperature", "Qwen3 14B Q4_K_M · temperature 0.2", "Qwen3 14B Q2_K")
    assert contestant_names((QWEN, QWEN)) == ("Qwen3 14B Q4_K_M (1)", "Qwen3 14B Q4_K_M (2)")
    other = msgspec.structs.replace(QWEN, model_key="unsloth/Qwen3-14B-GGUF:Q4_K_M")
    assert contestant_names((QWEN, other)) == ("Qwen3 14B Q4_K_M (Qwen)", "Qwen3 14B Q4_K_M (unsloth)")


def test_settings_are_said_in_words() -> None:
    settings = ContestantSettings(
        system_prompt="You are a careful teacher of physics.", thinking="off", ctx=16_384,
        sampling=SamplingValues(numbers={"temperature": 0.2}, stop=("x",)))
    assert settings_words(settings) == (
        "thinking off · temperature 0.2 · own stop texts · 16k context · system prompt “You are a careful teache…”")
    assert settings_words(ContestantSettings()) == ""


SOME = st.builds(
    Contestant, model_key=st.sampled_from(("a/b:Q4", "c/b:Q4", "a/b:Q8")), name=st.sampled_from(("B", "b", "B (1)", "B Q4")),
    label=st.sampled_from(("", "Q4", "Q8")),
    settings=st.builds(ContestantSettings, thinking=st.sampled_from((None, "on", "off")), ctx=st.sampled_from((None, 4096))))


@example([Contestant(model_key="a/b", name=name) for name in ("B", "B", "B (1)", "b (2)")])
@given(st.lists(SOME, min_size=2, max_size=6))
def test_no_two_names_are_alike(contestants: list[Contestant]) -> None:
    names = contestant_names(contestants)
    assert len({name.casefold() for name in names}) == len(contestants)

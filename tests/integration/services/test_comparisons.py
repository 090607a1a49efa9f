"""Comparisons with the echo back end: run in turn and side by side, kept, asked again, judged, found, deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

from localai_app.compare.checks import ContainsCheck
from localai_app.compare.comparison import ComparisonSpec, ComparisonState, Verdict, Vote, Way
from localai_app.compare.contestant import ContestantSettings
from localai_app.compare.prompts import Prompt
from localai_app.engine.sampling_values import SamplingValues
from localai_app.errors import AppError
from localai_app.services.app_services import AppServices
from localai_app.services.events import ComparisonChanged, ComparisonProgressed, VotesChanged
from tests.helpers.comparisons import QUICK, contestants, finished, install, spec
from tests.helpers.services_fixture import EventRecorder, open_services


@pytest.fixture
def services(tmp_path: Path):
    install(tmp_path)
    with open_services(tmp_path, echo=QUICK) as opened:
        yield opened


def test_every_cell_is_answered_and_kept_with_what_it_takes_to_repeat_it(services: AppServices) -> None:
    seen = EventRecorder(services)
    prompts = (Prompt(text="One?", checks=(ContainsCheck(texts=("zebra",)),)), Prompt(text="Two?"))
    comparison_id = finished(services, spec(prompts=prompts, repeats=2, seed=7, way=Way.IN_TURN))
    kept = services.compare.comparisons.get(comparison_id)
    assert kept.state is ComparisonState.DONE
    assert kept.schedule.way is Way.IN_TURN
    assert sorted(kept.schedule.order) == [0, 1]
    assert len(kept.answers) == kept.n_cells == 8
    assert {(one.seed, one.repeat) for one in kept.answers} == {(7, 0), (8, 1)}
    assert all(one.text and one.tokens == 4 and one.tps > 0 and one.ttft_s > 0 for one in kept.answers)
    assert all(bool(one.checks) is (one.prompt == 0) for one in kept.answers)
    assert [run.contestant for run in kept.runs] == [0, 1]
    assert all(run.load_s > 0 and run.peak_bytes > 10e6 and run.engine_build == "echo (no model)" for run in kept.runs)
    assert all(len(run.sha256) == 1 and len(run.sha256[0]) == 64 for run in kept.runs)
    assert kept.hardware["cpu"]["model"]
    assert kept.app_version
    assert kept.peak_bytes > 10e6
    assert len(seen.of(ComparisonProgressed)) >= 8
    assert len(seen.of(ComparisonChanged)) >= 8
    state = services.compare.comparisons.state
    assert not state.is_running
    assert (state.n_done, state.n_total, state.error) == (8, 8, None)


def test_side_by_side_all_answer_at_once_with_a_fair_share_of_the_cores(services: AppServices) -> None:
    kept = services.compare.comparisons.get(finished(services, spec(contestants=contestants(3), way=Way.SIDE_BY_SIDE)))
    assert kept.schedule.way is Way.SIDE_BY_SIDE
    assert "their speeds are those of a shared computer" in kept.schedule.reason
    assert all(one.is_shared for one in kept.answers)
    assert len({run.threads for run in kept.runs}) == 1
    assert kept.runs[0].threads == kept.schedule.threads[0] >= 1
    assert kept.peak_bytes > 2 * max(run.peak_bytes for run in kept.runs)


def test_what_a_prompt_and_a_contestant_say_goes_before_the_comparison(tmp_path: Path) -> None:
    install(tmp_path)
    one, two = contestants()
    own = ContestantSettings(sampling=SamplingValues(numbers={"temperature": 0.0}), system_prompt="Be brief.", ctx=512)
    with open_services(tmp_path, echo=("--text", "prompt")) as services:
        services.settings.set("system_prompt", "From the settings.")
        wish = ComparisonSpec(
            contestants=(type(one)(model_key=one.model_key, name="One", settings=own), two),
            prompts=(Prompt(text="Plain?"), Prompt(text="Own?", system_prompt="")), ctx=1024, same_seed=False)
        kept = services.compare.comparisons.get(finished(services, wish))
    assert [run.ctx for run in kept.runs] == [512, 1024]
    assert [one.text.strip() for one in kept.answers] == ["Plain?", "Plain?", "Own?", "Own?"]
    lengths = {one.key[:2]: one.prompt_tokens for one in kept.answers}
    assert lengths[0, 0] != lengths[1, 0], "each has its own instructions"
    assert lengths[0, 1] == lengths[1, 1], "the prompt has none for both"
    assert len({one.seed for one in kept.answers}) == 4, "each answer has a seed of its own"


def test_a_repeat_finds_nothing_of_the_answer_before_it_in_the_cache(tmp_path: Path) -> None:
    install(tmp_path)
    prompts = (Prompt(text="word " * 400),)
    with open_services(tmp_path, echo=("--tokens", "2", "--prompt-tokens-per-s", "4000")) as services:
        kept = services.compare.comparisons.get(finished(services, spec(prompts=prompts, repeats=3)))
    assert all(one.ttft_s > 0.08 for one in kept.answers), "a prompt was not read again"
    assert all(2000 < one.prompt_tps < 6000 for one in kept.answers)


def test_one_contestant_is_asked_again_and_votes_on_it_are_forgotten(services: AppServices) -> None:
    comparisons = services.compare.comparisons
    comparison_id = finished(services, spec(contestants=contestants(3), repeats=2, same_seed=False))
    before = {one.key: one.seed for one in comparisons.get(comparison_id).answers}
    comparisons.vote(comparison_id, Vote(prompt=0, repeat=0, verdict=Verdict.BEST, winner=0))
    comparisons.vote(comparison_id, Vote(prompt=0, repeat=1, verdict=Verdict.BEST, winner=0, rivals=(0, 2)))
    comparisons.rerun(comparison_id, [1])
    assert comparisons.wait(60.0)
    kept = comparisons.get(comparison_id)
    after = {one.key: one.seed for one in kept.answers}
    assert after.keys() == before.keys()
    assert {key.contestant for key in after if after[key] != before[key]} == {1}
    assert [vote.rivals for vote in kept.votes] == [(0, 2)]


def test_votes_are_kept_replaced_and_taken_back(services: AppServices) -> None:
    seen, comparisons = EventRecorder(services), services.compare.comparisons
    comparison_id = finished(services, spec())
    comparisons.vote(comparison_id, Vote(prompt=0, repeat=0, verdict=Verdict.TIE))
    comparisons.vote(comparison_id, Vote(prompt=0, repeat=0, verdict=Verdict.BEST, winner=1))
    comparisons.vote(comparison_id, Vote(prompt=0, repeat=0, verdict=Verdict.BOTH_BAD, judge="tester/Judge:Q8_0"))
    votes = comparisons.get(comparison_id).votes
    assert [(vote.verdict, vote.winner, vote.judge) for vote in votes] == [
        (Verdict.BEST, 1, ""), (Verdict.BOTH_BAD, None, "tester/Judge:Q8_0")]
    assert all(vote.time_s > 1e9 for vote in votes)
    comparisons.remove_vote(comparison_id, 0, 0)
    assert [vote.judge for vote in comparisons.get(comparison_id).votes] == ["tester/Judge:Q8_0"]
    assert len(seen.of(VotesChanged)) == 4


def test_comparisons_are_listed_found_and_deleted(services: AppServices) -> None:
    comparisons = services.compare.comparisons
    first = finished(services, spec(prompts=(Prompt(text="About herons"),)))
    second = finished(services, spec(prompts=(Prompt(text="About Störche"),)))
    assert [row.id for row in comparisons.rows()] == [second, first]
    assert [row.title for row in comparisons.rows("STÖRCHE")] == ["About Störche"]
    said = comparisons.get(first).answers[0].text.split()[0]
    assert {row.id for row in comparisons.rows(said.upper())} == {first, second}
    assert comparisons.rows("finish_reason") == (), "found in what is kept beside the text"
    comparisons.delete(second)
    assert [row.id for row in comparisons.rows()] == [first]
    with pytest.raises(AppError, match=f"There is no comparison number {second}"):
        comparisons.get(second)


@pytest.mark.parametrize(("changes", "reason"), [
    ({"contestants": contestants(1)}, "it takes 2 to 6 contestants, not 1"),
    ({"contestants": contestants(3) * 3}, "it takes 2 to 6 contestants, not 9"),
    ({"prompts": ()}, "there is no prompt"),
    ({"prompts": (Prompt(text=" \n"),)}, "a prompt is empty"),
    ({"repeats": 0}, "every prompt has to be asked once at least"),
])
def test_what_cannot_be_compared_is_refused(services: AppServices, changes: dict[str, object], reason: str) -> None:
    for method in (services.compare.comparisons.start, services.compare.comparisons.plan):
        with pytest.raises(AppError, match=reason):
            method(spec(**changes))
    assert services.compare.comparisons.rows() == ()

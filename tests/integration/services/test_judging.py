"""A model that judges: votes of its own, in both orders, stopped and gone on with, and never on itself unasked."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from localai_app.compare.comparison import Comparison, Verdict, Vote
from localai_app.compare.leaderboard import Judges
from localai_app.compare.prompts import Prompt
from localai_app.errors import AppError
from localai_app.services.app_services import AppServices
from localai_app.services.compare.judging import DISTURBED
from localai_app.services.events import JudgingChanged, VotesChanged
from tests.helpers.judged import judged, keep
from tests.helpers.program import run_program
from tests.helpers.real_models import smollm2_path
from tests.helpers.services_fixture import TINY_KEY, EventRecorder, install_tiny_model, open_services, wait_until

WAIT_S = 60.0
ALWAYS_X = '{"reason": "It stands first.", "better": "X"}'


def undecided(n_prompts: int = 2, *, text: str = "Why?", is_blind: bool = False) -> Comparison:
    """Two contestants with answers that differ, and no votes."""
    made = judged((0, 4), 0, n_prompts=n_prompts, is_blind=is_blind)
    prompts = tuple(Prompt(text=text) for _ in range(n_prompts))
    answers = tuple(
        msgspec.structs.replace(answer, text=f"Answer of {answer.contestant}", checks=()) for answer in made.answers)
    return msgspec.structs.replace(made, spec=msgspec.structs.replace(made.spec, prompts=prompts), answers=answers)


@pytest.fixture
def services(tmp_path: Path):
    install_tiny_model(tmp_path)
    with open_services(tmp_path, echo=("--text", "prompt", "--tokens-per-s", "2000")) as opened:
        yield opened


def votes_of(services: AppServices, number: int) -> tuple[Vote, ...]:
    return services.compare.comparisons.get(number).votes


def test_a_judge_that_always_likes_the_first_decides_nothing(services: AppServices) -> None:
    """The echo says what it was asked, and the question holds a verdict for whatever is shown first."""
    number = keep(services.store, undecided(text=ALWAYS_X))
    seen = EventRecorder(services)
    services.compare.judging.start(number, TINY_KEY)
    assert services.compare.judging.wait(WAIT_S)
    state = services.compare.judging.state
    assert (state.error, state.n_done, state.n_total, state.n_split, state.n_unclear) == (None, 2, 2, 2, 0)
    assert "About 2 pairs it changed its mind when the order changed" in state.words
    votes = votes_of(services, number)
    assert [(vote.prompt, vote.verdict, vote.judge, vote.rivals) for vote in votes] == [
        (0, Verdict.TIE, TINY_KEY, (0, 1)), (1, Verdict.TIE, TINY_KEY, (0, 1))]
    assert all(len(vote.duels) == 1 and vote.time_s > 0 for vote in votes)
    assert len(seen.of(VotesChanged)) == 2
    assert len(seen.of(JudgingChanged)) >= 4
    assert services.compare.leaderboard.standings().n_votes == 0
    assert services.compare.leaderboard.standings(judges=Judges.MODELS).n_votes == 2
    with pytest.raises(AppError) as nothing:
        services.compare.judging.start(number, TINY_KEY)
    assert nothing.value.code == "nothing_to_judge"


def test_what_is_no_verdict_counts_as_a_tie_and_is_told(services: AppServices) -> None:
    number = keep(services.store, undecided(1))
    services.compare.judging.start(number, TINY_KEY)
    assert services.compare.judging.wait(WAIT_S)
    assert services.compare.judging.state.n_unclear == 1
    assert votes_of(services, number)[0].verdict is Verdict.TIE


def test_a_contestant_judges_only_where_somebody_insists(services: AppServices) -> None:
    made = undecided(1)
    itself = msgspec.structs.replace(made.spec.contestants[0], model_key=TINY_KEY, name="Tiny Chat")
    spec = msgspec.structs.replace(made.spec, contestants=(itself, made.spec.contestants[1]))
    number = keep(services.store, msgspec.structs.replace(made, spec=spec))
    with pytest.raises(AppError) as refused:
        services.compare.judging.start(number, TINY_KEY)
    assert refused.value.code == "judge_is_contestant"
    services.compare.judging.start(number, TINY_KEY, insists=True)
    assert services.compare.judging.wait(WAIT_S)
    assert len(votes_of(services, number)) == 1


def test_it_stops_keeps_its_votes_and_goes_on(tmp_path: Path) -> None:
    install_tiny_model(tmp_path)
    with open_services(tmp_path, echo=("--text", "prompt", "--tokens-per-s", "400")) as services:
        number = keep(services.store, undecided(12))
        judging = services.compare.judging
        judging.start(number, TINY_KEY)
        with pytest.raises(AppError) as busy:
            judging.start(number, TINY_KEY)
        assert busy.value.code == "judge_busy"
        wait_until(lambda: judging.state.n_done >= 1, WAIT_S)
        judging.stop()
        assert judging.wait(WAIT_S)
        done = len(votes_of(services, number))
        assert 1 <= done < 12
        assert judging.state.error is None
        judging.start(number, TINY_KEY)
        assert judging.state.n_total == 12 - done
        services.engine.load(TINY_KEY)
        assert judging.wait(WAIT_S)
        assert judging.state.note == DISTURBED
        assert DISTURBED in judging.state.words


def test_a_long_answer_is_cut_and_said_so(services: AppServices) -> None:
    made = undecided(1)
    answers = tuple(msgspec.structs.replace(answer, text=answer.text + " and so on" * 20_000) for answer in made.answers)
    number = keep(services.store, msgspec.structs.replace(made, answers=answers))
    services.compare.judging.start(number, TINY_KEY)
    assert services.compare.judging.wait(WAIT_S)
    assert services.compare.judging.state.error is None
    assert services.compare.judging.state.n_cut == 2
    assert "Of 2 long answers it saw only the beginning and the end." in services.compare.judging.state.words
    assert votes_of(services, number)[0].reason == "Only parts of long answers were judged."


@pytest.mark.model
def test_a_real_judge_gives_verdicts_from_the_command_line(tmp_path: Path) -> None:
    model = smollm2_path()
    with open_services(tmp_path) as services:
        number = keep(services.store, undecided(1, text="What is 2 + 2?", is_blind=True))
    arguments = ("judge", str(number), model, "--data-dir", tmp_path)
    document = run_program(*arguments, "--json").document
    assert (document["judged"], document["of"], document["unclear"], document["votes"]) == (1, 1, 0, [])
    with open_services(tmp_path) as services:
        (vote,) = votes_of(services, number)
    assert vote.judge
    assert vote.is_blind

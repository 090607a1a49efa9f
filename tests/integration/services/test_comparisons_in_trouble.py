"""Comparisons in which something goes wrong or somebody comes between: with the echo back end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from filelock import FileLock

from localai_app.compare.comparison import ComparisonState, Way
from localai_app.compare.contestant import Contestant
from localai_app.compare.prompts import Prompt
from localai_app.engine.launch import worker_command
from localai_app.errors import AppError
from localai_app.services.compare.file_hashes import FileHashes
from localai_app.services.compare.running_state import ContestantPhase
from localai_app.services.views import EngineStatus
from tests.helpers.comparisons import KEYS, QUICK, SLOW, WAIT_S, contestants, finished, install, spec
from tests.helpers.services_fixture import open_services, wait_until

PROMPTS = tuple(Prompt(text=f"Question {number}?") for number in range(4))


def workers() -> list[psutil.Process]:
    """Workers that this process started."""
    return [child for child in psutil.Process().children(recursive=True) if "--engine-worker" in " ".join(child.cmdline())]


def test_a_contestant_that_cannot_be_loaded_says_why_and_the_others_finish(tmp_path: Path) -> None:
    install(tmp_path)
    gone = Contestant(model_key="nobody/has-this:Q4_0", name="Gone")
    with open_services(tmp_path, echo=QUICK) as services:
        kept = services.compare.comparisons.get(finished(services, spec(contestants=(*contestants(2), gone), prompts=PROMPTS)))
        assert kept.state is ComparisonState.DONE
        assert len(kept.answers) == 12
        assert {one.contestant for one in kept.answers if one.error} == {2}
        assert all("No installed model is called nobody/has-this:Q4_0." in one.error for one in kept.answers if one.error)
        assert "No installed model" in kept.run_of(2).error
        assert services.compare.comparisons.state.phases[2] is ContestantPhase.FAILED


def test_one_that_is_larger_than_the_limit_says_so(tmp_path: Path) -> None:
    install(tmp_path)
    with open_services(tmp_path, echo=QUICK) as services:
        kept = services.compare.comparisons.get(finished(services, spec(memory_limit_bytes=1_000_000)))
        assert all("and the memory limit of comparisons is 1 MiB." in one.error for one in kept.answers)
        assert not kept.schedule.reason.startswith("Side by side")


@pytest.mark.parametrize("way", list(Way))
def test_a_worker_that_dies_is_started_once_more_and_then_the_rest_fails(tmp_path: Path, expect_log, way: Way) -> None:
    expect_log("the worker of contestant")
    install(tmp_path)
    # Each worker of this fault dies at the third token of its second answer at the latest.
    with open_services(tmp_path, echo=(*QUICK, "--fault", "exit3@3")) as services:
        comparison_id = services.compare.comparisons.start(spec(prompts=PROMPTS, way=way))
        assert services.compare.comparisons.wait(WAIT_S)
        kept = services.compare.comparisons.get(comparison_id)
    assert kept.state is ComparisonState.DONE
    assert len(kept.answers) == 8
    assert all("The engine stopped" in one.error for one in kept.answers)
    assert all("The engine stopped" in run.error for run in kept.runs)


def test_a_worker_that_dies_once_loses_no_cell(tmp_path: Path, expect_log) -> None:
    expect_log("the worker of contestant")
    install(tmp_path)
    with open_services(tmp_path, echo=("--tokens", "20", "--tokens-per-s", "100")) as services:
        comparisons = services.compare.comparisons
        comparison_id = comparisons.start(spec(prompts=PROMPTS, way=Way.IN_TURN))
        wait_until(lambda: comparisons.state.n_done == 2)
        (worker,) = workers()
        worker.kill()
        assert comparisons.wait(WAIT_S)
        kept = comparisons.get(comparison_id)
    assert len(kept.answers) == 8
    assert not any(one.error for one in kept.answers)


@pytest.mark.parametrize("way", list(Way))
def test_a_cancelled_one_keeps_what_is_finished_frees_memory_and_goes_on(tmp_path: Path, way: Way) -> None:
    install(tmp_path)
    with open_services(tmp_path, echo=("--tokens", "20", "--tokens-per-s", "100")) as services:
        comparisons = services.compare.comparisons
        comparison_id = comparisons.start(spec(prompts=PROMPTS, way=way))
        with pytest.raises(AppError, match="while another one runs"):
            comparisons.start(spec())
        wait_until(lambda: comparisons.state.n_done >= 2)
        comparisons.cancel()
        assert comparisons.wait(10.0)
        assert workers() == []
        kept = comparisons.get(comparison_id)
        assert kept.state is ComparisonState.CANCELLED
        assert 2 <= len(kept.answers) < 8
        before, reason = {one.key: one.total_s for one in kept.answers}, kept.schedule.reason
        comparisons.resume(comparison_id)
        assert comparisons.wait(WAIT_S)
        kept = comparisons.get(comparison_id)
        assert kept.state is ComparisonState.DONE
        assert len(kept.answers) == 8
        assert {one.key: one.total_s for one in kept.answers if one.key in before} == before, "a finished cell ran again"
        assert (kept.schedule.way, kept.schedule.reason) == (way, reason)
        assert kept.schedule.order == comparisons.plan(kept.spec).order


def test_the_end_of_the_program_is_no_cancellation(tmp_path: Path) -> None:
    install(tmp_path)
    with open_services(tmp_path, echo=SLOW) as services:
        comparison_id = services.compare.comparisons.start(spec())
        wait_until(lambda: ContestantPhase.ANSWERING in services.compare.comparisons.state.phases)
    with open_services(tmp_path, echo=QUICK) as services:
        comparisons = services.compare.comparisons
        assert comparisons.get(comparison_id).state is ComparisonState.RUNNING
        assert not comparisons.state.is_running, "nothing starts by itself"
        comparisons.resume(comparison_id)
        assert comparisons.wait(WAIT_S)
        assert comparisons.get(comparison_id).state is ComparisonState.DONE


def test_an_answer_in_a_chat_comes_first_and_the_comparison_goes_on_after_it(
    tmp_path: Path,
) -> None:
    install(tmp_path)
    with open_services(tmp_path, echo=("--tokens", "20", "--tokens-per-s", "100")) as services:
        comparisons = services.compare.comparisons
        comparisons._quiet_s = 0.5
        comparison_id = comparisons.start(spec(prompts=PROMPTS))
        wait_until(lambda: comparisons.state.n_done >= 1)
        chat = services.chat.create()
        services.chat.send(chat.id, "Hello", KEYS[2])
        wait_until(lambda: "It waits while" in comparisons.state.note)
        wait_until(lambda: services.chat.answering_conversation_id is None)
        assert services.chat.messages(chat.id)[-1].text
        assert not services.chat.messages(chat.id)[-1].error
        assert comparisons.wait(WAIT_S)
        assert services.engine.state.status is EngineStatus.NONE
        kept = comparisons.get(comparison_id)
        assert kept.state is ComparisonState.DONE
        assert len(kept.answers) == 8
        assert not any(one.error for one in kept.answers)


def test_it_does_not_begin_while_something_else_computes(tmp_path: Path) -> None:
    install(tmp_path)
    with open_services(tmp_path, echo=SLOW) as services:
        chat = services.chat.create()
        services.chat.send(chat.id, "Hello", KEYS[0])
        wait_until(lambda: services.engine.state.status is EngineStatus.ANSWERING)
        with pytest.raises(AppError, match="while an answer is being written"):
            services.compare.comparisons.start(spec())
        assert services.compare.comparisons.rows() == ()


def test_a_worker_that_cannot_be_started_fails_every_cell(tmp_path: Path) -> None:
    install(tmp_path)
    with open_services(tmp_path, echo=("--fault", "exit3@start")) as services:
        kept = services.compare.comparisons.get(finished(services, spec()))
        assert [bool(one.error) for one in kept.answers] == [True, True]
        assert sys.executable in worker_command("echo")


def test_a_comparison_is_not_done_before_its_files_are_identified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(_hashes: FileHashes, _path: Path, is_cancelled: Callable[[], bool]) -> None:
        wait_until(is_cancelled)

    install(tmp_path)
    with monkeypatch.context() as patch, open_services(tmp_path, echo=QUICK) as services:
        patch.setattr(FileHashes, "of", never)
        comparison_id = services.compare.comparisons.start(spec())
        wait_until(lambda: "are being identified" in services.compare.comparisons.state.note)
        assert services.compare.comparisons.state.n_done == 2
    with open_services(tmp_path, echo=QUICK) as services:
        comparisons = services.compare.comparisons
        assert comparisons.get(comparison_id).state is ComparisonState.RUNNING
        before = comparisons.get(comparison_id).answers
        comparisons.resume(comparison_id)
        assert comparisons.wait(WAIT_S)
        kept = comparisons.get(comparison_id)
        assert kept.state is ComparisonState.DONE
        assert kept.answers == before
        assert all(run.sha256 for run in kept.runs)


def test_a_comparison_that_another_process_runs_is_left_alone(tmp_path: Path) -> None:
    install(tmp_path)
    with open_services(tmp_path, echo=QUICK) as services:
        comparisons = services.compare.comparisons
        comparison_id = finished(services, spec())
        before = comparisons.get(comparison_id)
        with FileLock(services.paths.comparing_lock), pytest.raises(AppError) as refused:
            comparisons.rerun(comparison_id)
        assert refused.value.message == (
            "A comparison cannot begin while another window or command of Local AI runs one.")
        assert comparisons.get(comparison_id) == before
        assert finished(services, spec()) == comparison_id + 1
        comparisons.rerun(comparison_id)
        assert comparisons.wait(WAIT_S)

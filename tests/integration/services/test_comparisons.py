"""Comparisons with the echo back end: run in turn, kept, cancelled, gone on with, judged, deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

from localai_app.compare.checks import ContainsCheck
from localai_app.compare.comparison import ComparisonSpec, ComparisonState, Way
from localai_app.compare.contestant import Contestant
from localai_app.compare.prompts import Prompt
from localai_app.services.app_services import AppServices
from localai_app.services.events import ComparisonChanged, ComparisonProgressed
from tests.helpers.services_fixture import EventRecorder, install_tiny_model, open_services

WAIT_S = 60.0
REPOS = ("tester/One-GGUF", "tester/Two-GGUF", "tester/Three-GGUF")
KEYS = tuple(f"{repo}:F32" for repo in REPOS)
QUICK = ("--tokens", "4", "--tokens-per-s", "400")
SLOW = ("--tokens", "1000", "--tokens-per-s", "50")


def contestants(count: int = 2) -> tuple[Contestant, ...]:
    return tuple(Contestant(model_key=key, name=key.partition("/")[2], label="F32") for key in KEYS[:count])


def spec(**changes: object) -> ComparisonSpec:
    given: dict[str, object] = {"contestants": contestants(), "prompts": (Prompt(text="Say something."),)}
    return ComparisonSpec(**(given | changes))  # type: ignore[arg-type]


def install(folder: Path) -> None:
    for repo in REPOS:
        install_tiny_model(folder, repo, f"{repo.partition('/')[2].lower()}-F32.gguf")


@pytest.fixture
def services(tmp_path: Path):
    install(tmp_path)
    with open_services(tmp_path, echo=QUICK) as opened:
        yield opened


def finished(services: AppServices, wish: ComparisonSpec) -> int:
    comparison_id = services.compare.comparisons.start(wish)
    assert services.compare.comparisons.wait(WAIT_S)
    return comparison_id


def test_every_cell_is_answered_and_kept_with_what_it_takes_to_repeat_it(services: AppServices) -> None:
    seen = EventRecorder(services)
    prompts = (Prompt(text="One?", checks=(ContainsCheck(texts=("zebra",)),)), Prompt(text="Two?"))
    comparison_id = finished(services, spec(prompts=prompts, repeats=2, seed=7, way=Way.IN_TURN))
    kept = services.compare.comparisons.get(comparison_id)
    assert kept.state is ComparisonState.DONE
    assert kept.schedule is not None
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
    assert not services.compare.comparisons.state.is_running

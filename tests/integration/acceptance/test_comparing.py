"""Comparing real models from the command line and through the services: acceptance 43, 44, 45, 47 and 49."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from localai_app.bootstrap import LaunchOptions, build_services
from localai_app.compare.comparison import Comparison, ComparisonSpec, ComparisonState, Way
from localai_app.compare.contestant import Contestant, ContestantSettings
from localai_app.compare.prompts import Prompt
from localai_app.engine.launch import worker_command
from localai_app.services.app_services import AppServices
from tests.helpers.gguf_files import write_tiny_gguf
from tests.helpers.program import program_command, run_program
from tests.helpers.real_models import gemma_path, smollm2_path
from tests.helpers.services_fixture import open_services, wait_until
from tests.helpers.worker_memory import PeakOfWorkers

pytest.importorskip("llama_cpp")
QUESTION = ("-p", "What is the sea?", "--max-tokens", "8", "--ctx", "512", "--seed", "5")
ROOM_FOR_ONE = 450
"""MiB: enough for either model alone, not for both (0.2 and 0.4 GiB)."""
CAP_BYTES = 270_000_000
"""Of main memory for each worker: enough for SmolLM2 with 4,096 tokens of context, not with 8,192 (94 MB more)."""
SHORT = ContestantSettings(ctx=512)


def compare(folder: Path, *arguments: str | Path) -> tuple[Any, int]:
    """Run the command to its end: its document, and the most memory that all of its workers held at one moment."""
    with subprocess.Popen(
        program_command("compare", *arguments, *QUESTION, "--json", "--data-dir", folder), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ) as program:
        with PeakOfWorkers(program.pid) as peak:
            stdout, stderr = program.communicate(timeout=180)
        assert program.returncode == 0, stderr
    return json.loads(stdout), peak.peak_bytes


def check_columns(document: Any) -> None:
    """Every contestant has its text and its numbers."""
    for column in document["contestants"]:
        (answer,) = column["answers"]
        assert answer["text"].strip()
        assert answer["error"] is None
        assert answer["tokens"] == 8
        assert answer["tps"] > 0
        assert answer["prompt_tps"] > 0
        assert 0 < answer["ttft_s"] < answer["total_s"]
        assert column["load_s"] > 0
        assert column["peak_bytes"] > 100e6
        assert len(column["sha256"]) == 64
    assert sorted(document["order"]) == list(range(len(document["contestants"])))
    assert document["seed"] == 5


def test_three_models_and_memory_for_one_run_in_turn(tmp_path: Path) -> None:
    """Acceptance 43, and what the workers really held."""
    document, peak_bytes = compare(
        tmp_path, smollm2_path(), gemma_path(), smollm2_path(), "--memory-limit", f"{ROOM_FOR_ONE}MiB")
    assert document["schedule"] == "in_turn"
    assert "and the limit is 0.4 GiB" in document["schedule_reason"]
    check_columns(document)
    first, _other, again = document["contestants"]
    assert first["answers"][0]["text"] == again["answers"][0]["text"], "the same model, seed and sampling"
    assert first["sha256"] == again["sha256"]
    assert peak_bytes <= ROOM_FOR_ONE * 1024**2
    assert abs(document["peak_bytes"] - peak_bytes) < 0.2 * peak_bytes


def test_two_models_run_side_by_side_where_that_is_chosen(tmp_path: Path) -> None:
    document, peak_bytes = compare(tmp_path, smollm2_path(), gemma_path(), "--way", "side-by-side")
    assert document["schedule"] == "side_by_side"
    check_columns(document)
    assert all(column["answers"][0]["is_shared"] for column in document["contestants"])
    assert peak_bytes > 1.2 * max(column["peak_bytes"] for column in document["contestants"]), "they were not loaded at once"


def test_a_model_that_cannot_be_loaded_says_why_and_the_other_finishes(tmp_path: Path) -> None:
    """Acceptance 44."""
    cut = write_tiny_gguf(tmp_path / "cut-F32.gguf")
    cut.write_bytes(cut.read_bytes()[:-1000])
    arguments = ("compare", cut, smollm2_path(), *QUESTION, "--data-dir", tmp_path / "data")
    document = run_program(*arguments, "--json").document
    broken, good = document["contestants"]
    assert "is incomplete" in broken["error"]
    assert "is incomplete" in broken["answers"][0]["error"]
    assert good["answers"][0]["text"]
    assert good["answers"][0]["error"] is None
    words = run_program("compare", cut, cut, *QUESTION, "--data-dir", tmp_path / "data")
    assert words.code == 1, "no contestant could answer"
    assert "is incomplete" in words.stdout


def started(services: AppServices, *, prompts: int, max_tokens: int) -> int:
    """SmolLM2 twice, in turn."""
    key = services.library.link(smollm2_path()).key
    spec = ComparisonSpec(
        contestants=(Contestant(model_key=key, name="One"), Contestant(model_key=key, name="Other")),
        prompts=tuple(Prompt(text=f"Tell me about the number {number}.") for number in range(prompts)),
        max_tokens=max_tokens, ctx=512, seed=3, way=Way.IN_TURN)
    return services.compare.comparisons.start(spec)


def texts(comparison: Comparison) -> dict[tuple[int, int, int], str]:
    return {tuple(answer.key): answer.text for answer in comparison.answers}


def test_a_cancelled_comparison_keeps_columns_frees_memory_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    """Acceptance 45 and 49."""
    with open_services(tmp_path, echo=None) as services:
        comparisons = services.compare.comparisons
        comparison_id = started(services, prompts=4, max_tokens=4)
        wait_until(lambda: comparisons.state.n_done >= 5, 120)
        comparisons.cancel()
        assert comparisons.wait(20)
        assert not [child for child in psutil.Process().children() if "--engine-worker" in child.cmdline()]
        cancelled = comparisons.get(comparison_id)
        first = cancelled.schedule.order[0]
        assert cancelled.state is ComparisonState.CANCELLED
        assert len([answer for answer in cancelled.answers if answer.contestant == first]) == 4
        assert 5 <= len(cancelled.answers) < 8
    with open_services(tmp_path, echo=None) as services:
        comparisons = services.compare.comparisons
        comparisons.resume(comparison_id)
        assert comparisons.wait(120)
        complete = comparisons.get(comparison_id)
    assert complete.state is ComparisonState.DONE
    assert len(complete.answers) == 8
    assert set(cancelled.answers) <= set(complete.answers), "a finished cell ran again"
    assert len(set(texts(complete).values())) == 4, "both columns say the same"


def test_the_same_seed_gives_the_same_text_again(tmp_path: Path) -> None:
    """Acceptance 47: at a temperature at which another seed says something else."""
    with open_services(tmp_path, echo=None) as services:
        comparisons = services.compare.comparisons
        comparison_id = started(services, prompts=1, max_tokens=12)
        assert comparisons.wait(120)
        before = comparisons.get(comparison_id)
        comparisons.rerun(comparison_id)
        assert comparisons.wait(120)
        after = comparisons.get(comparison_id)
    assert texts(after) == texts(before)
    assert {answer.seed for answer in after.answers} == {3}
    assert not set(after.answers) & set(before.answers), "nothing was asked again"


def test_a_load_beyond_memory_steps_down_and_says_so(tmp_path: Path) -> None:
    worker = worker_command("llama", ("--memory-cap-bytes", str(CAP_BYTES)))
    services = build_services(LaunchOptions(data_dir=tmp_path, worker=worker))
    try:
        comparisons = services.compare.comparisons
        key = services.library.link(smollm2_path()).key
        comparison_id = comparisons.start(ComparisonSpec(
            contestants=(Contestant(model_key=key, name="One"), Contestant(model_key=key, name="Short", settings=SHORT)),
            prompts=(Prompt(text="Hello"),), max_tokens=2, way=Way.IN_TURN))
        assert comparisons.wait(120)
        kept = comparisons.get(comparison_id)
    finally:
        services.close()
    assert not any(answer.error for answer in kept.answers)
    long, short = kept.runs
    assert long.ctx == 4096
    assert long.options["ctx"] == 4096
    assert long.steps == ("The memory did not suffice. Trying a context of 4,096 tokens instead of 8,192.",)
    assert short.steps == ()

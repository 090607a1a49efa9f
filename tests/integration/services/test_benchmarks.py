"""Benchmarks of installed models: run, kept, compared, stopped, refused; with the echo, and one with llama.cpp."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from localai_app.errors import AppError
from localai_app.services.app_services import AppServices
from localai_app.services.benchmarks import BenchmarkStatus, BenchmarkWish
from localai_app.services.events import BenchmarkChanged, EngineChanged
from localai_app.services.views import EngineStatus
from tests.helpers.program import run_program
from tests.helpers.services_fixture import TINY_KEY, EventRecorder, install_tiny_model, open_services, wait_until

QUICK = ("--tokens-per-s", "500", "--prompt-tokens-per-s", "20000")
SMALL = BenchmarkWish((64, 256), (0, 128), 8, 2)
LONG = BenchmarkWish((128, 2048), (0,), 256, 100)


@pytest.fixture
def services(tmp_path: Path):
    install_tiny_model(tmp_path)
    with open_services(tmp_path, echo=QUICK) as opened:
        yield opened


def measured(services: AppServices, wish: BenchmarkWish) -> None:
    services.benchmarks.start(TINY_KEY, wish)
    assert services.benchmarks.wait(30.0)


def test_a_result_is_kept_with_what_decided_it(services: AppServices) -> None:
    seen = EventRecorder(services)
    measured(services, SMALL)
    state = services.benchmarks.state
    assert state.status is BenchmarkStatus.DONE
    record = state.record
    assert services.benchmarks.records(TINY_KEY) == (record,)
    assert [(one.kind, one.tokens, one.depth, len(one.seconds)) for one in record.figures] == [
        ("prompt", 64, 0, 2), ("prompt", 256, 0, 2), ("generation", 8, 0, 2), ("generation", 8, 128, 2)]
    assert record.engine_build == "echo (no model)"
    assert record.options["ctx"] == record.ctx
    assert "model_path" not in record.options
    assert record.processor
    assert record.memory_bytes > 0
    assert len(seen.of(BenchmarkChanged)) >= 3
    services.benchmarks.forget(TINY_KEY)
    assert services.benchmarks.records() == ()


def test_the_loaded_model_makes_room_and_one_that_answers_is_left_alone(services: AppServices) -> None:
    services.engine.load(TINY_KEY)
    wait_until(lambda: services.engine.state.status is EngineStatus.LOADING)
    with pytest.raises(AppError, match="while a model is being loaded"):
        services.benchmarks.start(TINY_KEY, SMALL)
    wait_until(lambda: services.engine.state.status is EngineStatus.READY)
    measured(services, SMALL)
    assert services.benchmarks.state.status is BenchmarkStatus.DONE
    assert services.engine.state.status is EngineStatus.NONE
    assert services.engine.pid is None


def test_a_stop_keeps_what_is_complete(services: AppServices) -> None:
    services.benchmarks.start(TINY_KEY, LONG)
    with pytest.raises(AppError, match="while another one runs"):
        services.benchmarks.start(TINY_KEY, SMALL)
    wait_until(lambda: services.benchmarks.state.fraction > 0.05 and services.benchmarks.state.left_s is not None)
    services.benchmarks.stop()
    assert services.benchmarks.wait(10.0)
    state = services.benchmarks.state
    assert state.status in (BenchmarkStatus.DONE, BenchmarkStatus.STOPPED)
    assert all(not one.is_complete for one in services.benchmarks.records())


def test_a_stop_before_the_first_figure_keeps_nothing(services: AppServices) -> None:
    services.benchmarks.start(TINY_KEY, LONG)
    services.benchmarks.stop()
    assert services.benchmarks.wait(10.0)
    assert services.benchmarks.state.status is BenchmarkStatus.STOPPED
    assert services.benchmarks.records() == ()


def test_an_answer_that_is_wanted_comes_first(services: AppServices) -> None:
    services.benchmarks.start(TINY_KEY, LONG)
    wait_until(lambda: services.benchmarks.state.status is BenchmarkStatus.MEASURING)
    services.engine.load(TINY_KEY)
    services.events.publish(EngineChanged())
    assert services.benchmarks.wait(10.0)
    assert services.benchmarks.state.error.code == "benchmark_interrupted"
    wait_until(lambda: services.engine.state.status is EngineStatus.READY)


def test_what_goes_wrong_is_in_words(services: AppServices) -> None:
    services.benchmarks.start("no/such:model", SMALL)
    assert services.benchmarks.wait(10.0)
    assert services.benchmarks.state.status is BenchmarkStatus.FAILED
    assert services.benchmarks.state.error.code == "model_not_installed"


def test_a_worker_that_dies_is_told(tmp_path: Path) -> None:
    install_tiny_model(tmp_path)
    with open_services(tmp_path, echo=(*QUICK, "--fault", "exit3@benchmark")) as services:
        measured(services, SMALL)
        assert services.benchmarks.state.error.code == "engine_crashed"


@pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="llama.cpp is not installed")
def test_the_command_measures_with_llama_cpp_and_compares(tmp_path: Path) -> None:
    install_tiny_model(tmp_path)
    arguments = ("bench", TINY_KEY, "--prompt", "16,64", "--depth", "0,32", "--tokens", "2", "--repeat", "2",
                 "--data-dir", tmp_path)
    first = run_program(*arguments, "--json")
    assert first.code == 0, first.stderr
    result = first.document["result"]
    assert first.document["earlier"] is None
    assert [(one["tokens"], one["depth"]) for one in result["figures"]] == [(16, 0), (64, 0), (2, 0), (2, 32)]
    assert all(one["tps"] > 0 for one in result["figures"])
    assert result["engine_build"].startswith("llama-cpp-python")
    second = run_program(*arguments)
    assert second.code == 0
    assert "Prompt of 64 tokens" in second.stdout
    assert "CHANGE" in second.stdout
    assert "set up in the same way" in second.stdout
    history = run_program("bench", TINY_KEY, "--history", "--json", "--data-dir", tmp_path).document
    assert len(history["results"]) == 2
    wrong = run_program("bench", TINY_KEY, "--prompt", "12,many", "--data-dir", tmp_path)
    assert (wrong.code, "with commas between them" in wrong.stderr) == (2, True)

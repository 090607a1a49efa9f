"""Models are measured while they are idle, and loaded as was found; an answer comes first."""

from __future__ import annotations

import importlib.util
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from localai_app.engine.protocol import FinishReason, LoadOptions, Sampling, TuningKind, TuningRow
from localai_app.hardware.cpu import this_cpu
from localai_app.services.app_services import AppServices
from localai_app.services.events import ModelLoaded, TuningChanged
from localai_app.services.tuning import TuningParts, TuningService
from localai_app.services.tuning_memory import KnownTuning
from tests.helpers.engine_bench import QUESTION, Sink
from tests.helpers.program import program_command, run_program
from tests.helpers.real_models import smollm2_path
from tests.helpers.services_fixture import TINY_KEY, EventRecorder, install_tiny_model, open_services, wait_until

PACE = ("--tokens-per-s", "50", "--prompt-tokens-per-s", "4000")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    install_tiny_model(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def services(data_dir: Path) -> Iterator[AppServices]:
    with open_services(data_dir, echo=PACE) as opened:
        yield opened


@pytest.fixture
def tuning(services: AppServices) -> Iterator[TuningService]:
    parts = TuningParts(services.settings, services.library, services.engine, services.tuning_memory, this_cpu)
    # At first another program seems to be busy: that moment is let pass.
    moments = iter((True,))
    made = TuningService(services.events, parts, idle_s=0.1, is_busy=lambda: next(moments, False))
    made.start()
    yield made
    made.close()


def load(services: AppServices) -> LoadOptions:
    recorder = EventRecorder(services)
    services.engine.load(TINY_KEY)
    recorder.wait_for(ModelLoaded)
    options = services.engine.state.options
    assert options is not None
    return options


def test_an_idle_model_is_measured_once_and_loaded_like_that(services: AppServices, tuning: TuningService) -> None:
    recorder = EventRecorder(services)
    options = load(services)
    assert options.threads == 0
    recorder.wait_for(TuningChanged)
    known = services.tuning_memory.find(services.library.get(TINY_KEY), options)
    assert known is not None
    assert known.tuning.threads >= 1
    services.tuning_memory.keep(
        services.library.get(TINY_KEY), options, (
            TuningRow(kind=TuningKind.GENERATION, value=5, tps=2.0), TuningRow(kind=TuningKind.PROMPT, value=7, tps=2.0),
            TuningRow(kind=TuningKind.STEP, value=256, tps=2.0)), 1.0)
    again = load(services)
    assert (again.threads, again.prompt_threads, again.ubatch) == (5, 7, 256)
    time.sleep(0.4)
    assert len(recorder.of(TuningChanged)) == 1
    services.settings.set("threads", 3)
    assert (load(services).threads, load(services).prompt_threads) == (3, 0)


def test_an_answer_does_not_wait_for_it(services: AppServices) -> None:
    load(services)
    found: list[KnownTuning | None] = []
    services.tuning.measure(TINY_KEY, found.append)
    sink = Sink()
    started_s = time.monotonic()
    services.engine.chat(QUESTION, Sampling(max_tokens=3), sink)
    wait_until(lambda: bool(sink.ends))
    assert sink.ends == [FinishReason.LENGTH]
    assert time.monotonic() - started_s < 3.0
    assert found == [None]


def test_it_is_not_done_where_the_settings_say_so(services: AppServices, tuning: TuningService) -> None:
    services.settings.set("measure_models", False)
    recorder = EventRecorder(services)
    load(services)
    time.sleep(0.5)
    assert recorder.of(TuningChanged) == []


@pytest.mark.model
@pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="llama.cpp is not installed")
def test_the_command_does_not_wait_for_a_worker_that_is_gone(data_dir: Path) -> None:
    command = program_command("tune", smollm2_path(), "--data-dir", data_dir)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            while process.stderr.readline() != "Measuring ...\n":
                assert process.poll() is None
            for worker in psutil.Process(process.pid).children():
                worker.kill()
            _stdout, words = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 1
    assert "it was killed from outside" in words


@pytest.mark.model
@pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="llama.cpp is not installed")
def test_the_command_measures_shows_and_remembers(data_dir: Path) -> None:
    first = run_program("tune", TINY_KEY, "--json", "--data-dir", data_dir)
    assert first.code == 0, first.stderr
    assert first.document["threads"] >= 1
    words = run_program("tune", TINY_KEY, "--data-dir", data_dir)
    assert "Fastest here: " in words.stdout
    again = run_program("tune", TINY_KEY, "--json", "--data-dir", data_dir)
    assert again.document["time_s"] == first.document["time_s"]
    anew = run_program("tune", TINY_KEY, "--again", "--json", "--data-dir", data_dir)
    assert anew.document["time_s"] > first.document["time_s"]

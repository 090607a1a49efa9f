"""The way down after a failed load and the offer after crashes in a row, with real workers, faults and memory limits."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from localai_app.engine.launch import worker_command
from localai_app.engine.load_options import LoadOptions
from localai_app.engine.protocol import FinishReason, Sampling
from localai_app.errors import AppError, Remedy
from localai_app.services.events import AnswerEnded, AnswerProgressed, EngineFailed, LoadStepped
from localai_app.services.load_ladder import MOST_STEPS, safe_options
from localai_app.services.safe_setups import SafeSetUps, surroundings
from localai_app.services.views import EngineStatus
from localai_app.store.database import Store, open_store
from localai_app.store.records import MessageState
from tests.helpers import engine_bench
from tests.helpers.engine_bench import QUESTION, Bench, Sink
from tests.helpers.fit_subjects import computer, nvidia
from tests.helpers.real_models import smollm2_path
from tests.helpers.services_fixture import EventRecorder, install_tiny_model, open_services, wait_until

CAP_BYTES = 900_000_000
"""Enough for SmolLM2 with 16,384 tokens of context (0.4 GB), not with 65,536 (1.5 GB)."""
FAR_TOO_LONG = 1_048_576


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "store.db")
    yield opened
    opened.close()


@pytest.fixture
def make_bench(tmp_path: Path, store: Store) -> Iterator[Any]:
    benches: list[Bench] = []

    def make(*options: str, **more: Any) -> Bench:
        benches.append(Bench(tmp_path, *options, set_ups=SafeSetUps(store, lambda: "here"), **more))
        return benches[-1]

    yield make
    for bench in benches:
        bench.engine.close()


def steps(bench: Bench) -> list[str]:
    return [event.sentence for event in list(bench.events) if isinstance(event, LoadStepped)]


def test_a_context_far_beyond_memory_ends_loaded_with_a_shorter_one_which_is_remembered(
    make_bench: Any, monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("llama_cpp")
    planned = LoadOptions(model_path=str(smollm2_path()), ctx=FAR_TOO_LONG)
    monkeypatch.setattr(engine_bench, "OPTIONS", planned)
    bench = make_bench(command=worker_command("llama", ("--memory-cap-bytes", str(CAP_BYTES))))
    before = {child.pid for child in psutil.Process().children()}
    bench.engine.load("smol")
    bench.wait_ready("smol")
    state = bench.engine.state
    assert state.loaded is not None
    assert state.loaded.ctx == 16_384
    assert list(state.steps) == steps(bench)
    assert state.steps[-1] == "The memory did not suffice. Trying a context of 16,384 tokens instead of 65,536."
    assert state.reduced == "a context of 16,384 tokens instead of 1,048,576"
    wait_until(lambda: {child.pid for child in psutil.Process().children()} - before == {bench.engine.pid})
    sink = Sink()
    bench.engine.chat(QUESTION, Sampling(max_tokens=4), sink)
    wait_until(lambda: sink.ends == [FinishReason.LENGTH])

    bench.engine.reload()
    bench.wait_ready("smol")
    assert (bench.engine.state.steps, bench.engine.state.reduced) == ((), state.reduced)
    assert len(steps(bench)) == 3


def test_a_load_that_crashes_whatever_is_tried_ends_in_words_after_a_few_workers(make_bench: Any, expect_log: Any) -> None:
    expect_log("the engine ended")
    bench = make_bench("--fault", "segv@load")
    bench.engine.load("first")
    wait_until(lambda: bench.failures() != [])
    assert 1 <= len(steps(bench)) <= MOST_STEPS
    assert all(sentence.startswith("The engine crashed while it loaded the model. Trying ") for sentence in steps(bench))
    assert [failure.error.code for failure in bench.failures()] == ["engine_crashed"]
    wait_until(lambda: bench.engine.pid is None)


@pytest.mark.parametrize("fault", ["refuse@load", "segv@start", "exit0@load"])
def test_what_no_other_set_up_can_mend_is_not_tried_again(make_bench: Any, expect_log: Any, fault: str) -> None:
    if fault != "refuse@load":
        expect_log("the engine ended")
    bench = make_bench("--fault", fault)
    bench.engine.load("first")
    wait_until(lambda: bench.failures() != [])
    assert steps(bench) == []


def test_unloading_on_the_way_down_ends_it(make_bench: Any) -> None:
    bench = make_bench("--fault", "segv@load")
    bench.engine.load("first")
    wait_until(lambda: steps(bench) != [])
    bench.engine.unload()
    wait_until(lambda: not psutil.Process().children())
    assert bench.failures() == []
    assert bench.engine.state.status is EngineStatus.NONE


def test_the_third_crash_in_a_row_offers_safe_settings_which_are_kept(make_bench: Any, expect_log: Any) -> None:
    expect_log("the engine ended")
    bench = make_bench("--fault", "segv@5")
    errors: list[AppError] = []
    for number in range(3):
        bench.engine.load("shaky")
        bench.wait_ready("shaky")
        sink = Sink()
        bench.engine.chat(QUESTION, Sampling(), sink)
        wait_until(lambda count=number: len(bench.failures()) > count)  # type: ignore[misc]
        (error,) = sink.ends
        assert isinstance(error, AppError)
        assert sink.text
        errors.append(error)
    assert [error.remedy for error in errors] == [Remedy.RELOAD_MODEL, Remedy.RELOAD_MODEL, Remedy.LOAD_SAFELY]
    assert errors[2].message.startswith("With shaky the engine stopped 3 times in a row, the last time because it crashed by")
    bench.engine.load("shaky", safe=True)
    bench.wait_ready("shaky")
    assert bench.engine.state.options == safe_options(engine_bench.OPTIONS)
    assert bench.engine.state.reduced
    bench.engine.load("shaky")
    bench.wait_ready("shaky")
    assert bench.engine.state.options == safe_options(engine_bench.OPTIONS)
    bench.engine.chat(QUESTION, Sampling(), Sink())
    wait_until(lambda: len(bench.failures()) == 4)
    assert bench.failures()[3].error.remedy is Remedy.RELOAD_MODEL


def test_a_good_answer_in_between_begins_the_count_anew(store: Store) -> None:
    set_ups = SafeSetUps(store, lambda: "here")
    assert [set_ups.note_crash("a"), set_ups.note_crash("a"), set_ups.note_crash("b")] == [1, 2, 1]
    set_ups.note_answer("a")
    assert [set_ups.note_crash("a"), set_ups.note_crash("b")] == [1, 2]


def test_what_worked_counts_for_the_same_plan_on_the_same_engine_and_hardware_until_it_is_forgotten(store: Store) -> None:
    where = ["build one"]
    set_ups = SafeSetUps(store, lambda: where[0])
    planned = LoadOptions(model_path="m.gguf", ctx=8192, gpu_layers=33)
    worked = msgspec.structs.replace(planned, gpu_layers=0)
    set_ups.remember("a", planned, worked)
    assert SafeSetUps(store, lambda: "build one").find("a", planned) == worked
    later = msgspec.structs.replace(planned, threads=3, kept_bytes=5)
    assert set_ups.find("a", later) == msgspec.structs.replace(worked, threads=3)
    assert set_ups.find("b", planned) is None
    assert set_ups.find("a", msgspec.structs.replace(planned, ctx=4096)) is None
    where[0] = "build two"
    assert set_ups.find("a", planned) is None
    where[0] = "build one"
    set_ups.forget("a")
    assert set_ups.find("a", planned) is None
    assert surroundings("b", computer(32)) != surroundings("b", computer(32, gpus=(nvidia("RTX 4090", 24),)))


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGILL, signal.SIGABRT, signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_dies_in_an_answer_leaves_its_text_a_sentence_and_a_way_on(
    tmp_path: Path, expect_log: Any, number: signal.Signals,
) -> None:
    expect_log("the engine ended")
    install_tiny_model(tmp_path / "data")
    with open_services(tmp_path / "data", echo=("--tokens-per-s", "200", "--tokens", "4000")) as services:
        recorder = EventRecorder(services)
        conversation = services.chat.create()
        services.chat.send(conversation.id, "Go on for long")
        recorder.wait_for(AnswerProgressed, 3)
        pid = services.engine.pid
        assert pid is not None
        os.kill(pid, number)
        ended = recorder.wait_for(AnswerEnded)
        assert ended.message.state is MessageState.INTERRUPTED
        assert services.chat.messages(conversation.id)[-1].text == ended.message.text != ""
        assert ended.error is not None
        assert number.name in ended.error.message or number is signal.SIGABRT
        assert recorder.wait_for(EngineFailed).error.remedy is Remedy.RELOAD_MODEL

"""Who makes room for whom: by the settings, by memory, by idleness; over real workers, with figures that a test decides."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from localai_app.engine.load_options import LoadOptions
from localai_app.engine.protocol import FinishReason, Sampling
from localai_app.errors import MODEL_TOO_LARGE, AppError, Remedy
from localai_app.fit.decide import unknown_result
from localai_app.fit.result import FitResult, Request, Verdict
from localai_app.services.app_services import AppServices
from localai_app.services.engine_room import EngineRoom, MemoryShort, RoomRules
from localai_app.services.events import ModelLoaded, ModelUnloaded, UnloadReason
from localai_app.services.hardware_service import FreeMemory
from localai_app.services.idle_unload import IdleUnloader
from localai_app.services.memory_credit import private_bytes
from localai_app.services.views import EngineStatus, LoadedModel
from localai_app.units import GIB
from tests.helpers.engine_bench import QUESTION, Bench, Sink
from tests.helpers.real_models import smollm2_path
from tests.helpers.services_fixture import EventRecorder, open_services, wait_until


class Memory:
    """A computer with room for so many models of one size; more of them get a shorter context."""

    def __init__(self, models: int) -> None:
        self.models = models
        self.bench: Bench | None = None

    def fit(self, key: str, instead_of: Sequence[LoadedModel]) -> FitResult | None:
        assert self.bench is not None
        gone = {model.key for model in instead_of}
        present = [model for model in self.bench.engine.loaded() if model.key not in gone and model.key != key]
        ctx = 4096 if len(present) < self.models else 1024
        return msgspec.structs.replace(
            unknown_result("", Request()), verdict=Verdict.CPU, ctx=ctx, total_bytes=2 * GIB,
            load_options=LoadOptions(model_path="x.gguf", ctx=ctx))

    def free(self) -> FreeMemory:
        assert self.bench is not None
        return FreeMemory(10 * GIB - GIB * len(psutil.Process().children()), 0)


@pytest.fixture
def make_bench(tmp_path: Path) -> Any:
    benches: list[Bench] = []

    def make(rules: RoomRules, *options: str, models: int = 2) -> Bench:
        memory = Memory(models)
        memory.bench = bench = Bench(tmp_path, *options, room=EngineRoom(lambda: rules), free_now=memory.free)
        bench.fit_of = memory.fit
        benches.append(bench)
        return bench

    yield make
    for bench in benches:
        bench.engine.close()


def load(bench: Bench, *keys: str) -> None:
    for key in keys:
        bench.engine.load(key)
        bench.wait_ready(key)


def loaded(bench: Bench) -> list[str]:
    return [model.key for model in bench.engine.loaded()]


def unloaded(bench: Bench) -> list[ModelUnloaded]:
    return [event for event in bench.events if isinstance(event, ModelUnloaded)]


UNLOAD, ASK, ONE = (RoomRules(how, 0) for how in MemoryShort)


def test_models_stay_as_long_as_the_next_one_gets_all_it_would_get_alone_and_the_least_used_one_leaves(make_bench: Any) -> None:
    bench = make_bench(UNLOAD)
    load(bench, "first", "second")
    assert loaded(bench) == ["second", "first"]
    assert bench.engine.use("first")
    load(bench, "third")
    assert loaded(bench) == ["third", "first"]
    (gone,) = unloaded(bench)
    assert (gone.model_key, gone.reason) == ("second", UnloadReason.ROOM)
    assert gone.sentence == "second was unloaded to make room: 1.0 GiB of memory free again."
    assert bench.engine.state.options is not None
    assert bench.engine.state.options.ctx == 4096


def test_a_limit_on_their_number_holds_where_memory_would_do(make_bench: Any) -> None:
    bench = make_bench(RoomRules(MemoryShort.ASK, 2), models=9)
    load(bench, "first", "second", "third")
    assert loaded(bench) == ["third", "second"]


def test_asked_first_nothing_leaves_until_the_answer(make_bench: Any) -> None:
    bench = make_bench(ASK, models=1)
    load(bench, "first")
    bench.engine.load("second")
    wait_until(lambda: bench.failures() != [])
    error = bench.failures()[0].error
    assert (error.code, error.remedy) == ("model_in_the_way", Remedy.MAKE_ROOM)
    assert "second needs 2.0 GiB and does not fit beside first" in error.message
    assert loaded(bench) == ["first"]
    bench.engine.load("second", make_room=True)
    bench.wait_ready("second")
    assert loaded(bench) == ["second"]


def test_going_back_after_the_question_costs_no_load(make_bench: Any) -> None:
    bench = make_bench(ASK, models=1)
    load(bench, "first")
    bench.engine.load("second")
    wait_until(lambda: bench.failures() != [])
    assert bench.engine.use("first")
    assert bench.engine.state.model_key == "first"
    assert bench.engine.find("second") is None
    assert bench.loaded_keys() == ["first"]


@pytest.mark.parametrize("rules", [UNLOAD, ONE])
def test_a_model_in_the_middle_of_an_answer_is_never_unloaded_unasked(make_bench: Any, rules: RoomRules) -> None:
    bench = make_bench(rules, "--tokens-per-s", "100", "--tokens", "100000", models=1)
    load(bench, "first")
    sink = Sink()
    bench.engine.chat(QUESTION, Sampling(), sink)
    wait_until(lambda: sink.text != "")
    bench.engine.load("second")
    wait_until(lambda: bench.failures() != [])
    assert bench.failures()[0].error.code == "model_answering"
    assert sink.ends == []
    bench.engine.load("second", make_room=True)
    bench.wait_ready("second")
    assert sink.ends == [FinishReason.CANCELLED]


def test_never_more_than_one_model_means_that_the_other_one_leaves_though_there_is_room(make_bench: Any) -> None:
    bench = make_bench(ONE)
    load(bench, "first", "second")
    assert loaded(bench) == ["second"]


def test_nothing_leaves_for_a_model_that_would_not_be_loaded_even_then(make_bench: Any) -> None:
    bench = make_bench(UNLOAD)
    load(bench, "first")
    bench.plan_errors["huge"] = AppError(MODEL_TOO_LARGE, name="huge", needed="9 GiB", available="1 GiB")
    bench.engine.load("huge")
    wait_until(lambda: bench.failures() != [])
    assert loaded(bench) == ["first"]


def test_a_bug_in_planning_ends_in_words_with_other_models_loaded_too(make_bench: Any, expect_log: Any) -> None:
    expect_log("could not be told|failed unexpectedly")
    bench = make_bench(UNLOAD)
    load(bench, "first")
    bench.plan_errors["second"] = ZeroDivisionError("a bug")
    bench.engine.load("second")
    wait_until(lambda: bench.engine.state.status is EngineStatus.FAILED)
    assert loaded(bench) == ["first"]


def test_only_models_that_nobody_asked_for_so_long_are_unloaded_as_idle_and_their_processes_are_gone(make_bench: Any) -> None:
    bench = make_bench(UNLOAD, "--tokens-per-s", "100", "--tokens", "100000", models=3)
    load(bench, "idle", "busy", "fresh")
    pids = {model.key: model.pid for model in bench.engine.loaded()}
    sink = Sink()
    bench.engine.chat(QUESTION, Sampling(), sink, model_key="busy")
    wait_until(lambda: sink.text != "")
    time.sleep(0.5)
    bench.engine.use("fresh")
    bench.engine.unload_idle(0.4)
    wait_until(lambda: unloaded(bench) != [])
    assert sorted(loaded(bench)) == ["busy", "fresh"]
    assert [(event.model_key, event.reason) for event in unloaded(bench)] == [("idle", UnloadReason.IDLE)]
    assert not psutil.pid_exists(pids["idle"])
    assert unloaded(bench)[0].freed_main_bytes == GIB


def test_the_idle_time_of_the_settings_unloads_and_real_memory_is_free_again(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    with open_services(tmp_path / "data", echo=None) as services:
        recorder = EventRecorder(services)
        unloader = IdleUnloader(services.events, services.settings, services.engine, minute_s=1.5)
        try:
            services.settings.set("idle_unload_minutes", 1)
            # Other programs move at the same time as well: it has to be seen once.
            rounds = (idle_round(services, recorder, number) for number in range(1, 7))
            assert any(freed_bytes > held_bytes / 2 > 90_000_000 for freed_bytes, held_bytes in rounds)
        finally:
            unloader.close()


def idle_round(services: AppServices, recorder: EventRecorder, number: int) -> tuple[int, int]:
    """Load SmolLM2 and let it be unloaded as idle: what was free more then, and what its worker had held of its own."""
    services.engine.load(str(smollm2_path()))
    recorder.wait_for(ModelLoaded, number)
    pid = services.engine.pid
    assert pid is not None
    held_bytes = private_bytes(pid)
    gone = recorder.wait_for(ModelUnloaded, number)
    assert gone.reason is UnloadReason.IDLE
    assert not psutil.pid_exists(pid)
    assert services.engine.state.status is EngineStatus.NONE
    return gone.freed_main_bytes, held_bytes

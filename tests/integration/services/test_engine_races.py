"""The engine under quick and contradicting wishes, over real worker processes."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from localai_app.engine.protocol import ChatMessage, FinishReason, Sampling
from localai_app.errors import NO_MODEL_LOADED, AppError
from localai_app.services.views import EngineStatus
from tests.helpers.engine_bench import QUESTION, Bench, Sink
from tests.helpers.services_fixture import wait_until


@pytest.fixture
def make_bench(tmp_path: Path) -> Any:
    benches: list[Bench] = []

    def make(*options: str) -> Bench:
        benches.append(Bench(tmp_path, *options))
        return benches[-1]

    yield make
    for bench in benches:
        bench.engine.close()


def test_the_last_wish_counts_while_an_earlier_load_is_planned(make_bench: Any) -> None:
    bench = make_bench()
    bench.plan_s["first"] = 0.3
    bench.engine.load("first")
    assert bench.planning.wait(5)
    bench.engine.load("second")
    bench.wait_ready("second")
    assert bench.loaded_keys() == ["second"]


def test_a_plan_that_fails_late_does_not_fail_the_model_wished_for_since(make_bench: Any) -> None:
    bench = make_bench()
    bench.plan_s["first"] = 0.3
    bench.plan_errors["first"] = AppError(NO_MODEL_LOADED)
    bench.engine.load("first")
    assert bench.planning.wait(5)
    bench.engine.load("second")
    bench.wait_ready("second")
    assert bench.failures() == []


def test_unloading_while_a_load_is_planned_leaves_nothing_loaded(make_bench: Any) -> None:
    bench = make_bench()
    bench.plan_s["first"] = 0.3
    bench.engine.load("first")
    assert bench.planning.wait(5)
    bench.engine.unload()
    time.sleep(0.6)
    assert bench.engine.state.status is EngineStatus.NONE
    assert bench.engine.pid is None


def test_unloading_while_the_worker_loads_ends_it(make_bench: Any) -> None:
    bench = make_bench("--load-s", "30")
    bench.engine.load("first")
    wait_until(lambda: bench.engine.pid is not None)
    pid = bench.engine.pid
    bench.engine.unload()
    wait_until(lambda: not psutil.pid_exists(pid), 5)
    assert bench.engine.state.status is EngineStatus.NONE
    assert bench.failures() == []


def test_a_bug_in_planning_is_a_failure_in_words_and_not_an_endless_load(make_bench: Any, expect_log: Any) -> None:
    expect_log("failed unexpectedly")
    bench = make_bench()
    bench.plan_errors["first"] = ZeroDivisionError("a bug")
    bench.engine.load("first")
    wait_until(lambda: bench.engine.state.status is EngineStatus.FAILED)
    assert bench.failures()[0].error.code == "model_load_failed"


@pytest.mark.parametrize("fault", ["segv@start", "exit0@start", "segv@load", "kill@load", "refuse@load", "garbage@load"])
def test_a_worker_that_dies_on_the_way_fails_once_and_the_next_load_is_not_disturbed(
    make_bench: Any, expect_log: Any, fault: str,
) -> None:
    if "refuse" not in fault:
        expect_log("the engine ended|broke the protocol")
    bench = make_bench("--fault", fault)
    bench.engine.load("first")
    wait_until(lambda: bench.engine.state.status is EngineStatus.FAILED)
    assert bench.engine.state.error is not None
    bench.engine.load("second")
    wait_until(lambda: len(bench.failures()) == 2)
    assert [failed.model_key for failed in bench.failures()] == ["first", "second"]


def test_loading_another_model_ends_an_answer_as_stopped(make_bench: Any) -> None:
    bench = make_bench("--tokens-per-s", "100", "--tokens", "100000")
    bench.engine.load("first")
    bench.wait_ready("first")
    sink = Sink()
    bench.engine.chat(QUESTION, Sampling(), sink)
    wait_until(lambda: len(sink.text) > 20)
    bench.engine.load("second")
    bench.wait_ready("second")
    assert sink.ends == [FinishReason.CANCELLED]
    text = sink.text
    time.sleep(0.1)
    assert sink.text == text


def test_what_is_too_long_to_be_sent_is_refused_and_leaves_the_engine_ready(make_bench: Any) -> None:
    bench = make_bench()
    bench.engine.load("first")
    bench.wait_ready("first")
    sink = Sink()
    with pytest.raises(AppError) as caught:
        bench.engine.chat((ChatMessage(role="user", content="x" * 9_000_000),), Sampling(), sink)
    assert caught.value.code == "prompt_too_long"
    assert bench.engine.state.status is EngineStatus.READY
    bench.engine.chat(QUESTION, Sampling(max_tokens=3), sink)
    wait_until(lambda: sink.ends != [])


def test_closing_while_a_model_loads_is_quick_and_closing_twice_is_harmless(make_bench: Any) -> None:
    bench = make_bench("--load-s", "30")
    bench.engine.load("first")
    wait_until(lambda: bench.engine.pid is not None)
    started_s = time.monotonic()
    bench.engine.close()
    assert time.monotonic() - started_s < 2.0
    bench.engine.close()
    bench.engine.load("second")
    bench.engine.unload()
    assert bench.loaded_keys() == []


def test_wishes_from_several_threads_end_with_one_worker_and_one_model(make_bench: Any) -> None:
    bench = make_bench()
    before = set(psutil.Process().children())

    def wish(name: str) -> None:
        for number in range(8):
            bench.engine.load(f"{name}{number}")
            if number % 3 == 0:
                bench.engine.unload()

    threads = [threading.Thread(target=wish, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bench.engine.load("last")
    bench.wait_ready("last")
    workers = [child for child in psutil.Process().children() if child not in before]
    assert [child.pid for child in workers] == [bench.engine.pid]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open descriptors in /proc")
def test_twenty_loads_and_unloads_leave_no_process_thread_or_descriptor(make_bench: Any) -> None:
    bench = make_bench("--tokens-per-s", "500")

    def cycle() -> None:
        bench.engine.load("model")
        bench.wait_ready("model")
        bench.engine.chat(QUESTION, Sampling(), Sink())
        bench.engine.unload()

    def left() -> tuple[int, int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count(), len(psutil.Process().children())

    cycle()
    wait_until(lambda: not psutil.Process().children())
    before = left()
    for _ in range(20):
        cycle()
    wait_until(lambda: left() <= before, 5, lambda: f"{before}, now {left()}")

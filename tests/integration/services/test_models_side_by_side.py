"""Several models loaded at once, over real worker processes."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

from localai_app.engine.protocol import FinishReason, Sampling
from localai_app.errors import AppError
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


def load_both(bench: Bench) -> tuple[int, int]:
    """Two models side by side, the second one in use; the process ids of their workers."""
    bench.engine.load("first")
    bench.wait_ready("first")
    first = bench.engine.pid
    bench.engine.load("second", keep_others=True)
    bench.wait_ready("second")
    second = bench.engine.pid
    assert first is not None
    assert second is not None
    assert first != second
    return first, second


def test_both_answer_at_the_same_time_and_one_is_unloaded_without_disturbing_the_other(make_bench: Any) -> None:
    bench = make_bench("--tokens-per-s", "200", "--tokens", "100000")
    first, second = load_both(bench)
    assert [model.key for model in bench.engine.loaded()] == ["second", "first"]
    sinks = {"first": Sink(), "second": Sink()}
    asked = {key: bench.engine.chat(QUESTION, Sampling(), sink, model_key=key) for key, sink in sinks.items()}
    wait_until(lambda: all(len(sink.text) > 20 for sink in sinks.values()))
    bench.engine.unload("first")
    assert sinks["first"].ends == [FinishReason.CANCELLED]
    wait_until(lambda: not psutil.pid_exists(first))
    length = len(sinks["second"].text)
    wait_until(lambda: len(sinks["second"].text) > length)
    assert bench.engine.state.model_key == "second"
    bench.engine.stop(asked["second"])
    wait_until(lambda: sinks["second"].ends == [FinishReason.CANCELLED])
    assert [model.pid for model in bench.engine.loaded()] == [second]


def test_using_a_loaded_model_again_starts_no_process_and_unloading_it_leaves_the_other_in_use(make_bench: Any) -> None:
    bench = make_bench()
    first, second = load_both(bench)
    assert bench.engine.use("first")
    assert (bench.engine.state.model_key, bench.engine.pid) == ("first", first)
    assert not bench.engine.use("third")
    bench.engine.unload()
    assert (bench.engine.state.model_key, bench.engine.pid) == ("second", second)
    bench.engine.unload()
    assert bench.engine.state.status is EngineStatus.NONE
    wait_until(lambda: not psutil.pid_exists(first) and not psutil.pid_exists(second))


def test_a_model_that_dies_fails_its_own_answer_only(make_bench: Any, expect_log: Any) -> None:
    expect_log("the engine ended")
    bench = make_bench("--tokens-per-s", "200", "--tokens", "100000")
    first, _second = load_both(bench)
    sinks = {"first": Sink(), "second": Sink()}
    for key, sink in sinks.items():
        bench.engine.chat(QUESTION, Sampling(), sink, model_key=key)
    wait_until(lambda: all(sink.text for sink in sinks.values()))
    psutil.Process(first).kill()
    wait_until(lambda: sinks["first"].ends != [])
    assert isinstance(sinks["first"].ends[0], AppError)
    assert [failure.model_key for failure in bench.failures()] == ["first"]
    assert sinks["second"].ends == []
    assert bench.engine.state.status is EngineStatus.ANSWERING


def test_a_load_without_the_wish_to_keep_others_replaces_them_all(make_bench: Any) -> None:
    bench = make_bench()
    first, second = load_both(bench)
    bench.engine.load("third")
    bench.wait_ready("third")
    assert [model.key for model in bench.engine.loaded()] == ["third"]
    wait_until(lambda: not psutil.pid_exists(first) and not psutil.pid_exists(second))


def test_wishes_from_several_threads_leave_no_worker_that_nobody_knows(make_bench: Any) -> None:
    bench = make_bench()
    before = {child.pid for child in psutil.Process().children()}

    def wish(names: str) -> None:
        for number in range(12):
            name = names[number % len(names)]
            bench.engine.load(name, keep_others=number % 2 == 0)
            if number % 3 == 0:
                bench.engine.unload(name)

    threads = [threading.Thread(target=wish, args=(names,)) for names in ("ab", "bc", "ca")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bench.engine.load("last", keep_others=True)
    bench.wait_ready("last")
    known = {model.pid for model in bench.engine.loaded()}
    wait_until(lambda: {child.pid for child in psutil.Process().children()} - before == known)

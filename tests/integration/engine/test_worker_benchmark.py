"""The worker command Benchmark, with the echo and with a real model."""

from __future__ import annotations

import importlib.util
import time

import pytest

from localai_app.engine.protocol import (
    Benchmark,
    Benchmarked,
    BenchmarkProgressed,
    RequestFailed,
    Sampling,
    Stop,
)
from tests.helpers.quick_model import quick_smollm2_path
from tests.helpers.real_models import gemma_path

needs_llama = [
    pytest.mark.model, pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="llama.cpp is not installed")]


def run(worker, **fields) -> Benchmarked:
    request_id = worker.new_id()
    worker.client.send(Benchmark(id=request_id, **fields))
    return worker.wait_for(Benchmarked, request_id, 120.0)


def test_the_echo_is_as_fast_as_it_was_told(start_worker) -> None:
    worker = start_worker("echo", "--tokens-per-s", "200", "--prompt-tokens-per-s", "4000")
    worker.load(ctx=1024)
    end = run(worker, prompt_tokens=(400, 2000), depths=(0, 500), generated_tokens=10, repeats=2)
    read, too_long, shallow, deep = end.rows
    assert 2000 < read.tps < 4001
    assert too_long.tps is None
    assert 100 < shallow.tps < 201
    assert 100 < deep.tps < 201
    progress = [event for event in worker.events if isinstance(event, BenchmarkProgressed)]
    assert progress[0].prompt_total == 2 * 400 + 500
    assert progress[0].generated_total == 40
    assert progress[-1].generated_done > 0


def test_it_stops_within_a_step_and_the_worker_goes_on(start_worker) -> None:
    worker = start_worker("echo", "--tokens-per-s", "100", "--prompt-tokens-per-s", "2000")
    worker.load(ctx=4096)
    request_id = worker.new_id()
    worker.client.send(Benchmark(id=request_id, prompt_tokens=(128, 4000), repeats=20))
    worker.wait_until(
        lambda: any(isinstance(event, BenchmarkProgressed) and event.prompt_done > 20 * 128 for event in worker.events),
        "second row")
    asked_s = time.monotonic()
    worker.client.send(Stop(id=request_id))
    end = worker.wait_for(Benchmarked, request_id)
    assert time.monotonic() - asked_s < 2.0
    assert [row.tokens for row in end.rows] == [128]
    assert not end.is_complete
    assert worker.chat("Hello", sampling=Sampling(max_tokens=3))[1].stats.completion_tokens == 3


class TestLlama:
    pytestmark = needs_llama

    @pytest.mark.parametrize("path_of", [quick_smollm2_path, gemma_path], ids=["smollm2", "gemma"])
    def test_a_real_model_is_measured_at_depth_and_answers_afterwards(self, start_worker, path_of) -> None:
        """Gemma's sliding-window cache is cut back like any other."""
        worker = start_worker("llama")
        loaded = worker.load(model_path=str(path_of()), ctx=512, ubatch=128)
        sampling = Sampling(temperature=0.0, max_tokens=8)
        before, _end = worker.complete("The capital of France is", sampling)
        started_s = time.perf_counter()
        end = run(worker, prompt_tokens=(32, 96), depths=(0, 96, 510), generated_tokens=4, repeats=2)
        elapsed_s = time.perf_counter() - started_s
        short, long, shallow, deep, too_deep = end.rows
        assert all(row.tps > 0.2 and len(row.seconds) == 2 for row in (short, long, shallow, deep))
        assert too_deep.tps is None
        assert end.ctx == loaded.ctx == 512
        assert end.threads == 1
        measured_s = sum(sum(row.seconds) for row in end.rows)
        assert 0.2 * elapsed_s < measured_s < elapsed_s
        after, finished = worker.complete("The capital of France is", sampling)
        assert after == before
        assert run(worker, prompt_tokens=(4,), threads=2, repeats=1).threads == 2
        assert finished.stats.reused_tokens == 0

    def test_a_stop_in_the_middle_of_a_real_benchmark(self, start_worker) -> None:
        worker = start_worker("llama")
        worker.load(model_path=str(quick_smollm2_path()), ctx=2048)
        request_id = worker.new_id()
        worker.client.send(Benchmark(id=request_id, depths=(0, 1500), generated_tokens=256, repeats=50))
        worker.wait_for(BenchmarkProgressed, request_id)
        time.sleep(0.5)
        asked_s = time.monotonic()
        worker.client.send(Stop(id=request_id))
        end = worker.wait_for(Benchmarked, request_id)
        assert time.monotonic() - asked_s < 5.0
        assert not end.is_complete

    def test_without_a_model_it_is_refused(self, start_worker) -> None:
        worker = start_worker("llama")
        worker.client.send(Benchmark(id=3, prompt_tokens=(8,)))
        assert worker.wait_for(RequestFailed, 3).code == "no_model_loaded"

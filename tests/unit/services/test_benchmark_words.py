"""Results of benchmarks in words, and what runs are estimated to take."""

from __future__ import annotations

import msgspec
import pytest

from localai_app.engine.protocol import BenchmarkProgressed
from localai_app.services.benchmark_run import RunProgress
from localai_app.services.benchmark_words import (
    benchmark_lines,
    difference_words,
    earlier_of,
    headline,
    setup_words,
)
from localai_app.services.benchmarks import BenchmarkWish
from localai_app.store.records import BenchmarkFigure
from tests.helpers.benchmarks import RECORD, benchmark_of


def test_each_figure_stands_beside_the_same_one_of_an_earlier_result() -> None:
    lines = benchmark_lines(RECORD, benchmark_of(1.25))
    assert [(line.what, line.speed, line.earlier, line.change) for line in lines][2:5] == [
        ("Prompt of 2,048 tokens", "171 tok/s", "137 tok/s", "+25%"),
        ("Answer at the start", "100 tok/s", "80 tok/s", "+25%"),
        ("Answer, 2,048 tokens in", "64 tok/s", "51 tok/s", "+25%")]
    assert lines[3].spread == "±3%"
    assert benchmark_lines(RECORD, RECORD)[0].change == "same"
    assert benchmark_lines(RECORD)[0].earlier == ""


def test_what_was_not_measured_says_why() -> None:
    short = msgspec.structs.replace(
        RECORD, ctx=4096, figures=(BenchmarkFigure(kind="generation", tokens=32, depth=8192),))
    (line,) = benchmark_lines(short, RECORD)
    assert line.speed == "not measured: needs a context of 8,224, it has 4,096"
    assert (line.spread, line.change, line.earlier) == ("", "", "25 tok/s")
    assert headline(short) == "nothing was measured"


def test_what_differs_from_an_earlier_result_is_named() -> None:
    assert difference_words(RECORD, RECORD) == ""
    build = benchmark_of(engine_build="llama-cpp-python 0.3.35; CPU : AVX2 = 1")
    assert difference_words(RECORD, build) == "another engine build (llama-cpp-python 0.3.35)"
    same_version = benchmark_of(engine_build="llama-cpp-python 0.3.36; CPU : AVX512 = 1")
    assert difference_words(RECORD, same_version) == "another build of the engine"
    assert difference_words(RECORD, benchmark_of(threads=4)) == "4 threads"
    on_gpu = benchmark_of(gpus=("RTX 4070",), gpu_layers=31, options={"ctx": 8448, "gpu_layers": 31, "kv_type": "q8_0"})
    assert difference_words(on_gpu, RECORD) == "other hardware (Test CPU 9000, 8 threads), gpu_layers 0, kv_type default"
    assert setup_words(on_gpu) == (
        "RTX 4070, 31 of 31 layers, 8 threads, context 8,448 (q8_0), llama-cpp-python 0.3.36")


def test_the_earlier_result_is_the_newest_one_before_of_the_same_model() -> None:
    first, second = benchmark_of(time_s=1.0), benchmark_of(time_s=2.0)
    other = benchmark_of(time_s=2.5, model_key="other")
    latest = benchmark_of(time_s=3.0)
    assert earlier_of(latest, (latest, other, first, second)) == second
    assert earlier_of(first, (latest, second, first)) is None


def test_headline_has_the_answer_at_its_start_and_the_longest_prompt() -> None:
    assert headline(RECORD) == "answers 100 tok/s, reads prompts at 171 tok/s"


@pytest.mark.parametrize(("wish", "needed"), [
    (BenchmarkWish(), 8448), (BenchmarkWish((2048,), ()), 2048), (BenchmarkWish((), (0,), 1), 256),
    (BenchmarkWish((), ()), 256)])
def test_the_context_that_a_benchmark_needs(wish: BenchmarkWish, needed: int) -> None:
    assert wish.needed_ctx == needed


def test_time_left_follows_from_the_speeds_so_far() -> None:
    assert RunProgress(1.0).left_s is None
    reading = BenchmarkProgressed(id=1, prompt_done=100, prompt_total=300, prompt_s=2.0, generated_total=10)
    assert RunProgress(1.0, reading).left_s == pytest.approx(200 * 0.02 + 10 * 0.2)
    both = msgspec.structs.replace(reading, prompt_done=300, prompt_s=6.0, generated_done=5, generation_s=4.0)
    assert RunProgress(1.0, both).left_s == pytest.approx(4.0)
    assert RunProgress(1.0, both).fraction == pytest.approx(10 / 14)

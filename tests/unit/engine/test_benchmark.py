"""The loop of a benchmark: what it runs and in which order, what it counts, and when it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from localai_app.engine.benchmark import BenchmarkKind, BenchmarkRow
from localai_app.engine.protocol import Benchmark, BenchmarkProgressed, Event
from localai_app.engine.worker.answer import AnswerAbortedError
from localai_app.engine.worker.benchmark import BenchmarkLoop
from localai_app.engine.worker.stop_flag import StopFlags


@dataclass
class RecordedTarget:
    """Writes down what is asked of it; `can_cut` false: like a recurrent cache."""

    ctx: int = 4096
    part_tokens: int = 512
    threads: int = 2
    can_cut: bool = True
    on_evaluate: Callable[[int], None] = lambda _count: None
    filled: int = 0
    steps: list[tuple[int, int]] = field(default_factory=list)
    """(tokens in the cache before, tokens evaluated)."""

    def evaluate(self, count: int) -> None:
        assert 1 <= count <= self.part_tokens
        assert self.filled + count <= self.ctx
        self.on_evaluate(count)
        self.steps.append((self.filled, count))
        self.filled += count

    def truncate(self, length: int) -> bool:
        assert length <= self.filled
        if length and not self.can_cut:
            self.filled = 0
            return False
        self.filled = length
        return True


class Events(list[Event]):
    def send(self, event: Event) -> None:
        self.append(event)

    @property
    def last(self) -> BenchmarkProgressed:
        progressed = [event for event in self if isinstance(event, BenchmarkProgressed)]
        return progressed[-1]


def loop_of(target: RecordedTarget, events: Events, **fields: object) -> BenchmarkLoop:
    return BenchmarkLoop(Benchmark(id=7, **fields), target, events, StopFlags())


def test_rows_come_rising_and_each_repeat_starts_from_its_depth() -> None:
    target, events = RecordedTarget(), Events()
    end = loop_of(target, events, prompt_tokens=(700, 100), depths=(600, 0), generated_tokens=2, repeats=2).run()
    assert [(row.kind, row.tokens, row.depth, len(row.seconds)) for row in end.rows] == [
        (BenchmarkKind.PROMPT, 100, 0, 2), (BenchmarkKind.PROMPT, 700, 0, 2),
        (BenchmarkKind.GENERATION, 2, 0, 2), (BenchmarkKind.GENERATION, 2, 600, 2)]
    assert target.steps == [
        (0, 512), (512, 1),  # warm-up
        (0, 100), (0, 100), (0, 512), (512, 188), (0, 512), (512, 188),
        (0, 1), (1, 1), (0, 1), (1, 1),
        (2, 512), (514, 86), (600, 1), (601, 1), (600, 1), (601, 1)]
    assert end.is_complete
    assert end.threads == 2


def test_a_cache_that_cannot_be_cut_is_read_again_and_counted() -> None:
    target, events = RecordedTarget(can_cut=False), Events()
    loop = loop_of(target, events, depths=(600,), generated_tokens=2, repeats=3)
    assert events == []
    loop.run()
    loop._report()
    assert target.steps.count((600, 1)) == 3
    assert (events.last.prompt_done, events.last.prompt_total) == (1800, 1800)
    assert (events.last.generated_done, events.last.generated_total) == (6, 6)


@pytest.mark.parametrize(("depth", "is_measured"), [(4094, True), (4095, False)])
def test_what_does_not_fit_the_context_is_not_measured(depth: int, is_measured: bool) -> None:
    end = loop_of(RecordedTarget(), Events(), prompt_tokens=(5000,), depths=(depth,), generated_tokens=2, repeats=1).run()
    prompt, generation = end.rows
    assert prompt.tps is None
    assert prompt.needed_ctx == 5000
    assert (generation.tps is not None) == is_measured
    assert end.is_complete


def test_nothing_to_do_evaluates_nothing() -> None:
    target = RecordedTarget()
    assert loop_of(target, Events()).run().rows == ()
    assert target.steps == []


def test_a_stop_keeps_the_rows_that_are_complete() -> None:
    def abort_in_the_second(count: int) -> None:
        if count == 300:
            raise AnswerAbortedError

    target = RecordedTarget(on_evaluate=abort_in_the_second)
    end = loop_of(target, Events(), prompt_tokens=(200, 300, 400), repeats=1).run()
    assert [row.tokens for row in end.rows] == [200]
    assert not end.is_complete


def test_a_stop_before_the_first_step() -> None:
    flags = StopFlags()
    flags.expect(7)
    flags.stop(7)
    flags.begin(7)
    target = RecordedTarget()
    end = BenchmarkLoop(Benchmark(id=7, prompt_tokens=(100,)), target, Events(), flags).run()
    assert (end.rows, end.is_complete, target.steps) == ((), False, [])


def test_the_speed_is_that_of_the_median() -> None:
    row = BenchmarkRow(kind=BenchmarkKind.PROMPT, tokens=100, seconds=(10.0, 2.0, 1.0))
    assert row.tps == 50.0

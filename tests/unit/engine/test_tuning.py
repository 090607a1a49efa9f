"""The short measurement of threads and steps, with a target whose speed is known and a clock that is its own."""

from __future__ import annotations

import pytest

from localai_app.engine.protocol import Tune, TuningKind, TuningRow
from localai_app.engine.tuning import Tuning, best_tuning, thread_candidates
from localai_app.engine.worker.stop_flag import StopFlags
from localai_app.engine.worker.tuning import TuningLoop


class Machine:
    """Single tokens are fastest with `best_threads`, prompts with `best_prompt`; a step of 1024 finds no memory."""

    def __init__(self, token_s: float = 0.01, best_threads: int = 2, best_prompt: int = 4) -> None:
        self.now_s = 0.0
        self.token_s = token_s
        self.best = {True: best_threads, False: best_prompt}
        self.threads = self.ubatch = 0
        self.used: tuple[int, int] | None = None
        self.is_closed = False
        self.on_evaluate = lambda: None

    def open(self, ubatch: int) -> bool:
        self.ubatch = ubatch
        return ubatch <= 512

    def set_threads(self, threads: int) -> None:
        self.threads = threads

    def evaluate(self, count: int) -> None:
        self.on_evaluate()
        slowness = 1.0 + abs(self.threads - self.best[count == 1])
        self.now_s += slowness * (self.token_s if count == 1 else count * self.token_s / 10 * (0.8 if count == 256 else 1.0))

    def use(self, threads: int, prompt_threads: int) -> None:
        self.used = threads, prompt_threads

    def close(self) -> None:
        self.is_closed = True


def run(machine: Machine, flags: StopFlags | None = None, **wish: object):
    command = Tune(id=1, **({"threads": (4, 2), "ubatches": (512, 256, 1024)} | wish))  # type: ignore[arg-type]
    return TuningLoop(command, machine, flags or StopFlags(), lambda: machine.now_s).run()


def test_the_fastest_values_are_found_and_used() -> None:
    machine = Machine()
    tuned = run(machine)
    assert tuned.is_complete
    assert best_tuning(tuned.rows) == Tuning(threads=2, prompt_threads=4, ubatch=256)
    assert machine.used == (2, 4)
    assert machine.is_closed


def test_it_takes_seconds_and_not_more() -> None:
    machine = Machine()
    run(machine)
    assert machine.now_s < 8.0


def test_a_slow_model_keeps_the_usual_values_and_is_not_measured_for_long() -> None:
    machine = Machine(token_s=2.0)
    tuned = run(machine)
    assert best_tuning(tuned.rows) == Tuning(threads=4, prompt_threads=4, ubatch=0)
    assert machine.now_s < 60.0


def test_threads_that_the_user_chose_are_left_alone() -> None:
    tuned = run(Machine(), threads=())
    assert {row.kind for row in tuned.rows} == {TuningKind.STEP}


def test_a_stop_ends_it_at_once_and_changes_nothing() -> None:
    machine, flags = Machine(), StopFlags()
    flags.expect(1)
    flags.begin(1)
    calls = []

    def stop_at_the_fifth() -> None:
        calls.append(1)
        if len(calls) == 5:
            flags.stop(1)

    machine.on_evaluate = stop_at_the_fifth
    tuned = run(machine, flags)
    assert not tuned.is_complete
    assert tuned.rows == ()
    assert machine.used == (0, 0)
    assert len(calls) == 5
    assert machine.is_closed


def test_nothing_is_measured_where_there_is_no_memory() -> None:
    assert run(Machine(), ubatches=(2048,)).rows == ()


@pytest.mark.parametrize(("usual", "other", "chosen"), [(100.0, 102.0, 4), (100.0, 104.0, 2), (100.0, 90.0, 4)])
def test_the_usual_value_stays_unless_another_is_clearly_faster(usual: float, other: float, chosen: int) -> None:
    rows = [
        TuningRow(kind=TuningKind.GENERATION, value=4, tps=usual), TuningRow(kind=TuningKind.GENERATION, value=2, tps=other)]
    assert best_tuning(rows).threads == chosen


@pytest.mark.parametrize(("physical", "logical", "expected"), [
    (1, 1, (1,)), (2, 2, (2, 1)), (4, 8, (4, 3, 2, 8)), (8, 8, (8, 7, 4)), (0, 0, (1,))])
def test_candidates_are_around_the_physical_cores(physical: int, logical: int, expected: tuple[int, ...]) -> None:
    assert thread_candidates(physical, logical) == expected

"""What is measured around an answer: energy from counters, the prediction, and drivers that hang or fail."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from localai_app.engine.protocol import FinishReason, GenerationStats
from localai_app.hardware.energy import Counter, Energy, EnergyReading
from localai_app.services import answer_meter
from localai_app.services.answer import message_stats
from localai_app.services.answer_meter import AnswerMeter
from localai_app.services.energy_words import energy_parts, energy_words
from localai_app.units import format_energy

COUNTS = GenerationStats(prompt_tokens=100, completion_tokens=41, completion_s=1.0, context_used=141, context_total=4096)


class Counters:
    """Counters that grow by 40 J with each reading."""

    def __init__(self) -> None:
        self.readings = 0
        self.is_closed = False
        self.gate = threading.Event()
        self.gate.set()

    def read(self) -> EnergyReading:
        assert self.gate.wait(10.0)
        self.readings += 1
        joules = 1_000.0 + 40.0 * self.readings
        return EnergyReading(time_s=0.0, counters=(Counter(device="GPU 0", kind="gpu", joules=joules),))

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
def meter(counters: Counters) -> Iterator[AnswerMeter]:
    asked = AnswerMeter(lambda depth: (float(depth), 2.0 * depth), lambda: counters)  # type: ignore[arg-type]
    yield asked
    counters.gate.set()
    asked.close()


def test_energy_and_prediction_are_kept_with_the_answer(meter: AnswerMeter, counters: Counters) -> None:
    started = meter.begin()
    stats = message_stats(COUNTS, FinishReason.STOP)
    assert stats is not None
    kept = meter.completed(stats, started, COUNTS)
    assert (kept.gpu_j, kept.processor_j) == (40.0, None)
    assert kept.expected_tps == 121.0
    assert kept.tps == stats.tps
    meter.close()
    assert counters.is_closed
    assert meter.begin() is None
    assert meter.energy(started) == Energy()


def test_a_driver_that_hangs_costs_its_patience_once(
    meter: AnswerMeter, counters: Counters, monkeypatch: pytest.MonkeyPatch, expect_log,
) -> None:
    monkeypatch.setattr(answer_meter, "PATIENCE_S", 0.05)
    expect_log("do not answer")
    counters.gate.clear()
    assert meter.energy(meter.begin()) == Energy()
    assert meter.begin() is None


def test_counters_that_fail_leave_the_energy_unknown(meter: AnswerMeter, counters: Counters, expect_log) -> None:
    def fail() -> EnergyReading:
        raise OSError("the driver is gone")

    expect_log("could not be read")
    counters.read = fail  # type: ignore[method-assign]
    assert meter.energy(meter.begin()) == Energy()


@pytest.mark.parametrize(("joules", "words"), [(0.777, "0.78 J"), (9.5, "9.5 J"), (42.3, "42 J"), (3210.0, "3.2 kJ")])
def test_energy_in_words(joules: float, words: str) -> None:
    assert format_energy(joules) == words


def test_what_an_answer_took() -> None:
    assert energy_parts(None, None) == energy_words(None, None, 10) == ""
    assert energy_parts(300.0, 20.0) == "320 J"
    assert energy_words(300.0, 20.0, 400).startswith(
        "Energy: 300 J by the GPU and 20 J by the processor, 0.8 J for each token.")
    assert energy_words(None, 20.0, 0).startswith("Energy: 20 J by the processor. ")

"""What is measured around an answer besides the engine's own counts: its energy, and what speed was predicted for it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError

import msgspec

from localai_app.engine.protocol import GenerationStats
from localai_app.hardware.energy import Energy, EnergyMeter, EnergyReading, energy_between
from localai_app.store.records import MessageStats

log = logging.getLogger(__name__)

PATIENCE_S = 0.5
"""A reading takes a millisecond; a driver that hangs must not hold up the end of an answer."""

Started = Future[EnergyReading] | None


class AnswerMeter:
    """Reads energy counters in a thread of its own, before and after. Two answers at once share what their devices took."""

    def __init__(
        self, expected_tps: Callable[[int], tuple[float, float] | None], make_meter: Callable[[], EnergyMeter] = EnergyMeter,
    ) -> None:
        """`expected_tps`: what is predicted of the model in use with so many tokens in its context: low, high."""
        self._expected_tps = expected_tps
        self._make_meter = make_meter
        self._meter: EnergyMeter | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="energy")
        self._is_hanging = False

    def close(self) -> None:
        """Measure no more; a reading that hangs is left to itself."""
        meter, self._meter = self._meter, None
        if meter is not None and not self._is_hanging:
            self._thread.submit(meter.close)
        self._thread.shutdown(wait=not self._is_hanging)

    def begin(self) -> Started:
        """An answer begins; returns at once."""
        if self._is_hanging:
            return None
        try:
            return self._thread.submit(self._read)
        except RuntimeError:
            # The program ends.
            return None

    def energy(self, started: Started) -> Energy:
        """What was taken since `begin`; unknown where nothing tells, or not at once."""
        ended = self.begin()
        if started is None or ended is None:
            return Energy()
        try:
            after = ended.result(PATIENCE_S)
            return energy_between(started.result(0), after)
        except FutureTimeoutError:
            self._is_hanging = True
            log.warning("the energy counters do not answer and are not read any more")
        except Exception:
            log.exception("the energy counters could not be read")
        return Energy()

    def completed(self, stats: MessageStats, started: Started, counts: GenerationStats) -> MessageStats:
        """The numbers to keep under an answer, with its energy and the speed that was predicted for it."""
        energy = self.energy(started)
        expected = self._expected_tps(max(0, counts.context_used - counts.completion_tokens // 2))
        return msgspec.structs.replace(
            stats, gpu_j=energy.gpu_j, processor_j=energy.processor_j,
            expected_tps=expected[0] if expected is not None else None)

    def _read(self) -> EnergyReading:
        if self._meter is None:
            self._meter = self._make_meter()
        return self._meter.read()

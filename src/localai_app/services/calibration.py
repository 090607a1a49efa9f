"""What was measured of loads and answers on this computer, kept in memory for every prediction and in the store for later."""

from __future__ import annotations

import logging
import threading

from localai_app.errors import AppError
from localai_app.fit.calibration import Calibration
from localai_app.services.events import EventBus, MeasurementsChanged
from localai_app.store.database import Store
from localai_app.store.measurements import KEPT_MEASUREMENTS
from localai_app.store.records import Measurement

log = logging.getLogger(__name__)


class CalibrationService:
    """Reads the measurements once and hands out corrections; `MeasurementsChanged` tells of new ones. Safe from any thread.

    `build` names the installed llama.cpp: what another one did corrects nothing.
    """

    def __init__(self, events: EventBus, store: Store, build: str) -> None:
        self._events = events
        self._store = store
        self._build = build
        self._lock = threading.Lock()
        self._measurements: tuple[Measurement, ...] | None = None
        self._calibration = Calibration()

    @property
    def build(self) -> str:
        """The llama.cpp that is measured now."""
        return self._build

    @property
    def calibration(self) -> Calibration:
        """What corrects predictions for this computer now."""
        self.measurements()
        return self._calibration

    def measurements(self) -> tuple[Measurement, ...]:
        """Everything measured, newest first."""
        with self._lock:
            if self._measurements is None:
                self._take(self._read())
            return self._measurements or ()

    def add(self, measurement: Measurement) -> None:
        """Take one more into account. A store that cannot be written to costs it at the next start, nothing else."""
        self.measurements()
        try:
            self._store.measurements.add(measurement)
        except AppError as error:
            log.info("a measurement could not be kept: %s", error.message)
        with self._lock:
            self._take((measurement, *(self._measurements or ()))[:KEPT_MEASUREMENTS])
        self._events.publish(MeasurementsChanged())

    def forget(self) -> None:
        """Forget all of them; AppError where the store cannot be written to."""
        self._store.measurements.clear()
        with self._lock:
            self._take(())
        self._events.publish(MeasurementsChanged())

    def _read(self) -> tuple[Measurement, ...]:
        try:
            return self._store.measurements.list()
        except AppError as error:
            log.info("the measurements cannot be read: %s", error.message)
            return ()

    def _take(self, measurements: tuple[Measurement, ...]) -> None:
        self._measurements = measurements
        self._calibration = Calibration(one for one in measurements if one.engine_build == self._build)

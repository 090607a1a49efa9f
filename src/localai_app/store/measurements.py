"""What was predicted of loads and answers on this computer, and what came of it: the newest few hundred."""

from __future__ import annotations

import logging

import msgspec

from localai_app.store.connection import StoreConnection
from localai_app.store.records import Measurement
from localai_app.store.text import storable

log = logging.getLogger(__name__)

KEPT_MEASUREMENTS = 400
"""Older ones are forgotten: a driver, a program in the background or a new llama.cpp changes what holds."""


class MeasurementStore:
    """The part of the store with one row for each load and each answer that was measured."""

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection

    def add(self, measurement: Measurement) -> None:
        """Keep one more, and as many of the newest as are kept."""
        measurement = msgspec.structs.replace(
            measurement, model_key=storable(measurement.model_key), model_name=storable(measurement.model_name))
        with self._connection.transaction():
            self._connection.write(
                "INSERT INTO measurements (measured_s, model_key, json) VALUES (?, ?, ?)",
                (measurement.time_s, measurement.model_key, msgspec.json.encode(measurement).decode()))
            self._connection.write(
                "DELETE FROM measurements WHERE id NOT IN (SELECT id FROM measurements ORDER BY id DESC LIMIT ?)",
                (KEPT_MEASUREMENTS,))

    def list(self) -> tuple[Measurement, ...]:
        """All of them, newest first; rows that cannot be read are left out."""
        found = []
        for row in self._connection.read("SELECT json FROM measurements ORDER BY id DESC"):
            try:
                found.append(msgspec.json.decode(row["json"], type=Measurement))
            except (msgspec.MsgspecError, UnicodeError) as error:
                log.info("a measurement cannot be read and is left out: %s", error)
        return tuple(found)

    def clear(self) -> None:
        """Forget all of them."""
        self._connection.write("DELETE FROM measurements")

"""Asks a worker of its own which devices llama.cpp sees."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from localai_app.engine.client import EngineClient
from localai_app.engine.launch import CommandSource
from localai_app.engine.protocol import DevicesListed, Event, ListDevices
from localai_app.errors import AppError
from localai_app.hardware.report import EngineDevice

log = logging.getLogger(__name__)

TIMEOUT_S = 30.0


def list_engine_devices(
    command: CommandSource, worker_dir: Path, given_up: threading.Event,
) -> tuple[EngineDevice, ...] | None:
    """Every device with its memory; None where llama.cpp cannot be asked. Setting `given_up` ends the wait."""
    answered = threading.Event()
    found: list[tuple[EngineDevice, ...]] = []

    def on_event(event: Event) -> None:
        if isinstance(event, DevicesListed):
            found.append(tuple(
                EngineDevice(name=device.name, description=device.description, kind=device.kind,
                             total_bytes=device.total_bytes, free_bytes=device.free_bytes)
                for device in event.devices))
            answered.set()

    try:
        worker_dir.mkdir(parents=True, exist_ok=True)
        client = EngineClient(command, cwd=worker_dir, on_event=on_event, on_exit=lambda _outcome: answered.set())
        client.start()
    except (AppError, OSError) as error:
        log.info("the engine could not be asked for its devices: %s", error)
        return None
    client.send(ListDevices(id=1))
    waited_s = 0.0
    while not answered.wait(0.1) and not given_up.is_set() and waited_s < TIMEOUT_S:
        waited_s += 0.1
    client.stop()
    return found[0] if found else None

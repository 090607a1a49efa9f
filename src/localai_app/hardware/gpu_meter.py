"""Free memory of the GPUs again and again, without probing anew: for gauges."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from contextlib import ExitStack
from typing import Any, Self

import msgspec

from localai_app.hardware.amd import read_amd_free
from localai_app.hardware.apple import read_apple_free
from localai_app.hardware.intel import read_intel_free
from localai_app.hardware.memory import measure_memory
from localai_app.hardware.nvidia import nvml_session, read_nvidia_free
from localai_app.hardware.probe import FreeReading
from localai_app.hardware.report import Gpu, Vendor

log = logging.getLogger(__name__)
_Key = tuple[str, Vendor, int | None]


class GpuMeter:
    """Reads free memory of a report's GPUs; NVML stays open between readings, so one costs a few milliseconds.

    A driver that hangs costs `timeout_s` once: until it answers, readings return the last known figures at
    once. Use it from one thread; close it (or leave its `with` block) to let the driver sleep.
    """

    def __init__(self, gpus: tuple[Gpu, ...], *, timeout_s: float = 1.0) -> None:
        self._timeout_s = timeout_s
        self._sources = {(gpu.source, gpu.vendor) for gpu in gpus}
        self._apple_total_bytes = next((gpu.total_bytes for gpu in gpus if gpu.vendor is Vendor.APPLE), None)
        self._open = ExitStack()
        self._nvml: Any = None
        self._is_nvml_tried = False
        self._thread: threading.Thread | None = None
        self._readings: tuple[FreeReading, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def measure(self, gpus: tuple[Gpu, ...]) -> tuple[Gpu, ...]:
        """`gpus` with `free_bytes` as it is now; everything else, and GPUs that cannot be read, as they were."""
        if not self._sources:
            return gpus
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._read, name="gpu-meter", daemon=True)
            self._thread.start()
            self._thread.join(self._timeout_s)
        return _with_free(gpus, self._readings)

    def close(self) -> None:
        """Let go of NVML, unless a reading still hangs in it."""
        if self._thread is None or not self._thread.is_alive():
            self._open.close()
            self._nvml, self._is_nvml_tried = None, False

    def _read(self) -> None:
        try:
            self._readings = self._read_all()
        except Exception as error:  # noqa: BLE001 - a gauge that fails shows its last figure
            log.warning("the memory of the GPUs could not be read: %s", error)

    def _read_all(self) -> tuple[FreeReading, ...]:
        readings: list[FreeReading] = []
        if ("nvml", Vendor.NVIDIA) in self._sources:
            if not self._is_nvml_tried:
                self._nvml, self._is_nvml_tried = self._open.enter_context(nvml_session()), True
            if self._nvml is not None:
                readings.extend(read_nvidia_free(self._nvml))
        if ("sysfs", Vendor.AMD) in self._sources:
            readings.extend(read_amd_free())
        if ("sysfs", Vendor.INTEL) in self._sources:
            readings.extend(read_intel_free())
        if ("metal", Vendor.APPLE) in self._sources:
            readings.extend(read_apple_free(self._apple_total_bytes))
        return tuple(readings)


def _with_free(gpus: tuple[Gpu, ...], readings: tuple[FreeReading, ...]) -> tuple[Gpu, ...]:
    """Readings matched to GPUs by source, maker and size; equal cards keep the order in which they are listed."""
    waiting: defaultdict[_Key, list[int | None]] = defaultdict(list)
    for reading in readings:
        waiting[(reading.source, reading.vendor, reading.total_bytes)].append(reading.free_bytes)
    measured = []
    for gpu in gpus:
        found = waiting[(gpu.source, gpu.vendor, gpu.total_bytes)]
        free = found.pop(0) if found else None
        if free is None and gpu.source == "registry" and gpu.unified and gpu.total_bytes is not None:
            free = min(gpu.total_bytes, measure_memory().available_bytes)
        measured.append(gpu if free is None else msgspec.structs.replace(gpu, free_bytes=free))
    return tuple(measured)

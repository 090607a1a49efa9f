"""Energy that GPUs and processor packages take, from counters of NVML and of Intel's RAPL; unknown where they cannot be read.

A reading is what each counter says; the energy between two readings is their difference. Counters count everything that the
device does, whoever asked for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import msgspec

from localai_app.hardware.nvidia import nvml_session
from localai_app.hardware.probe import read_int, read_text

_RAPL = "sys/class/powercap"


class Counter(msgspec.Struct, frozen=True, kw_only=True):
    """One counter at one moment. `wraps_at_j`: where it begins at zero again; None: never."""

    device: str
    """GPU 0 or processor 0: one each."""
    kind: str
    """gpu or processor."""
    joules: float
    wraps_at_j: float | None = None


class EnergyReading(msgspec.Struct, frozen=True, kw_only=True):
    """All counters at one moment of the monotonic clock."""

    time_s: float
    counters: tuple[Counter, ...] = ()


class Energy(msgspec.Struct, frozen=True, kw_only=True):
    """Joules between two readings, of everything that tells; None where nothing of that kind does."""

    gpu_j: float | None = None
    processor_j: float | None = None


class EnergyMeter:
    """Keeps NVML open between readings, so that one costs a millisecond. Use it from one thread; close it."""

    def __init__(self, *, root: Path = Path("/"), clock: Callable[[], float] = time.monotonic) -> None:
        self._root = root
        self._clock = clock
        self._open = ExitStack()
        self._nvml: Any = None
        self._is_nvml_tried = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of NVML."""
        self._open.close()
        self._nvml, self._is_nvml_tried = None, False

    def read(self) -> EnergyReading:
        """Every counter that can be read now."""
        if not self._is_nvml_tried:
            self._nvml, self._is_nvml_tried = self._open.enter_context(nvml_session()), True
        gpus = _read_nvml(self._nvml) if self._nvml is not None else []
        return EnergyReading(time_s=self._clock(), counters=(*gpus, *read_rapl(self._root)))


def energy_between(before: EnergyReading, after: EnergyReading) -> Energy:
    """What was taken between two readings: of each device that both of them have, with a counter that went round once."""
    known = {counter.device: counter for counter in before.counters}
    sums: dict[str, float] = {}
    for counter in after.counters:
        start = known.get(counter.device)
        if start is None:
            continue
        joules = counter.joules - start.joules
        if joules < 0:
            if counter.wraps_at_j is None:
                # A driver that was loaded again counts from zero.
                continue
            joules += counter.wraps_at_j
        sums[counter.kind] = sums.get(counter.kind, 0.0) + joules
    return Energy(gpu_j=sums.get("gpu"), processor_j=sums.get("processor"))


def read_rapl(root: Path) -> list[Counter]:
    """Processor packages by Linux's powercap; none without the right to read them (0400 root since kernel 5.10).

    Only whole packages (`intel-rapl:0`, AMD too) count: cores and memory below them are parts of the same energy. The MMIO
    interface repeats a package.
    """
    counters = []
    folder = root / _RAPL
    try:
        zones = sorted(folder.glob("intel-rapl:*"))
    except OSError:
        return []
    for zone in zones:
        if zone.name.count(":") != 1 or not (read_text(zone / "name") or "").startswith("package"):
            continue
        microjoules, wraps_at = read_int(zone / "energy_uj"), read_int(zone / "max_energy_range_uj")
        if microjoules is not None:
            counters.append(Counter(
                device=f"processor {zone.name.partition(':')[2]}", kind="processor", joules=microjoules / 1e6,
                wraps_at_j=wraps_at / 1e6 if wraps_at else None))
    return counters


def _read_nvml(pynvml: Any) -> list[Counter]:
    """The counter of each GPU (since Volta), in millijoules since the driver was loaded."""
    counters = []
    try:
        for index in range(pynvml.nvmlDeviceGetCount()):
            try:
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                millijoules = pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
            except pynvml.NVMLError:
                continue
            counters.append(Counter(device=f"GPU {index}", kind="gpu", joules=millijoules / 1e3))
    except pynvml.NVMLError:
        return counters
    return counters

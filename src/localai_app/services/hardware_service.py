"""The hardware report and the live gauges."""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec
import psutil

from localai_app.engine.launch import CommandSource
from localai_app.errors import AppError
from localai_app.hardware.bandwidth import measure_memory_bandwidth
from localai_app.hardware.detect import cross_check, detect_hardware
from localai_app.hardware.gpu_meter import GpuMeter
from localai_app.hardware.memory import measure_memory
from localai_app.hardware.report import Gpu, HardwareReport
from localai_app.paths import AppPaths
from localai_app.services.engine_devices import list_engine_devices
from localai_app.services.events import EventBus, HardwareReported, MemoryMeasured
from localai_app.store.database import Store
from localai_app.units import GIB

log = logging.getLogger(__name__)

GAUGE_INTERVAL_S = 1.0
STOP_TIMEOUT_S = 1.0
"""A driver that hangs must not hold up the end of the program."""
BANDWIDTH_FACT = "memory_bandwidth"
MEASURE_AGAIN_S = 10.0
"""After a start, so that what starts with the program does not share the memory while its speed is measured again."""
BETTER_BANDWIDTH = 1.03
"""A new figure this much above the known one replaces it; less is noise, and every estimate would be made again for it."""


@dataclass(frozen=True, slots=True)
class FreeMemory:
    """Bytes that are free in main memory, and on GPUs with memory of their own together."""

    main_bytes: int
    gpu_bytes: int


class HardwareService:
    """Probes once in the background, then measures memory every second while it runs."""

    def __init__(
        self, events: EventBus, store: Store, paths: AppPaths, worker_command: CommandSource,
        engine_pids: Callable[[], Mapping[str, int]],
    ) -> None:
        self._events = events
        self._store = store
        self._paths = paths
        self._worker_command = worker_command
        self._engine_pids = engine_pids
        self._report: HardwareReport | None = None
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._meter: GpuMeter | None = None
        self._measuring = threading.Lock()

    @property
    def report(self) -> HardwareReport | None:
        """The newest report; None until the probes have answered."""
        return self._report

    def start(self) -> None:
        """Begin probing and measuring; returns at once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="hardware", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End measuring; waits a second at most for a question that is under way."""
        self._stopped.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(STOP_TIMEOUT_S)
            if thread.is_alive():
                log.info("the hardware is still being asked; that question ends by itself")
                return
        if self._meter is not None:
            self._meter.close()
            self._meter = None

    def detect_now(self, *, with_engine: bool = True) -> HardwareReport:
        """Probe in the calling thread (about a second); for the command line."""
        report = self._with_bandwidth(detect_hardware())
        self._keep(report)
        if with_engine:
            report = self._with_engine_devices(report)
        self._keep(report)
        return report

    def report_now(self) -> HardwareReport:
        """The report with free memory as it is at this moment; takes milliseconds once the probes have answered."""
        report = self._measured()
        return report if report is not None else self.detect_now(with_engine=False)

    def free_now(self) -> FreeMemory:
        """What is free at this moment, in milliseconds; no GPU counts before the probes have answered."""
        report = self._measured()
        if report is None:
            return FreeMemory(measure_memory().available_bytes, 0)
        return FreeMemory(report.memory.available_bytes, sum(gpu.free_bytes or 0 for gpu in report.gpus if not gpu.unified))

    def look_again(self) -> None:
        """List the engine's devices anew, in the calling thread (about a second); the news is published as at the start."""
        report = self._report
        if report is not None and not self._stopped.is_set():
            self._publish(self._with_engine_devices(report))

    def _run(self) -> None:
        self._guarded(self._probe)
        measure_again_s = time.monotonic() + MEASURE_AGAIN_S
        while not self._stopped.wait(GAUGE_INTERVAL_S):
            self._guarded(self._measure)
            if time.monotonic() >= measure_again_s:
                measure_again_s = math.inf
                self._guarded(self._measure_bandwidth_again)

    def _guarded(self, step: Callable[[], None]) -> None:
        """A reading that fails must not end the readings after it."""
        try:
            step()
        except Exception:
            if not self._stopped.is_set():
                log.exception("the hardware could not be read")

    def _probe(self) -> None:
        self._publish(self._with_bandwidth(detect_hardware()))
        if self._report is not None and not self._stopped.is_set():
            self._publish(self._with_engine_devices(self._report))

    def _publish(self, report: HardwareReport) -> None:
        if not self._stopped.is_set():
            self._keep(report)
            self._events.publish(HardwareReported(report))
            self._measure()

    def _keep(self, report: HardwareReport) -> None:
        with self._measuring:
            self._report = report

    def _measure(self) -> None:
        report = self._measured()
        if report is not None:
            engines = tuple((key, _rss_bytes(pid)) for key, pid in self._engine_pids().items())
            held = sum(rss_bytes for _key, rss_bytes in engines)
            self._events.publish(MemoryMeasured(report.memory, report.gpus, held, engines))

    def _measured(self) -> HardwareReport | None:
        """The kept report with free memory as it is now, which is kept as well."""
        with self._measuring:
            report = self._report
            if report is None:
                return None
            bandwidth = report.memory.bandwidth_bytes_per_s
            memory = msgspec.structs.replace(measure_memory(), bandwidth_bytes_per_s=bandwidth)
            self._report = report = msgspec.structs.replace(report, memory=memory, gpus=self._measure_gpus(report))
            return report

    def _measure_gpus(self, report: HardwareReport) -> tuple[Gpu, ...]:
        """Memory of the GPUs now, over a driver connection that stays open between readings."""
        if not report.gpus:
            return ()
        if self._meter is None:
            self._meter = GpuMeter(report.gpus)
        return self._meter.measure(report.gpus)

    def _with_bandwidth(self, report: HardwareReport) -> HardwareReport:
        """The report with the copy speed of main memory: the best that was ever measured on this processor and memory."""
        bandwidth = self._known_number(_bandwidth_fact(report))
        if bandwidth is None:
            bandwidth = measure_memory_bandwidth()
            _remember_bandwidth(self._store, report, bandwidth)
        return _replace_bandwidth(report, bandwidth)

    def _measure_bandwidth_again(self) -> None:
        """Once after every start: a computer that was busy the first time measured too little, and never too much."""
        report = self._report
        if report is None:
            return
        bandwidth = measure_memory_bandwidth()
        if bandwidth > BETTER_BANDWIDTH * (report.memory.bandwidth_bytes_per_s or 0.0):
            _remember_bandwidth(self._store, report, bandwidth)
            self._publish(_replace_bandwidth(report, bandwidth))

    def _known_number(self, fact: str) -> float | None:
        with contextlib.suppress(AppError, ValueError):
            return float(self._store.library.get_fact(fact) or "")
        return None

    def _with_engine_devices(self, report: HardwareReport) -> HardwareReport:
        """The report cross-checked with the devices that llama.cpp lists; unchanged if it cannot be asked."""
        devices = list_engine_devices(self._worker_command, self._paths.worker_dir, self._stopped)
        return report if devices is None else cross_check(report, devices)


def _rss_bytes(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _bandwidth_fact(report: HardwareReport) -> str:
    """The name under which the store keeps the figure; other memory modules have another one."""
    memory_gib = round(report.memory.total_bytes / GIB)
    return f"{BANDWIDTH_FACT}:{report.cpu.model}:{report.cpu.physical_cores}:{memory_gib}"


def _remember_bandwidth(store: Store, report: HardwareReport, bandwidth: float) -> None:
    # Not worth an error: it is measured again at the next start.
    with contextlib.suppress(AppError):
        store.library.set_fact(_bandwidth_fact(report), str(bandwidth))


def _replace_bandwidth(report: HardwareReport, bandwidth: float) -> HardwareReport:
    return msgspec.structs.replace(
        report, memory=msgspec.structs.replace(report.memory, bandwidth_bytes_per_s=bandwidth))

"""What runs by itself stays in the background: it yields to the window, is not done twice, and ends at once."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from localai_app.fit.result import FitResult, Verdict
from localai_app.hardware.report import Gpu, Vendor
from localai_app.services import discovery_service, hardware_service
from localai_app.services.app_services import AppServices
from localai_app.services.background import BackgroundPool
from localai_app.services.events import EventBus, HardwareReported, MemoryMeasured, SuggestionsChanged
from localai_app.services.hardware_service import HardwareService
from localai_app.units import GIB
from tests.helpers.services_fixture import EventRecorder, open_services, wait_until

LONGEST_STALL_S = 0.05


@pytest.fixture
def services(tmp_path: Path) -> Iterator[AppServices]:
    with open_services(tmp_path) as opened:
        opened.hardware.detect_now(with_engine=False)
        yield opened


@pytest.fixture
def computations(services: AppServices, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The times at which suggestions were begun to be computed in the background."""
    begun: list[float] = []
    compute = services.discovery._rows_at_ease

    def counted(report: Any) -> Any:
        begun.append(time.monotonic())
        return compute(report)

    monkeypatch.setattr(services.discovery, "_rows_at_ease", counted)
    return begun


def is_idle(services: AppServices) -> bool:
    return not services.discovery._wishes.is_busy


@contextmanager
def heartbeat() -> Iterator[list[float]]:
    """How late a thread was that wanted to run every millisecond (the window's, say), in seconds."""
    delays: list[float] = []
    stopped = threading.Event()

    def beat() -> None:
        last_s = time.perf_counter()
        while not stopped.is_set():
            time.sleep(0.001)
            now_s = time.perf_counter()
            delays.append(now_s - last_s - 0.001)
            last_s = now_s

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield delays
    finally:
        stopped.set()
        thread.join()


def report_with_free(services: AppServices, free_bytes: int) -> None:
    """Let the hardware service have measured this much free memory."""
    report = services.hardware.report
    assert report is not None
    memory = msgspec.structs.replace(report.memory, available_bytes=free_bytes)
    services.hardware._report = msgspec.structs.replace(report, memory=memory)
    services.events.publish(MemoryMeasured(memory, report.gpus, 0))


def test_computing_suggestions_does_not_hold_up_other_threads(services: AppServices) -> None:
    with heartbeat() as delays:
        for _ in range(3):
            services.discovery.refresh()
            wait_until(lambda: is_idle(services))
    assert len(services.discovery.rows()) > 100
    # A busy computer may hold up any thread: what happens nearly always is what this program causes.
    late = sorted(delays)[int(len(delays) * 0.99)]
    assert late < LONGEST_STALL_S / 5
    assert sum(delay > LONGEST_STALL_S for delay in delays) <= 2


def test_wishes_that_come_while_it_computes_are_granted_together(services: AppServices, computations: list[float]) -> None:
    threads = [threading.Thread(target=services.discovery.refresh) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: is_idle(services))
    assert 1 <= len(computations) <= 5


def test_memory_that_moves_all_the_time_is_followed_at_intervals(
    services: AppServices, computations: list[float], monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(discovery_service, "MEMORY_INTERVAL_S", 0.5)
    started_s = time.monotonic()
    for step in range(40):
        report_with_free(services, (8 + step % 5) * GIB)
        time.sleep(0.03)
    wait_until(lambda: is_idle(services))
    assert 2 <= len(computations) <= 1 + int((time.monotonic() - started_s) / 0.5)


def test_a_little_memory_more_or_less_changes_nothing(services: AppServices, computations: list[float]) -> None:
    for step in range(20):
        report_with_free(services, 8 * GIB + step * 20_000_000)
    wait_until(lambda: is_idle(services))
    assert len(computations) == 1


def test_memory_that_another_program_takes_from_the_gpu_changes_badges_within_seconds(services: AppServices) -> None:
    """Acceptance 11 with a simulated card, the whole catalog, and gauges that read every second."""
    report = services.hardware.report
    assert report is not None
    card = Gpu(
        index=0, name="NVIDIA GeForce RTX 4070", vendor=Vendor.NVIDIA, total_bytes=12 * GIB, free_bytes=11 * GIB)
    report = msgspec.structs.replace(report, gpus=(card,))

    def show(free_bytes: int) -> None:
        shown = msgspec.structs.replace(report, gpus=(msgspec.structs.replace(card, free_bytes=free_bytes),))
        services.hardware._report = shown
        services.events.publish(MemoryMeasured(shown.memory, shown.gpus, 0))

    def fit() -> FitResult | None:
        row = next((row for row in services.discovery.rows() if row.model.id == "qwen3-8b"), None)
        return row.fit_of("Q8_0") if row is not None else None

    show(11 * GIB)
    wait_until(lambda: is_idle(services) and (found := fit()) is not None and found.verdict is Verdict.GPU)
    started_s = time.monotonic()
    while (found := fit()) is None or found.verdict is Verdict.GPU:
        show(11 * GIB - 3_000_000_000)
        assert time.monotonic() - started_s < 12
        time.sleep(1.0)
    assert found.verdict is Verdict.GPU_PARTIAL
    assert any(reason.startswith("2.8 GiB less is free on NVIDIA GeForce RTX 4070 than at ") for reason in found.reasons)


def test_the_same_report_again_is_not_computed_again(services: AppServices, computations: list[float]) -> None:
    report = services.hardware.report
    assert report is not None
    for _ in range(3):
        services.events.publish(HardwareReported(report))
        wait_until(lambda: is_idle(services))
    assert len(computations) == 1


def test_a_setting_that_decides_what_fits_is_followed_at_once(services: AppServices) -> None:
    recorder = EventRecorder(services)
    services.discovery.refresh()
    recorder.wait_for(SuggestionsChanged)
    before = services.discovery.rows()
    services.settings.set("context_tokens", 32768)
    recorder.wait_for(SuggestionsChanged, 2)
    assert services.discovery.rows() != before


def test_closing_while_everything_starts_is_quick(tmp_path: Path) -> None:
    for wait_s in (0.0, 0.1, 0.4, 0.8):
        with open_services(tmp_path, echo=None) as services:
            services.start()
            services.discovery.refresh()
            time.sleep(wait_s)
            started_s = time.monotonic()
            services.close()
            assert time.monotonic() - started_s < 2.0, f"after {wait_s} s"


def test_a_worker_that_never_names_its_devices_does_not_hold_up_the_end(tmp_path: Path, services: AppServices) -> None:
    silent = [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"]
    hardware = HardwareService(EventBus(), services.store, services.paths, silent, engine_pids=dict)
    events: list[object] = []
    hardware._events.subscribe(events.append)
    hardware.start()
    wait_until(lambda: any(isinstance(event, HardwareReported) for event in events))
    started_s = time.monotonic()
    hardware.stop()
    assert time.monotonic() - started_s < 1.5
    wait_until(lambda: not [one for one in threading.enumerate() if one.name in ("hardware", *_CLIENT_THREADS)], 10)


_CLIENT_THREADS = ("engine-reader", "engine-writer", "engine-log", "engine-watchdog")


def test_the_gauges_go_on_where_the_engine_cannot_be_started_and_the_store_is_full(services: AppServices) -> None:
    services.store.library._connection._connection.execute("PRAGMA query_only = ON")
    missing = [str(services.paths.data / "no-such-program")]
    bus = EventBus()
    events: list[object] = []
    bus.subscribe(events.append)
    hardware = HardwareService(bus, services.store, services.paths, missing, engine_pids=dict)
    hardware.start()
    try:
        wait_until(lambda: sum(isinstance(event, MemoryMeasured) for event in events) >= 3)
    finally:
        hardware.stop()


def test_a_better_memory_speed_than_that_of_a_busy_first_start_replaces_it(
    services: AppServices, monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = services.hardware.report_now().memory.bandwidth_bytes_per_s
    assert known is not None
    speeds = iter([3 * known, known])
    monkeypatch.setattr(hardware_service, "measure_memory_bandwidth", lambda: next(speeds))
    monkeypatch.setattr(hardware_service, "MEASURE_AGAIN_S", 0.0)
    assert bandwidth_after_a_start(services, wanted=3 * known) == 3 * known
    assert bandwidth_after_a_start(services, wanted=3 * known) == 3 * known


def bandwidth_after_a_start(services: AppServices, wanted: float) -> float | None:
    bus = EventBus()
    events: list[object] = []
    bus.subscribe(events.append)
    hardware = HardwareService(bus, services.store, services.paths, ["no-such-program"], engine_pids=dict)
    hardware.start()
    try:
        wait_until(lambda: hardware.report is not None and hardware.report.memory.bandwidth_bytes_per_s == wanted)
        wait_until(lambda: sum(isinstance(event, MemoryMeasured) for event in events) >= 4)
    finally:
        hardware.stop()
    assert hardware.report is not None
    return hardware.report.memory.bandwidth_bytes_per_s


def test_a_plan_is_made_with_the_memory_that_is_free_now(services: AppServices) -> None:
    report_with_free(services, 1)
    now = services.hardware.report_now()
    assert now.memory.available_bytes > 1
    assert now.memory.bandwidth_bytes_per_s


def test_a_closed_pool_refuses_quietly() -> None:
    pool = BackgroundPool()
    assert pool.submit(lambda: 1).result(5) == 1
    pool.close()
    assert pool.submit(lambda: 1).cancelled()


def test_a_subscriber_that_fails_or_leaves_does_not_keep_the_others_from_hearing(expect_log: Any) -> None:
    expect_log("a subscriber failed")
    bus = EventBus()
    heard: list[str] = []

    def leave_while_told(_event: object) -> None:
        heard.append("leaver")
        unsubscribe()

    unsubscribe = bus.subscribe(leave_while_told)
    bus.subscribe(lambda _event: 1 / 0)  # type: ignore[arg-type,return-value]
    bus.subscribe(lambda _event: heard.append("last"))
    bus.publish(SuggestionsChanged())
    bus.publish(SuggestionsChanged())
    assert heard == ["leaver", "last", "last"]


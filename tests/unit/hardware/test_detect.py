"""All probes together: time limits, failures, merging, gauges and the cross-check with llama.cpp."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import NoReturn

import msgspec
import pytest

from localai_app.hardware.detect import cross_check, default_probes, detect_hardware, measure_gpus
from localai_app.hardware.gpu_meter import GpuMeter
from localai_app.hardware.probe import Findings, Probe
from localai_app.hardware.report import Cpu, EngineDevice, Gpu, HardwareReport, Memory, ProbeNote, Vendor

GIB = 1024**3
CPU = Cpu(model="Test CPU", architecture="x86_64", physical_cores=8, logical_cores=16)
MEMORY = Memory(total_bytes=64 * GIB, available_bytes=48 * GIB)
BASE = (Probe("cpu", lambda: Findings(cpu=CPU)), Probe("memory", lambda: Findings(memory=MEMORY)))


def _gpu(
    name: str, size: int | None = 24, *, vendor: Vendor = Vendor.NVIDIA, source: str = "nvml", unified: bool = False,
) -> Gpu:
    total = None if size is None else size * GIB
    return Gpu(index=0, name=name, vendor=vendor, total_bytes=total, free_bytes=total, unified=unified, source=source)


def _report(*gpus: Gpu) -> HardwareReport:
    return detect_hardware(probes=(*BASE, Probe("gpus", lambda: Findings(gpus=gpus))))


def _device(name: str, description: str, *, kind: str = "gpu", total: int = 24) -> EngineDevice:
    return EngineDevice(name=name, description=description, kind=kind, total_bytes=total * GIB, free_bytes=total * GIB)


CPU_DEVICE = _device("CPU", "Test CPU", kind="cpu", total=64)


def _raise() -> NoReturn:
    raise OSError("the driver bit the dust")


@pytest.fixture
def hanging() -> Iterator[Callable[[], Findings]]:
    """A probe that does not return before the test is over."""
    release = threading.Event()

    def hang() -> Findings:
        release.wait(30)
        return Findings(gpus=(_gpu("too late"),))

    yield hang
    release.set()


def test_this_computer_is_described_quickly() -> None:
    begin_s = time.monotonic()
    report = detect_hardware()
    assert time.monotonic() - begin_s < 3.5
    assert report.cpu.physical_cores >= 1
    assert report.memory.total_bytes > 0
    assert report.system == {"darwin": "macos", "win32": "windows"}.get(sys.platform, "linux")
    assert msgspec.json.decode(msgspec.json.encode(report), type=HardwareReport) == report


def test_a_probe_that_raises_becomes_a_note(expect_log) -> None:
    expect_log("the probe amd failed")
    report = detect_hardware(probes=(*BASE, Probe("amd", _raise), Probe("nvidia", lambda: Findings(gpus=(_gpu("RTX"),)))))
    assert report.cpu == CPU
    assert [gpu.name for gpu in report.gpus] == ["RTX"]
    (note,) = report.notes
    assert (note.probe, "the driver bit the dust" in note.message, note.remedy != "") == ("amd", True, True)


def test_a_probe_that_hangs_costs_the_time_limit_once(expect_log, hanging: Callable[[], Findings]) -> None:
    expect_log("did not answer within")
    begin_s = time.monotonic()
    report = detect_hardware(probes=(Probe("nvidia", hanging), Probe("amd", hanging), *BASE), timeout_s=0.2)
    assert time.monotonic() - begin_s < 2
    assert (report.cpu, report.memory, report.gpus) == (CPU, MEMORY, ())
    assert [note.probe for note in report.notes] == ["nvidia", "amd"]
    assert all(note.remedy for note in report.notes)


def test_nothing_at_all_still_makes_a_report(expect_log) -> None:
    expect_log("the probe (cpu|memory) failed")
    report = detect_hardware(probes=(Probe("cpu", _raise), Probe("memory", _raise)))
    assert report.cpu.physical_cores >= 1
    assert report.memory.total_bytes == 0
    assert {note.probe for note in report.notes} == {"cpu", "memory"}


@pytest.mark.parametrize(("system", "names"), [
    ("linux", {"cpu", "memory", "nvidia", "amd", "intel"}), ("darwin", {"cpu", "memory", "apple"}),
    ("win32", {"cpu", "memory", "nvidia", "windows_gpu"}),
])
def test_each_system_has_its_probes(system: str, names: set[str]) -> None:
    assert {probe.name for probe in default_probes(system)} == names


def test_cards_come_first_then_the_largest_numbered_in_that_order() -> None:
    report = _report(
        _gpu("iGPU", 48, vendor=Vendor.INTEL, source="sysfs", unified=True), _gpu("8 GB", 8), _gpu("24 GB", 24),
        _gpu("unknown", None, vendor=Vendor.AMD, source="sysfs"))
    assert [(gpu.index, gpu.name) for gpu in report.gpus] == [(0, "24 GB"), (1, "8 GB"), (2, "unknown"), (3, "iGPU")]


def test_no_card_is_counted_twice() -> None:
    registry = _gpu("NVIDIA GeForce RTX 4090", source="registry")
    radeon = _gpu("AMD Radeon(TM) Graphics", 16, vendor=Vendor.AMD, source="registry", unified=True)
    both = _report(registry, radeon, _gpu("NVIDIA GeForce RTX 4090"))
    assert [(gpu.source, gpu.vendor) for gpu in both.gpus] == [("nvml", Vendor.NVIDIA), ("registry", Vendor.AMD)]
    without_nvml = _report(registry, radeon)
    assert [gpu.source for gpu in without_nvml.gpus] == ["registry", "registry"]
    assert len(_report(_gpu("RTX 3090"), _gpu("RTX 3090")).gpus) == 2


def test_gauges_of_a_gpu_that_is_gone_keep_their_last_figure() -> None:
    report = _report(_gpu("Radeon that is not in this computer", 13, vendor=Vendor.AMD, source="sysfs"))
    assert measure_gpus(report) == report.gpus
    assert measure_gpus(_report()) == ()


def test_gauges_of_integrated_graphics_on_windows_follow_main_memory() -> None:
    report = _report(_gpu("AMD Radeon(TM) Graphics", 10_000, vendor=Vendor.AMD, source="registry", unified=True))
    (gpu,) = measure_gpus(report)
    assert gpu.free_bytes is not None
    assert 0 < gpu.free_bytes < 10_000 * GIB


def test_a_driver_that_hangs_stops_the_gauges_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr("localai_app.hardware.gpu_meter.read_amd_free", lambda: release.wait(30) and ())
    gpus = _report(_gpu("Radeon", vendor=Vendor.AMD, source="sysfs")).gpus
    with GpuMeter(gpus, timeout_s=0.2) as meter:
        begin_s = time.monotonic()
        assert [meter.measure(gpus) for _ in range(5)] == [gpus] * 5
        assert time.monotonic() - begin_s < 1.5
        release.set()


def test_llama_cpp_and_the_probes_agree() -> None:
    report = _report(_gpu("NVIDIA GeForce RTX 4090"))
    devices = (_device("CUDA0", "NVIDIA GeForce RTX 4090"), CPU_DEVICE)
    checked = cross_check(report, devices)
    assert (checked.engine_devices, checked.notes, checked.gpus) == (devices, (), report.gpus)


@pytest.mark.parametrize(("gpu", "words"), [
    (_gpu("NVIDIA GeForce RTX 4090"), "CUDA"),
    (_gpu("AMD Radeon RX 7900 XTX", vendor=Vendor.AMD, source="sysfs"), "ROCm"),
    (_gpu("Apple M3", vendor=Vendor.APPLE, source="metal", unified=True), "Metal"),
])
def test_an_engine_without_gpu_support_is_told_with_its_remedy(gpu: Gpu, words: str) -> None:
    checked = cross_check(_report(gpu), (CPU_DEVICE, _device("BLAS", "Accelerate", kind="accelerator", total=0)))
    (note,) = checked.notes
    assert note.probe == "engine"
    assert gpu.name in note.message
    assert words in note.remedy
    assert cross_check(checked, (CPU_DEVICE,)).notes == checked.notes


def test_a_gpu_that_only_llama_cpp_sees_is_told() -> None:
    checked = cross_check(_report(), (_device("Vulkan0", "Qualcomm Adreno X1-85", kind="integrated_gpu"), CPU_DEVICE))
    (note,) = checked.notes
    assert "Qualcomm Adreno X1-85" in note.message


def test_one_of_two_gpus_unused_is_told() -> None:
    report = _report(
        _gpu("NVIDIA GeForce RTX 4070", 12),
        _gpu("AMD Radeon 780M Graphics", 16, vendor=Vendor.AMD, source="sysfs", unified=True))
    checked = cross_check(report, (_device("CUDA0", "NVIDIA GeForce RTX 4070", total=12), CPU_DEVICE))
    (note,) = checked.notes
    assert "does not use AMD Radeon 780M Graphics" in note.message


@pytest.mark.parametrize(("gpus", "devices"), [
    ([_gpu("NVIDIA GeForce RTX 3090"), _gpu("NVIDIA GeForce RTX 3090")],
     [("CUDA0", "NVIDIA GeForce RTX 3090", "gpu"), ("CUDA1", "NVIDIA GeForce RTX 3090", "gpu")]),
    ([_gpu("NVIDIA GeForce RTX 3090")],
     [("CUDA0", "NVIDIA GeForce RTX 3090", "gpu"), ("Vulkan0", "NVIDIA GeForce RTX 3090", "gpu")]),
    ([_gpu("AMD Radeon RX 7900 XTX", vendor=Vendor.AMD, source="sysfs")],
     [("Vulkan0", "AMD Radeon RX 7900 XTX (RADV NAVI31)", "gpu")]),
    ([_gpu("AMD Radeon RX 6800/6800 XT / 6900 XT", 16, vendor=Vendor.AMD, source="sysfs")],
     [("ROCm0", "AMD Radeon RX 6900 XT", "gpu")]),
    ([_gpu("Intel Arc A770", 16, vendor=Vendor.INTEL, source="sysfs")],
     [("Vulkan0", "Intel(R) Arc(tm) A770 Graphics (DG2)", "gpu")]),
    ([_gpu("Intel Iris Xe Graphics", 24, vendor=Vendor.INTEL, source="sysfs", unified=True)],
     [("Vulkan0", "Intel(R) Iris(R) Xe Graphics (ADL GT2)", "integrated_gpu")]),
    ([_gpu("Apple M2 Max", 64, vendor=Vendor.APPLE, source="metal", unified=True)], [("MTL0", "Apple M2 Max", "gpu")]),
    ([_gpu("NVIDIA GeForce RTX 4070", 12), _gpu("AMD GPU 1002:15bf", 16, vendor=Vendor.AMD, source="sysfs", unified=True)],
     [("Vulkan0", "AMD Radeon 780M Graphics (RADV PHOENIX)", "integrated_gpu"), ("Vulkan1", "NVIDIA GeForce RTX 4070", "gpu")]),
])
def test_different_spellings_of_one_gpu_are_recognised(gpus: list[Gpu], devices: list[tuple[str, str, str]]) -> None:
    listed = [_device(name, description, kind=kind) for name, description, kind in devices]
    assert cross_check(_report(*gpus), listed).notes == ()


def test_memory_that_no_probe_could_read_comes_from_llama_cpp() -> None:
    report = _report(_gpu("Intel Arc A770", None, vendor=Vendor.INTEL, source="sysfs"))
    (gpu,) = cross_check(report, (_device("Vulkan0", "Intel(R) Arc(tm) A770 Graphics (DG2)", total=16),)).gpus
    assert (gpu.total_bytes, gpu.free_bytes) == (16 * GIB, 16 * GIB)
    (unknown,) = cross_check(report, (_device("Vulkan0", "Intel(R) Arc(tm) A770 Graphics (DG2)", total=0),)).gpus
    assert unknown.total_bytes is None


def test_notes_of_the_probes_stay_through_the_check() -> None:
    note = ProbeNote(probe="amd", message="x", remedy="y")
    report = msgspec.structs.replace(_report(_gpu("NVIDIA GeForce RTX 4090")), notes=(note,))
    assert cross_check(report, (CPU_DEVICE,)).notes[0] == note

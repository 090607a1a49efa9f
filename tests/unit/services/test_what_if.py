"""Computers on paper: what their reports say, and that every GPU of the table is found again by its speed."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app.errors import AppError
from localai_app.fit.cpu_speed import READS_PER_COPY
from localai_app.fit.gpu_table import load_gpu_table
from localai_app.hardware.report import HardwareReport, Vendor
from localai_app.paths import resources_dir
from localai_app.services.machine_parts import find_gpu, load_known_gpus
from localai_app.services.what_if import (
    DRIVER_HELD_BYTES,
    MAX_GPUS,
    PRESETS,
    SCREEN_HELD_BYTES,
    GpuChoice,
    MachineSpec,
    build_machine,
    machine_with,
)

GIB = 1024**3
TABLE_FILE = resources_dir() / "catalog" / "gpus.json"
GPUS = load_known_gpus(TABLE_FILE)


def machine(gpu: str = "", ram_gib: float = 64, count: int = 1, **more: object) -> HardwareReport:
    choices = (GpuChoice(name=gpu, count=count),) if gpu else ()
    return build_machine(MachineSpec(name="x", ram_bytes=round(ram_gib * GIB), gpus=choices, **more), GPUS)


def test_a_desktop_keeps_memory_for_its_system_and_its_screen() -> None:
    report = machine("NVIDIA GeForce RTX 4090", count=2)
    first, second = report.gpus
    assert (first.name, first.vendor, first.total_bytes) == ("NVIDIA GeForce RTX 4090", Vendor.NVIDIA, 24 * GIB)
    assert first.free_bytes == 24 * GIB - DRIVER_HELD_BYTES - SCREEN_HELD_BYTES
    assert second.free_bytes == 24 * GIB - DRIVER_HELD_BYTES
    assert report.memory.total_bytes - report.memory.available_bytes == 3 * GIB
    # 70% of the 89.6 GB/s of two channels of DDR5-5600 is read; copying shows half of that.
    assert report.memory.bandwidth_bytes_per_s == pytest.approx(0.7 * 89.6e9 / READS_PER_COPY)


def test_a_server_has_no_screen_and_eight_channels() -> None:
    report = machine("NVIDIA H100", ram_gib=512, count=8)
    assert [gpu.index for gpu in report.gpus] == list(range(8))
    assert {gpu.free_bytes for gpu in report.gpus} == {80 * GIB - DRIVER_HELD_BYTES}
    assert report.memory.available_bytes == 510 * GIB
    assert report.memory.bandwidth_bytes_per_s == pytest.approx(0.7 * 307.2e9 / READS_PER_COPY)


@pytest.mark.parametrize(("ram_gib", "limit_gib"), [(16, 16 * 2 / 3), (36, 24), (48, 36), (192, 144)])
def test_macos_limits_what_its_gpu_may_use(ram_gib: int, limit_gib: float) -> None:
    report = machine("Apple M4", ram_gib=ram_gib)
    assert report.system == "macos"
    gpu = report.gpus[0]
    assert gpu.unified
    assert gpu.total_bytes == gpu.free_bytes == int(limit_gib * GIB)
    assert report.memory.available_bytes == (ram_gib - 4) * GIB
    assert report.memory.bandwidth_bytes_per_s == pytest.approx(0.7 * 120e9 / READS_PER_COPY)


def test_a_gpu_that_shares_main_memory_stands_alone() -> None:
    report = machine("AMD Radeon 780M")
    assert report.gpus[0].unified
    assert report.gpus[0].total_bytes == report.memory.total_bytes
    with pytest.raises(AppError, match="only GPU"):
        machine("AMD Radeon 780M", count=2)
    both = (GpuChoice(name="AMD Radeon 780M"), GpuChoice(name="NVIDIA GeForce RTX 4090"))
    with pytest.raises(AppError, match="only GPU"):
        build_machine(MachineSpec(name="x", ram_bytes=GIB, gpus=both), GPUS)


def test_without_a_gpu_there_is_none() -> None:
    assert machine().gpus == ()
    assert build_machine(machine_with(None, ram_gib=8), GPUS).memory.total_bytes == 8 * GIB


def test_a_size_can_be_chosen_and_must_exist() -> None:
    small = GpuChoice(name="NVIDIA GeForce RTX 5060 Ti", memory_gib=8)
    assert build_machine(MachineSpec(name="x", ram_bytes=GIB, gpus=(small,)), GPUS).gpus[0].total_bytes == 8 * GIB
    assert machine("NVIDIA GeForce RTX 5060 Ti").gpus[0].total_bytes == 16 * GIB
    with pytest.raises(AppError, match="sold with 16, 8 GiB"):
        build_machine(
            MachineSpec(name="x", ram_bytes=GIB, gpus=(msgspec.structs.replace(small, memory_gib=12),)), GPUS)


@pytest.mark.parametrize(("ram_gib", "more"), [
    (0, {}), (1e6, {}), (8, {"cores": 0}), (8, {"ram_bandwidth_bytes_per_s": 0.0}), (8, {"ram_bandwidth_bytes_per_s": 1e99}),
])
def test_impossible_figures_are_refused_in_words(ram_gib: float, more: dict[str, object]) -> None:
    with pytest.raises(AppError, match="There is no such computer"):
        machine(ram_gib=ram_gib, **more)


@pytest.mark.parametrize("count", [-1, MAX_GPUS + 1])
def test_impossible_numbers_of_gpus_are_refused(count: int) -> None:
    with pytest.raises(AppError, match="0 to 16 GPUs"):
        machine("NVIDIA H100", count=count)


def test_every_gpu_is_known_to_the_table_of_speeds_by_the_name_and_memory_of_its_report() -> None:
    speeds = load_gpu_table(TABLE_FILE)
    lost = []
    for gpu in GPUS:
        for size_gib in gpu.memory_gib or (32.0,):
            choice = GpuChoice(name=gpu.name, memory_gib=None if gpu.shares_main_memory else size_gib)
            report = build_machine(MachineSpec(name="x", ram_bytes=round(size_gib * GIB), gpus=(choice,)), GPUS)
            spec = speeds.find(report.gpus[0].name, report.gpus[0].total_bytes)
            found_gbs = spec.bandwidth_bytes_per_s / 1e9 if spec is not None else None
            if found_gbs != gpu.bandwidth_gbs:
                lost.append((gpu.name, size_gib, gpu.bandwidth_gbs, found_gbs))
    assert len(GPUS) > 140
    assert lost == []


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_ready_made_computers_can_be_built_and_read_back(name: str) -> None:
    report = build_machine(PRESETS[name], GPUS)
    assert msgspec.json.decode(msgspec.json.encode(report), type=HardwareReport) == report
    assert report.memory.total_bytes == PRESETS[name].ram_bytes


@pytest.mark.parametrize(("words", "name"), [
    ("4090", "NVIDIA GeForce RTX 4090"), ("rtx 4090 laptop", "NVIDIA GeForce RTX 4090 Laptop GPU"),
    ("RTX 4090D", "NVIDIA GeForce RTX 4090D"),
    ("h100", "NVIDIA H100"), ("Apple M4", "Apple M4"), ("m4 max 40-core", "Apple M4 Max (40-core GPU)"),
    ("strix halo", "AMD Ryzen AI Max+ 395 (Radeon 8060S, Strix Halo)"), ("RTX 5060 Ti", "NVIDIA GeForce RTX 5060 Ti"),
])
def test_a_gpu_is_found_by_as_many_words_as_tell_it_apart(words: str, name: str) -> None:
    assert find_gpu(GPUS, words).name == name


def test_every_gpu_is_found_by_its_whole_name() -> None:
    assert [gpu.name for gpu in GPUS if find_gpu(GPUS, gpu.name) != gpu] == []


def test_a_name_of_several_gpus_says_which() -> None:
    with pytest.raises(AppError, match="40-core") as caught:
        find_gpu(GPUS, "m4 max")
    assert caught.value.code == "gpu_ambiguous"
    with pytest.raises(AppError) as many:
        find_gpu(GPUS, "rtx")
    assert many.value.action.endswith(" or another.")


@given(st.text(max_size=40))
def test_any_words_find_a_gpu_or_an_error_in_words(words: str) -> None:
    try:
        assert find_gpu(GPUS, words) in GPUS
    except AppError as error:
        assert error.code in ("gpu_unknown", "gpu_ambiguous")  # noqa: PT017

"""What a process of the engine takes of a GPU by being there: as it was measured on an H200 with driver 580.159.04."""

from __future__ import annotations

from dataclasses import replace

import pytest

from localai_app.fit.budgets import CUDA_WORKSPACE_BYTES, budgets_of
from localai_app.fit.calibration import typical_overhead
from localai_app.hardware.cross_check import cross_check
from localai_app.hardware.report import Cpu, EngineDevice, Gpu, HardwareReport, Memory, Vendor
from localai_app.units import MIB

H200 = Gpu(
    index=0, name="NVIDIA H200", vendor=Vendor.NVIDIA, total_bytes=150_754_820_096, free_bytes=150_109_880_320,
    used_by_others_bytes=0, driver="580.159.04", compute_capability="9.0", source="nvml")
CUDA0 = EngineDevice(
    name="CUDA0", description="NVIDIA H200", kind="gpu", total_bytes=150_109_880_320, free_bytes=149_557_477_376)
VULKAN0 = EngineDevice(
    name="Vulkan0", description="NVIDIA H200", kind="gpu", total_bytes=150_754_820_096, free_bytes=150_092_709_888)
REPORT = HardwareReport(
    system="linux", cpu=Cpu(model="Xeon", architecture="x86_64", physical_cores=16, logical_cores=16),
    memory=Memory(total_bytes=135_148_564_480, available_bytes=92_054_089_728), gpus=(H200,))
MEASURED_BEYOND_BUFFERS_MIB = (604, 604, 602, 603, 607, 610, 606, 606, 610, 610, 710, 710)
"""The driver's figure less llama.cpp's buffers, after a prompt: six architectures at two contexts with the CUDA back end."""


def overhead_with(device: EngineDevice) -> int:
    [[budget]] = budgets_of(cross_check(REPORT, (device,))).groups
    return budget.overhead_bytes


def test_context_of_cuda_and_its_workspace_are_near_what_loads_take() -> None:
    expected = overhead_with(CUDA0)
    assert expected == 552_402_944 + CUDA_WORKSPACE_BYTES
    assert all(abs(measured - expected / MIB) < 110 for measured in MEASURED_BEYOND_BUFFERS_MIB)
    assert sum(abs(measured - expected / MIB) < 5 for measured in MEASURED_BEYOND_BUFFERS_MIB) >= 10


def test_context_of_vulkan_is_small() -> None:
    assert overhead_with(VULKAN0) == 17_170_432


@pytest.mark.parametrize("free_bytes", [150_109_880_320 + 1, 140_000_000_000])
def test_memory_that_came_or_went_meanwhile_is_no_context(free_bytes: int) -> None:
    device = EngineDevice(name="CUDA0", description="NVIDIA H200", kind="gpu", total_bytes=1, free_bytes=free_bytes)
    assert overhead_with(device) == 0


def test_loads_take_the_place_of_what_was_expected() -> None:
    assert typical_overhead([], 600) == 600
    assert typical_overhead([300], 600) == 450
    assert typical_overhead([300] * 9, 600) == 330


def test_a_plan_counts_it_once() -> None:
    [[budget]] = budgets_of(cross_check(REPORT, (CUDA0,))).groups
    assert budget.usable_bytes == replace(budget, overhead_bytes=0).usable_bytes

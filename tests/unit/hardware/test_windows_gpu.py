"""Graphics adapters from recorded values of the Windows registry."""

from __future__ import annotations

import sys

import pytest

from localai_app.hardware.report import Memory, Vendor
from localai_app.hardware.windows_gpu import SIZE_VALUE, Adapter, probe_windows_gpus, read_registry

GIB = 1024**3


def _adapter(name: str, vendor: str, size: object = None) -> Adapter:
    values: dict[str, object] = {
        "DriverDesc": name, "MatchingDeviceId": f"pci\\ven_{vendor}&dev_2684&subsys_16f110de", "DriverVersion": "32.0.15.8088"}
    return values if size is None else {**values, SIZE_VALUE: size}


def _probe(*adapters: Adapter):
    return probe_windows_gpus(
        read_adapters=lambda: adapters, memory=lambda: Memory(total_bytes=32 * GIB, available_bytes=10 * GIB)).gpus


@pytest.mark.parametrize("size", [24 * GIB, (24 * GIB).to_bytes(8, "little")])
def test_memory_above_4_gb_is_reported_whole(size: object) -> None:
    (gpu,) = _probe(_adapter("NVIDIA GeForce RTX 4090", "10DE", size))
    assert (gpu.name, gpu.vendor, gpu.total_bytes, gpu.free_bytes, gpu.unified, gpu.driver, gpu.source) == (
        "NVIDIA GeForce RTX 4090", Vendor.NVIDIA, 24 * GIB, None, False, "32.0.15.8088", "registry")


@pytest.mark.parametrize(("name", "vendor", "unified"), [
    ("AMD Radeon RX 7900 XTX", "1002", False),
    ("Radeon RX 580 Series", "1002", False),
    ("Radeon (TM) RX Vega 56", "1002", False),
    ("AMD Radeon RX Vega 11 Graphics", "1002", True),
    ("AMD Radeon(TM) Graphics", "1002", True),
    ("AMD Radeon 780M Graphics", "1002", True),
    ("AMD Radeon(TM) 8060S Graphics", "1002", True),
    ("AMD Radeon PRO W7900", "1002", False),
    ("Intel(R) UHD Graphics 770", "8086", True),
    ("Intel(R) Iris(R) Xe Graphics", "8086", True),
    ("Intel(R) Arc(TM) 140V GPU (16GB)", "8086", True),
    ("Intel(R) Arc(TM) Graphics", "8086", True),
    ("Intel(R) Arc(TM) A770 Graphics", "8086", False),
    ("Intel(R) Arc(TM) B580 Graphics", "8086", False),
    ("NVIDIA GeForce GTX 1650", "10DE", False),
])
def test_integrated_graphics_are_told_by_their_names(name: str, vendor: str, unified: bool) -> None:
    (gpu,) = _probe(_adapter(name, vendor, 2 * GIB))
    assert gpu.unified is unified
    if unified:
        # Half of main memory, and what the firmware carved out for a Radeon.
        assert gpu.total_bytes == (18 if vendor == "1002" else 16) * GIB
        assert gpu.free_bytes == 10 * GIB
    else:
        assert gpu.total_bytes == 2 * GIB


@pytest.mark.parametrize("adapter", [
    {}, {"DriverDesc": "Microsoft Basic Display Adapter", "MatchingDeviceId": "root\\basicdisplay"},
    {"DriverDesc": "VMware SVGA 3D", "MatchingDeviceId": "PCI\\VEN_15AD&DEV_0405"}, {"MatchingDeviceId": "PCI\\VEN_10DE&DEV_1"},
])
def test_adapters_that_cannot_run_models_are_left_out(adapter: Adapter) -> None:
    assert _probe(adapter) == ()


@pytest.mark.parametrize("size", [None, 0, b"", "24", -1])
def test_a_size_that_makes_no_sense_is_unknown(size: object) -> None:
    (gpu,) = _probe(_adapter("NVIDIA GeForce RTX 4090", "10DE", size))
    assert gpu.total_bytes is None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has a registry")
def test_other_systems_have_no_registry() -> None:
    assert read_registry() == ()

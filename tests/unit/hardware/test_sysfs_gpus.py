"""AMD and Intel GPUs on Linux from fake trees of sysfs."""

from __future__ import annotations

from pathlib import Path

import pytest

from localai_app.hardware.amd import probe_amd, read_amd_free
from localai_app.hardware.intel import probe_intel, read_intel_free
from localai_app.hardware.report import Memory, Vendor
from tests.helpers.fake_sysfs import add_card, gpu_metrics, write_files

GIB = 1024**3
MIB = 1024**2
AMD, INTEL, NVIDIA = 0x1002, 0x8086, 0x10DE

AMDGPU_IDS = """# List of AMDGPU IDs
1.0.0
744C,	C8,	AMD Radeon RX 7900 XTX
744C,	CC,	AMD Radeon RX 7900 XT
1586,	C1,	AMD Radeon 8060S Graphics
"""
PCI_IDS = """# comment
1002  Advanced Micro Devices, Inc. [AMD/ATI]
\t73bf  Navi 21 [Radeon RX 6800/6800 XT / 6900 XT]
\t\t1002 0e3a  a subsystem
8086  Intel Corporation
\t56a0  DG2 [Arc A770]
\t46a6  Alder Lake-P GT2 [Iris Xe Graphics]
\ta780  Raptor Lake-S GT1 [UHD Graphics 770]
8087  Another
\t56a0  not this one
"""


def _memory(total: int = 32, available: int = 20) -> Memory:
    return Memory(total_bytes=total * GIB, available_bytes=available * GIB)


def _radeon(root: Path, number: int = 0, *, vram: int = 24, used: int = 2, revision: int = 0xC8) -> None:
    add_card(root, number, AMD, 0x744C, driver="amdgpu", files={
        "revision": f"0x{revision:02x}", "mem_info_vram_total": vram * GIB, "mem_info_vram_used": used * GIB,
        "mem_info_gtt_total": 16 * GIB, "mem_info_gtt_used": 0, "mem_info_vram_vendor": "samsung",
        "gpu_metrics": gpu_metrics(1)})


def _strix_halo(root: Path, *, metrics: bytes | None = None, carve_out: int = 64, gtt: int = 32) -> None:
    add_card(root, 1, AMD, 0x1586, driver="amdgpu", files={
        "revision": "0xc1", "mem_info_vram_total": carve_out * GIB, "mem_info_vram_used": GIB, "mem_info_gtt_total": gtt * GIB,
        "mem_info_gtt_used": GIB, **({"gpu_metrics": metrics} if metrics else {})})


def test_a_discrete_radeon(tmp_path: Path) -> None:
    write_files(tmp_path, {"usr/share/libdrm/amdgpu.ids": AMDGPU_IDS})
    _radeon(tmp_path)
    findings = probe_amd(root=tmp_path, memory=_memory)
    (gpu,) = findings.gpus
    assert (gpu.name, gpu.vendor, gpu.unified, gpu.driver, gpu.source) == (
        "AMD Radeon RX 7900 XTX", Vendor.AMD, False, "amdgpu", "sysfs")
    assert (gpu.total_bytes, gpu.free_bytes, gpu.used_by_others_bytes) == (24 * GIB, 22 * GIB, 2 * GIB)
    assert findings.notes == ()


@pytest.mark.parametrize("metrics", [gpu_metrics(2), gpu_metrics(3), None])
def test_an_apu_has_its_carve_out_and_what_it_may_take_of_main_memory(tmp_path: Path, metrics: bytes | None) -> None:
    write_files(tmp_path, {"usr/share/libdrm/amdgpu.ids": AMDGPU_IDS})
    _strix_halo(tmp_path, metrics=metrics)
    (gpu,) = probe_amd(root=tmp_path, memory=lambda: _memory(64, 20)).gpus
    assert (gpu.name, gpu.unified) == ("AMD Radeon 8060S Graphics", True)
    # 20 GiB of main memory are free, although the driver would lend 31.
    assert (gpu.total_bytes, gpu.free_bytes, gpu.used_by_others_bytes) == (96 * GIB, (63 + 20) * GIB, 2 * GIB)


def test_names_fall_back_from_the_cards_own_to_its_ids(tmp_path: Path) -> None:
    add_card(tmp_path, 0, AMD, 0x73BF)
    assert [gpu.name for gpu in probe_amd(root=tmp_path).gpus] == ["AMD GPU 1002:73bf"]
    write_files(tmp_path, {"usr/share/hwdata/pci.ids": PCI_IDS})
    assert [gpu.name for gpu in probe_amd(root=tmp_path).gpus] == ["AMD Radeon RX 6800/6800 XT / 6900 XT"]
    write_files(tmp_path, {"sys/class/drm/card0/device/product_name": "AMD Instinct MI300X"})
    assert [gpu.name for gpu in probe_amd(root=tmp_path).gpus] == ["AMD Instinct MI300X"]


def test_a_card_without_figures_is_listed_with_a_note(tmp_path: Path) -> None:
    add_card(tmp_path, 0, AMD, 0x6798, driver="radeon")
    findings = probe_amd(root=tmp_path)
    (gpu,) = findings.gpus
    assert (gpu.total_bytes, gpu.free_bytes, gpu.unified) == (None, None, False)
    (note,) = findings.notes
    assert "(radeon)" in note.message
    assert "amdgpu" in note.remedy


def test_several_cards_and_only_those_of_the_maker(tmp_path: Path) -> None:
    _radeon(tmp_path, 10, vram=8, used=0)
    _radeon(tmp_path, 2, vram=24, used=0)
    add_card(tmp_path, 0, NVIDIA, 0x2684)
    add_card(tmp_path, 3, INTEL, 0x46A6)
    write_files(tmp_path, {"sys/class/drm/card2-DP-1/status": "connected", "sys/class/drm/version": "drm 1.1.0"})
    assert [gpu.total_bytes for gpu in probe_amd(root=tmp_path).gpus] == [24 * GIB, 8 * GIB]
    assert len(probe_intel(root=tmp_path, memory=_memory).gpus) == 1


@pytest.mark.parametrize("content", ["", "many", b"\xff\xfe"])
def test_files_that_make_no_sense_count_as_missing(tmp_path: Path, content: str | bytes) -> None:
    add_card(tmp_path, 0, AMD, 0x744C, driver="amdgpu", files={
        "mem_info_vram_total": content, "gpu_metrics": b"", "product_name": ""})
    (gpu,) = probe_amd(root=tmp_path).gpus
    assert (gpu.total_bytes, gpu.name) == (None, "AMD GPU 1002:744c")


def test_free_memory_is_read_again(tmp_path: Path) -> None:
    _radeon(tmp_path, used=2)
    write_files(tmp_path, {"sys/class/drm/card0/device/mem_info_vram_used": 20 * GIB})
    (reading,) = read_amd_free(root=tmp_path)
    assert (reading.vendor, reading.total_bytes, reading.free_bytes) == (Vendor.AMD, 24 * GIB, 4 * GIB)


@pytest.mark.parametrize(("device", "name"), [(0x46A6, "Intel Iris Xe Graphics"), (0xA780, "Intel UHD Graphics 770")])
def test_an_integrated_intel_gpu_shares_main_memory(tmp_path: Path, device: int, name: str) -> None:
    write_files(tmp_path, {"usr/share/misc/pci.ids": PCI_IDS})
    add_card(tmp_path, 0, INTEL, device, driver="i915")
    findings = probe_intel(root=tmp_path, memory=_memory)
    (gpu,) = findings.gpus
    assert (gpu.name, gpu.unified, gpu.driver) == (name, True, "i915")
    assert (gpu.total_bytes, gpu.free_bytes) == (24 * GIB, 20 * GIB)
    assert findings.notes == ()
    (reading,) = read_intel_free(root=tmp_path, memory=lambda: _memory(32, 3))
    assert (reading.total_bytes, reading.free_bytes) == (24 * GIB, 3 * GIB)


@pytest.mark.parametrize(("driver", "files", "total"), [
    ("xe", {"tile0/physical_vram_size_bytes": 12 * GIB}, 12 * GIB),
    ("xe", {"tile0/memory/physical_vram_size_bytes": 8 * GIB, "tile1/memory/physical_vram_size_bytes": 8 * GIB}, 16 * GIB),
    ("i915", {"lmem_total_bytes": 16 * GIB}, 16 * GIB),
    ("i915", {}, None),
])
def test_a_discrete_arc_has_memory_of_its_own(tmp_path: Path, driver: str, files: dict[str, int], total: int | None) -> None:
    write_files(tmp_path, {"usr/share/misc/pci.ids": PCI_IDS})
    add_card(tmp_path, 0, INTEL, 0x56A0, driver=driver, files=files)
    findings = probe_intel(root=tmp_path, memory=_memory)
    (gpu,) = findings.gpus
    assert (gpu.name, gpu.unified, gpu.total_bytes, gpu.free_bytes) == ("Intel Arc A770", False, total, None)
    assert len(findings.notes) == (1 if total is None else 0)


def test_a_computer_without_graphics_has_none(tmp_path: Path) -> None:
    assert probe_amd(root=tmp_path).gpus == ()
    assert probe_intel(root=tmp_path).gpus == ()
    (tmp_path / "sys/class/drm").mkdir(parents=True)
    assert probe_amd(root=tmp_path).notes == ()

"""Apple Silicon from recorded output of sysctl and vm_stat."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from localai_app.hardware.apple import parse_vm_stat, probe_apple, read_apple_free, working_set_bytes
from localai_app.hardware.report import Vendor

GIB = 1024**3
MIB = 1024**2

VM_STAT = """Mach Virtual Memory Statistics: (page size of 16384 bytes)
Pages free:                               65536.
Pages active:                            400000.
Pages inactive:                          131072.
Pages speculative:                        65536.
Pages throttled:                              0.
Pages wired down:                        150000.
Pages purgeable:                           4000.
"Translation faults":                 500000000.
Pages stored in compressor:              900000.
"""
FREE_BYTES = 4 * GIB


IOREG = """+-o AGXAcceleratorG15X  <class AGXAcceleratorG15X, id 0x10000039c, registered, matched, active, busy 0>
    {
      "model" = "Apple M3 Max"
      "gpu-core-count" = 40
    }
"""


def _mac(
    memory_gib: int, *, brand: str = "Apple M2", vm_stat: str | None = VM_STAT, ioreg: str | None = IOREG,
) -> Callable[..., str | None]:
    sysctl = (
        f"hw.optional.arm64: 1\nhw.memsize: {memory_gib * GIB}\nmachdep.cpu.brand_string: {brand}\n"
        "iogpu.wired_limit_mb: 0\n")

    def run(command: Sequence[str]) -> str | None:
        return {"sysctl": sysctl, "vm_stat": vm_stat, "ioreg": ioreg}[command[0]]

    return run


@pytest.mark.parametrize(("memory_gib", "expected_mib"), [
    (8, 5461), (16, 10922), (24, 16384), (32, 21845), (36, 24576), (64, 49152), (128, 98304), (192, 147456),
])
def test_the_working_set_follows_from_the_memory(memory_gib: int, expected_mib: int) -> None:
    assert working_set_bytes(memory_gib * GIB) // MIB == expected_mib


@pytest.mark.parametrize(("wired_mb", "expected_mib"), [(57344, 57344), (0, 49152), (99999, 49152)])
def test_a_limit_set_by_hand_counts_unless_it_is_more_than_there_is(wired_mb: int, expected_mib: int) -> None:
    assert working_set_bytes(64 * GIB, wired_mb) // MIB == expected_mib


@pytest.mark.parametrize("memory_gib", [8, 16, 64])
def test_a_mac_has_one_unified_gpu(memory_gib: int) -> None:
    findings = probe_apple(run=_mac(memory_gib, brand="Apple M3 Pro"))
    (gpu,) = findings.gpus
    assert (gpu.name, gpu.vendor, gpu.unified, gpu.source) == ("Apple M3 Pro", Vendor.APPLE, True, "metal")
    assert gpu.total_bytes == working_set_bytes(memory_gib * GIB)
    assert gpu.free_bytes == FREE_BYTES
    assert findings.notes == ()
    (reading,) = read_apple_free(gpu.total_bytes, run=_mac(memory_gib))
    assert reading.free_bytes == FREE_BYTES


def test_free_memory_is_never_more_than_the_working_set() -> None:
    plenty = VM_STAT.replace("Pages free:                               65536.", "Pages free: 9999999.")
    (gpu,) = probe_apple(run=_mac(8, vm_stat=plenty)).gpus
    assert gpu.free_bytes == gpu.total_bytes


def test_without_vm_stat_free_is_unknown() -> None:
    (gpu,) = probe_apple(run=_mac(16, vm_stat=None)).gpus
    assert gpu.free_bytes is None
    assert read_apple_free(gpu.total_bytes, run=_mac(16, vm_stat=None))[0].free_bytes is None


@pytest.mark.parametrize("text", ["", "garbage", "page size of 4096 bytes", "Pages free: 12."])
def test_other_output_of_vm_stat_is_not_guessed(text: str) -> None:
    assert parse_vm_stat(text) is None


def test_an_intel_mac_reports_no_unified_gpu() -> None:
    assert probe_apple(run=lambda _command: "hw.memsize: 17179869184\nmachdep.cpu.brand_string: Intel Core i7\n").gpus == ()
    assert probe_apple(run=lambda _command: None).gpus == ()


def test_a_mac_that_hides_its_memory_leaves_a_note() -> None:
    findings = probe_apple(run=lambda _command: "hw.optional.arm64: 1\n")
    assert findings.gpus == ()
    assert [note.probe for note in findings.notes] == ["apple"]


@pytest.mark.parametrize(("ioreg", "name"), [
    (IOREG, "Apple M3 Max (40-core GPU)"), ("", "Apple M3 Max"), (None, "Apple M3 Max")])
def test_max_chips_are_told_apart_by_their_gpu_cores(ioreg: str | None, name: str) -> None:
    (gpu,) = probe_apple(run=_mac(64, brand="Apple M3 Max", ioreg=ioreg)).gpus
    assert gpu.name == name

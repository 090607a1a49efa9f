"""The processor from recorded output of several systems."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from localai_app.hardware.bandwidth import last_level_cache_bytes, measure_memory_bandwidth
from localai_app.hardware.cpu import probe_cpu
from tests.helpers.fake_sysfs import write_files

RYZEN = """processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: AMD Ryzen 9 7950X  16-Core Processor
flags\t\t: fpu vme sse sse2 ssse3 sse4_1 sse4_2 avx avx2 avx512f f16c fma bmi1 bmi2 smep aes

processor\t: 1
model name\t: another
"""
RASPBERRY = """processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd0b
"""
APPLE = {
    ("sysctl", "-n", "machdep.cpu.brand_string"): "Apple M3 Max\n",
    ("sysctl", "machdep.cpu", "hw.optional"): (
        "machdep.cpu.brand_string: Apple M3 Max\nhw.optional.arm.FEAT_DotProd: 1\nhw.optional.arm.FEAT_BF16: 1\n"
        "hw.optional.arm.FEAT_SME: 0\nhw.optional.neon: 1\nhw.optional.floatingpoint: 1\n"),
}
INTEL_MAC = {
    ("sysctl", "-n", "machdep.cpu.brand_string"): "Intel(R) Core(TM) i7-9750H CPU @ 2.60GHz\n",
    ("sysctl", "machdep.cpu", "hw.optional"): (
        "machdep.cpu.features: FPU SSE SSE2 SSE4.1 AVX1.0 F16C\nmachdep.cpu.leaf7_features: AVX2 BMI1\n"
        "hw.optional.avx2_0: 1\n"),
}


def test_this_computer_is_described() -> None:
    cpu = probe_cpu().cpu
    assert cpu is not None
    assert 1 <= cpu.physical_cores <= cpu.logical_cores
    assert cpu.model
    assert cpu.architecture


@pytest.mark.parametrize(("files", "model", "instruction_sets"), [
    ({"proc/cpuinfo": RYZEN}, "AMD Ryzen 9 7950X 16-Core Processor",
     {"sse", "sse2", "ssse3", "sse4_1", "sse4_2", "avx", "avx2", "avx512f", "f16c", "fma", "bmi1", "bmi2"}),
    ({"proc/cpuinfo": RASPBERRY, "sys/firmware/devicetree/base/model": b"Raspberry Pi 5 Model B Rev 1.0\0"},
     "Raspberry Pi 5 Model B Rev 1.0", {"asimd", "asimddp"}),
    ({"proc/cpuinfo": RASPBERRY}, "ARM part 0xd0b", {"asimd", "asimddp"}),
])
def test_linux(tmp_path: Path, files: dict[str, str | bytes], model: str, instruction_sets: set[str]) -> None:
    write_files(tmp_path, files)
    findings = probe_cpu(system="linux", root=tmp_path)
    assert findings.cpu is not None
    assert findings.cpu.model == model
    assert set(findings.cpu.instruction_sets) == instruction_sets
    assert findings.notes == ()


@pytest.mark.parametrize(("recorded", "model", "instruction_sets"), [
    (APPLE, "Apple M3 Max", {"dotprod", "bf16", "neon"}),
    (INTEL_MAC, "Intel(R) Core(TM) i7-9750H CPU @ 2.60GHz",
     {"sse", "sse2", "sse4_1", "avx1_0", "f16c", "avx2", "bmi1", "avx2_0"}),
])
def test_macos(recorded: dict[tuple[str, ...], str], model: str, instruction_sets: set[str]) -> None:
    def run(command: Sequence[str]) -> str | None:
        return recorded.get(tuple(command))

    findings = probe_cpu(system="darwin", run=run)
    assert findings.cpu is not None
    assert findings.cpu.model == model
    assert set(findings.cpu.instruction_sets) == instruction_sets


def test_windows() -> None:
    findings = probe_cpu(system="win32", windows=lambda: ("Intel Core i5", ("avx", "avx2")))
    assert findings.cpu is not None
    assert (findings.cpu.model, findings.cpu.instruction_sets) == ("Intel Core i5", ("avx", "avx2"))


def test_a_system_that_says_nothing_leaves_a_note(tmp_path: Path) -> None:
    findings = probe_cpu(system="linux", root=tmp_path)
    assert findings.cpu is not None
    assert findings.cpu.model
    assert [note.probe for note in findings.notes] == ["cpu"]


def test_copying_memory_is_measured() -> None:
    bandwidth = measure_memory_bandwidth(buffer_bytes=32 * 1024**2, threads=2)
    # Any memory of the last 25 years, and none of the next ones.
    assert 2e8 < bandwidth < 2e13


def test_the_buffers_are_larger_than_all_last_level_caches_together(tmp_path: Path) -> None:
    for cpu in range(4):
        for index, (level, size) in enumerate([(1, "32K"), (2, "1024K"), (3, "98304K")]):
            cache = tmp_path / f"sys/devices/system/cpu/cpu{cpu}/cache/index{index}"
            cache.mkdir(parents=True)
            (cache / "level").write_text(f"{level}\n")
            (cache / "size").write_text(f"{size}\n")
            (cache / "shared_cpu_list").write_text(f"{cpu // 2 * 2}-{cpu // 2 * 2 + 1}\n" if level == 3 else f"{cpu}\n")
    assert last_level_cache_bytes(tmp_path) == 2 * 96 * 1024**2
    assert last_level_cache_bytes(tmp_path / "nothing") == 0


def test_a_measurement_is_over_soon(tmp_path: Path) -> None:
    begin_s = time.process_time()
    measure_memory_bandwidth(threads=1, root=tmp_path)
    assert time.process_time() - begin_s < 2.0

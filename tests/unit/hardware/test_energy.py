"""Energy counters: RAPL in a tree of files, NVML through the fake library, differences with counters that go round."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from localai_app.hardware.energy import Counter, Energy, EnergyMeter, EnergyReading, energy_between, read_rapl
from tests.helpers.fake_nvml import build_fake_nvml, compiler, gpu_line, run_with_nvml
from tests.helpers.fake_sysfs import write_files

RAPL = "sys/class/powercap"
NVML_SCRIPT = """
import sys, msgspec
from pathlib import Path
from localai_app.hardware.energy import EnergyMeter, energy_between
with EnergyMeter(root=Path(sys.argv[1])) as meter:
    first, second = meter.read(), meter.read()
    sys.stdout.write(msgspec.json.encode({
        "devices": [one.device for one in first.counters], "energy": energy_between(first, second)}).decode())
"""
needs_compiler = pytest.mark.skipif(
    compiler() is None or os.name == "nt", reason="no C compiler to build the fake NVML library with")


def rapl(root: Path, package_uj: int | None) -> None:
    """Two levels of zones, and the interface that repeats the package."""
    files: dict[str, str | int] = {
        f"{RAPL}/intel-rapl:0/name": "package-0", f"{RAPL}/intel-rapl:0/max_energy_range_uj": 262_143_328_850,
        f"{RAPL}/intel-rapl:0:0/name": "core", f"{RAPL}/intel-rapl:0:0/energy_uj": 5_000_000,
        f"{RAPL}/intel-rapl-mmio:0/name": "package-0", f"{RAPL}/intel-rapl-mmio:0/energy_uj": 7_000_000,
        f"{RAPL}/intel-rapl:1/name": "psys", f"{RAPL}/intel-rapl:1/energy_uj": 9_000_000}
    if package_uj is not None:
        files[f"{RAPL}/intel-rapl:0/energy_uj"] = package_uj
    write_files(root, files)


def reading(joules: float, device: str = "GPU 0", kind: str = "gpu", wraps_at_j: float | None = None) -> EnergyReading:
    return EnergyReading(time_s=0.0, counters=(Counter(device=device, kind=kind, joules=joules, wraps_at_j=wraps_at_j),))


def test_only_whole_packages_count(tmp_path: Path) -> None:
    rapl(tmp_path, 12_500_000)
    assert read_rapl(tmp_path) == [
        Counter(device="processor 0", kind="processor", joules=12.5, wraps_at_j=pytest.approx(262_143.328850))]


def test_what_must_not_be_read_is_unknown(tmp_path: Path) -> None:
    """An unreadable counter is like one that is not there; as root every file can be read."""
    rapl(tmp_path, None)
    assert read_rapl(tmp_path) == []
    assert read_rapl(tmp_path / "nothing") == []
    with EnergyMeter(root=tmp_path) as meter:
        first = meter.read()
        assert energy_between(first, meter.read()).processor_j is None


def test_the_energy_between_two_readings(tmp_path: Path) -> None:
    with EnergyMeter(root=tmp_path) as meter:
        rapl(tmp_path, 1_000_000)
        first = meter.read()
        rapl(tmp_path, 43_000_000)
        assert energy_between(first, meter.read()).processor_j == pytest.approx(42.0)
        rapl(tmp_path, 262_143_000_000)
        high = meter.read()
        rapl(tmp_path, 671_150)
        assert energy_between(high, meter.read()).processor_j == pytest.approx(0.328850 + 0.671150, abs=1e-4)


def test_counters_that_cannot_be_compared_are_left_out() -> None:
    assert energy_between(reading(5.0), reading(1.0)) == Energy()
    assert energy_between(reading(5.0), reading(9.0, device="GPU 1")) == Energy()


@needs_compiler
def test_gpus_that_count_are_added_up(tmp_path: Path) -> None:
    library = build_fake_nvml(tmp_path / "nvml")
    configuration = tmp_path / "gpus.txt"
    configuration.write_text("\n".join([
        gpu_line("RTX 4090", energy_mj=1_000_000, energy_step_mj=2_500), gpu_line("GTX 1080"),
        gpu_line("RTX 3090", energy_mj=0, energy_step_mj=500), gpu_line("Lost", handle_error=15)]) + "\n")
    rapl(tmp_path, 1_000_000)
    found = run_with_nvml(library, configuration, NVML_SCRIPT, tmp_path)
    assert found["devices"] == ["GPU 0", "GPU 2", "processor 0"]
    assert found["energy"] == {"gpu_j": 3.0, "processor_j": 0.0}


@needs_compiler
def test_an_old_driver_without_the_counter_is_unknown(tmp_path: Path) -> None:
    library = build_fake_nvml(tmp_path / "nvml", without=["nvmlDeviceGetTotalEnergyConsumption"])
    configuration = tmp_path / "gpus.txt"
    configuration.write_text(gpu_line("RTX 4090", energy_mj=5) + "\n")
    found = run_with_nvml(library, configuration, NVML_SCRIPT, tmp_path)
    assert found == {"devices": [], "energy": {"gpu_j": None, "processor_j": None}}

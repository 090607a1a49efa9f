"""What shapes the speed now: power, clocks, swap, faults, other programs, and what NVML says of GPUs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from localai_app.hardware.conditions import clock_limit, power_saving_words, read_conditions
from tests.helpers.fake_nvml import build_fake_nvml, compiler, gpu_line, run_with_nvml
from tests.helpers.fake_sysfs import write_files

CPUFREQ = "sys/devices/system/cpu/cpu0/cpufreq"
THROTTLE = "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count"
GPU_SCRIPT = """
import sys, msgspec
from localai_app.hardware.gpu_conditions import read_gpu_conditions
sys.stdout.write(msgspec.json.encode(read_gpu_conditions()).decode())
"""
STAT = "77 (a (worker) x) S 1 77 77 0 -1 4194304 900 0 {faults} 0 10 2 0 0 20 0 1 0 100 1 1"


@pytest.mark.parametrize(("files", "words"), [
    ({}, ""),
    ({f"{CPUFREQ}/scaling_governor": "performance"}, ""),
    ({f"{CPUFREQ}/scaling_governor": "powersave", f"{CPUFREQ}/scaling_driver": "intel_pstate"}, ""),
    ({f"{CPUFREQ}/scaling_governor": "powersave", f"{CPUFREQ}/scaling_driver": "acpi-cpufreq"}, "the governor “powersave”"),
    ({f"{CPUFREQ}/energy_performance_preference": "power"}, "the energy preference “power”"),
    ({f"{CPUFREQ}/energy_performance_preference": "balance_performance"}, ""),
    ({"sys/firmware/acpi/platform_profile": "low-power"}, "the power profile “low-power”"),
])
def test_what_saves_power_is_named(tmp_path: Path, files: dict[str, str], words: str) -> None:
    write_files(tmp_path, files)
    assert power_saving_words(tmp_path) == words


def test_a_clock_limit_is_a_share(tmp_path: Path) -> None:
    assert clock_limit(tmp_path) is None
    write_files(tmp_path, {f"{CPUFREQ}/scaling_max_freq": 1_200_000, f"{CPUFREQ}/cpuinfo_max_freq": 4_800_000})
    assert clock_limit(tmp_path) == 0.25


def test_swap_faults_and_heat_are_seen_while_looking(tmp_path: Path) -> None:
    files = {"proc/77/status": "Name:\tworker\nVmRSS:\t 100 kB\nVmSwap:\t 2048 kB", THROTTLE: 5}
    write_files(tmp_path, {**files, "proc/77/stat": STAT.format(faults=10)})

    def pass_time(_seconds: float) -> None:
        write_files(tmp_path, {"proc/77/stat": STAT.format(faults=510), THROTTLE: 6})

    found = read_conditions([77, 78], root=tmp_path, sample_s=0.0, sleep=pass_time, system="linux")
    assert found.swapped_bytes == 2 * 1024**2
    assert found.faults_per_s > 500
    assert found.is_processor_hot
    calm = read_conditions([], root=tmp_path, sample_s=0.0, sleep=lambda _seconds: None)
    assert (calm.swapped_bytes, calm.faults_per_s, calm.is_processor_hot) == (0, 0.0, False)


def test_other_programs_are_seen_and_the_engine_is_none_of_them() -> None:
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        psutil.Process(busy.pid).cpu_percent(0.2)
        seen = read_conditions([], sample_s=0.5)
        without = read_conditions([busy.pid], sample_s=0.5)
    finally:
        busy.kill()
        busy.wait()
    assert seen.others_cores > 0.05
    assert seen.busiest is not None
    assert seen.busiest.name
    assert all(one.cores > 0 for one in (seen.busiest, *(program for program in (without.busiest,) if program)))


@pytest.mark.skipif(compiler() is None or os.name == "nt", reason="no C compiler to build the fake NVML library with")
@pytest.mark.parametrize("without", [(), ("nvmlDeviceGetCurrentClocksEventReasons",)], ids=["new driver", "old driver"])
def test_what_holds_gpus_back(tmp_path: Path, without: tuple[str, ...]) -> None:
    library = build_fake_nvml(tmp_path / "nvml", without=without)
    configuration = tmp_path / "gpus.txt"
    configuration.write_text("\n".join([
        gpu_line("RTX 4090", reasons=0x40, celsius=91, limit_mw=200_000, default_mw=450_000),
        gpu_line("RTX 3090", reasons=0x80), gpu_line("GTX 1080"), gpu_line("Lost", name_error=15)]) + "\n")
    hot, braked, silent = run_with_nvml(library, configuration, GPU_SCRIPT)
    assert hot == {"name": "RTX 4090", "is_hot": True, "is_braked": False, "temperature_c": 91, "power_limit_w": 200.0,
                   "default_power_limit_w": 450.0}
    assert (braked["is_hot"], braked["is_braked"], braked["temperature_c"]) == (False, True, None)
    assert (silent["is_hot"], silent["power_limit_w"]) == (False, None)

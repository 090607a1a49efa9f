"""What shapes this computer's speed at this moment: power, heat, memory that was swapped out, other programs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import psutil

from localai_app.hardware.gpu_conditions import GpuConditions, read_gpu_conditions
from localai_app.hardware.probe import read_int, read_text

SAMPLE_S = 0.6
_DYNAMIC_DRIVERS = ("intel_pstate", "amd-pstate-epp", "amd_pstate_epp", "amd-pstate")
"""cpufreq drivers whose governor `powersave` still clocks up under load: kernel documentation, admin-guide/pm."""


class BusyProgram(msgspec.Struct, frozen=True, kw_only=True):
    """A program besides the engine with the cores that it keeps busy (1.5: one and a half)."""

    name: str
    cores: float


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """One look at the computer; None and 0 where it does not tell."""

    is_on_battery: bool | None = None
    saves_power: str = ""
    """What is set to save power, in words: “the governor powersave”; empty where nothing is known to be."""
    clock_limit: float | None = None
    """Share of its highest clock that the processor is allowed to reach."""
    is_processor_hot: bool = False
    """It clocked itself down because of its temperature while it was looked at."""
    swapped_bytes: int = 0
    """Memory of the engine that lies in swap."""
    faults_per_s: float = 0.0
    """Pages that the engine had to read from the disk, a second."""
    others_cores: float = 0.0
    """Cores that programs besides the engine and this one keep busy."""
    busiest: BusyProgram | None = None
    gpus: tuple[GpuConditions, ...] = ()


def read_conditions(
    engine_pids: Sequence[int], *, root: Path = Path("/"), sample_s: float = SAMPLE_S,
    sleep: Callable[[float], None] = time.sleep, system: str = sys.platform,
) -> Conditions:
    """Look for `sample_s` seconds; `root` is the root of /proc and /sys. Nothing raises: what cannot be read is left out."""
    before, throttled, started_s = _cpu_seconds(), _throttle_count(root), time.monotonic()
    faults = _major_faults(root, engine_pids)
    sleep(sample_s)
    elapsed_s = max(1e-3, time.monotonic() - started_s)
    others = _others(before, _cpu_seconds(), engine_pids, elapsed_s)
    is_linux = system.startswith("linux")
    return Conditions(
        is_on_battery=_on_battery(), saves_power=power_saving_words(root) if is_linux else "",
        clock_limit=clock_limit(root) if is_linux else None, is_processor_hot=_throttle_count(root) > throttled,
        swapped_bytes=sum(_swapped_bytes(root, pid) for pid in engine_pids),
        faults_per_s=max(0, _major_faults(root, engine_pids) - faults) / elapsed_s,
        others_cores=sum(program.cores for program in others), busiest=max(others, key=lambda one: one.cores, default=None),
        gpus=read_gpu_conditions())


def power_saving_words(root: Path) -> str:
    """What Linux is set to in order to save power; empty where nothing is. Source: kernel documentation, admin-guide/pm."""
    profile = read_text(root / "sys/firmware/acpi/platform_profile")
    if profile in ("low-power", "quiet", "cool"):
        return f"the power profile “{profile}”"
    policy = root / "sys/devices/system/cpu/cpu0/cpufreq"
    preference = read_text(policy / "energy_performance_preference")
    if preference == "power":
        return "the energy preference “power”"
    governor, driver = read_text(policy / "scaling_governor"), read_text(policy / "scaling_driver") or ""
    if governor == "powersave" and driver not in _DYNAMIC_DRIVERS:
        return "the governor “powersave”"
    return ""


def clock_limit(root: Path) -> float | None:
    """Share of its highest clock that the first processor may reach; None where that is not told."""
    policy = root / "sys/devices/system/cpu/cpu0/cpufreq"
    allowed, highest = read_int(policy / "scaling_max_freq"), read_int(policy / "cpuinfo_max_freq")
    return allowed / highest if allowed and highest else None


def _on_battery() -> bool | None:
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    return None if battery is None or battery.power_plugged is None else not battery.power_plugged


def _throttle_count(root: Path) -> int:
    folder = root / "sys/devices/system/cpu/cpu0/thermal_throttle"
    return (read_int(folder / "core_throttle_count") or 0) + (read_int(folder / "package_throttle_count") or 0)


def _swapped_bytes(root: Path, pid: int) -> int:
    """VmSwap of /proc/PID/status, which is in KiB."""
    for line in (read_text(root / f"proc/{pid}/status") or "").splitlines():
        if line.startswith("VmSwap:"):
            return int(line.split()[1]) * 1024
    return 0


def _major_faults(root: Path, pids: Sequence[int]) -> int:
    """Field 12 of /proc/PID/stat, counted behind the name in brackets, which may hold blanks."""
    total = 0
    for pid in pids:
        fields = (read_text(root / f"proc/{pid}/stat") or "").rpartition(")")[2].split()
        total += int(fields[9]) if len(fields) > 9 and fields[9].isdigit() else 0
    return total


def _cpu_seconds() -> dict[int, tuple[str, float]]:
    """Processor seconds of every program that may be looked at."""
    seconds: dict[int, tuple[str, float]] = {}
    for process in psutil.process_iter(["name", "cpu_times"]):
        times = process.info["cpu_times"]
        if times is not None:
            seconds[process.pid] = (str(process.info["name"] or ""), times.user + times.system)
    return seconds


def _others(
    before: dict[int, tuple[str, float]], after: dict[int, tuple[str, float]], engine_pids: Sequence[int], elapsed_s: float,
) -> list[BusyProgram]:
    """Programs besides the engine and this one, by name, with the cores that they kept busy."""
    own = {*engine_pids, psutil.Process().pid}
    busy: dict[str, float] = {}
    for pid, (name, seconds) in after.items():
        if pid not in own and pid in before:
            busy[name] = busy.get(name, 0.0) + max(0.0, seconds - before[pid][1]) / elapsed_s
    return [BusyProgram(name=name, cores=cores) for name, cores in busy.items() if cores > 0.01]

"""The processor: model, cores, instruction sets."""

from __future__ import annotations

import functools
import os
import platform
import re
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

from localai_app.hardware.probe import Findings, RunCommand, read_text, run_command
from localai_app.hardware.report import Cpu, ProbeNote

WINDOWS_FEATURES = {
    13: "sse3", 36: "ssse3", 37: "sse4_1", 38: "sse4_2", 39: "avx", 40: "avx2", 41: "avx512f",
    19: "neon", 43: "asimddp",
}
"""PF_* constants of IsProcessorFeaturePresent (winnt.h) and the names that Linux gives the same sets."""

SIMD_NAME = re.compile(r"s?sse|avx|fma|f16c|bmi|amx|neon|(adv|a)simd|sve|sme(?!p)|i8mm|bf16|dotprod|fp16|fphp")
"""Beginnings of the names of those sets that decide how fast models run; systems list a hundred others."""

ARM_IMPLEMENTERS = {
    "0x41": "ARM", "0x42": "Broadcom", "0x43": "Cavium", "0x48": "HiSilicon", "0x4e": "NVIDIA", "0x51": "Qualcomm",
    "0x53": "Samsung", "0x61": "Apple", "0xc0": "Ampere",
}
"""MIDR implementer codes of the Arm architecture manual."""


def probe_cpu(
    *, system: str = sys.platform, root: Path = Path("/"), run: RunCommand = run_command,
    windows: Callable[[], tuple[str, tuple[str, ...]]] | None = None,
) -> Findings:
    """Ask the system for the processor; what is not reported falls back to what Python knows.

    `root` is the root of /proc and /sys, `run` starts sysctl, `windows` returns (model, instruction sets).
    """
    if system == "win32":
        model, instruction_sets = (windows or _windows_cpu)()
    elif system == "darwin":
        model, instruction_sets = _macos_cpu(run)
    else:
        model, instruction_sets = _linux_cpu(root)
    notes = () if model else (ProbeNote(
        probe="cpu", message="The system does not say which processor this is.",
        remedy="Nothing to do: speeds are estimated without it."),)
    logical = psutil.cpu_count(logical=True) or os.cpu_count() or 1
    physical = psutil.cpu_count(logical=False) or logical
    return Findings(
        cpu=Cpu(
            model=model or platform.processor() or "unknown processor", architecture=platform.machine(),
            physical_cores=min(physical, logical), logical_cores=logical,
            instruction_sets=tuple(name for name in instruction_sets if SIMD_NAME.match(name))),
        notes=notes)


@functools.cache
def this_cpu() -> Cpu:
    """The processor of this computer, asked for once."""
    cpu = probe_cpu().cpu
    assert cpu is not None
    return cpu


def _linux_cpu(root: Path) -> tuple[str, tuple[str, ...]]:
    """(model, instruction sets) from the first processor in /proc/cpuinfo; Arm boards name themselves in the device tree."""
    fields: dict[str, str] = {}
    for line in (read_text(root / "proc/cpuinfo") or "").splitlines():
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.strip().lower(), value.strip())
    flags = fields.get("flags") or fields.get("features") or fields.get("isa") or ""
    model = fields.get("model name") or fields.get("cpu model") or _device_tree_model(root) or _arm_part(fields)
    return " ".join(model.split()), tuple(sorted(set(flags.lower().split())))


def _device_tree_model(root: Path) -> str:
    return (read_text(root / "sys/firmware/devicetree/base/model") or "").rstrip("\0")


def _arm_part(fields: dict[str, str]) -> str:
    implementer, part = fields.get("cpu implementer", "").lower(), fields.get("cpu part", "").lower()
    if not implementer:
        return ""
    return f"{ARM_IMPLEMENTERS.get(implementer, 'Arm processor of ' + implementer)} part {part}"


def _macos_cpu(run: RunCommand) -> tuple[str, tuple[str, ...]]:
    """(model, instruction sets) from sysctl: Intel Macs list features as words, Apple Silicon as hw.optional switches."""
    model = (run(["sysctl", "-n", "machdep.cpu.brand_string"]) or "").strip()
    found: set[str] = set()
    for line in (run(["sysctl", "machdep.cpu", "hw.optional"]) or "").splitlines():
        name, _, value = line.partition(":")
        if name in ("machdep.cpu.features", "machdep.cpu.leaf7_features"):
            found.update(value.lower().replace(".", "_").split())
        elif name.startswith("hw.optional.") and value.strip() == "1":
            found.add(name.rpartition(".")[2].lower().removeprefix("feat_"))
    return " ".join(model.split()), tuple(sorted(found))


def _windows_cpu() -> tuple[str, tuple[str, ...]]:
    """(model, instruction sets) from the registry and IsProcessorFeaturePresent."""
    if sys.platform == "win32":
        import ctypes
        import winreg

        try:
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"HARDWARE\DESCRIPTION\System\CentralProcessor\0") as key:
                model = " ".join(str(winreg.QueryValueEx(key, "ProcessorNameString")[0]).split())
        except OSError:
            model = ""
        is_present = ctypes.windll.kernel32.IsProcessorFeaturePresent
        return model, tuple(sorted(name for code, name in WINDOWS_FEATURES.items() if is_present(code)))
    else:  # noqa: RET505 - mypy takes code after a check for another system as unreachable
        return "", ()

"""All probes together: each in a thread of its own with a time limit, merged into one report."""

from __future__ import annotations

import logging
import os
import platform
import sys
import threading
import time
from collections.abc import Iterable, Sequence

import msgspec

from localai_app.hardware.amd import probe_amd
from localai_app.hardware.apple import probe_apple
from localai_app.hardware.cpu import probe_cpu
from localai_app.hardware.cross_check import cross_check
from localai_app.hardware.gpu_meter import GpuMeter
from localai_app.hardware.intel import probe_intel
from localai_app.hardware.memory import probe_memory
from localai_app.hardware.nvidia import probe_nvidia
from localai_app.hardware.probe import Findings, Probe
from localai_app.hardware.report import Cpu, Gpu, HardwareReport, Memory, ProbeNote, Vendor
from localai_app.hardware.windows_gpu import probe_windows_gpus

__all__ = ["cross_check", "default_probes", "detect_hardware", "measure_gpus"]

log = logging.getLogger(__name__)


def detect_hardware(*, probes: Sequence[Probe] | None = None, timeout_s: float = 3.0) -> HardwareReport:
    """Find out what this computer has. Never raises: a probe that fails or hangs becomes a note in the report.

    All probes run at once and `timeout_s` seconds (from the call on) are given to all together. A probe
    that hangs keeps its daemon thread until it returns; its late answer is dropped.
    """
    chosen = default_probes() if probes is None else tuple(probes)
    deadline_s = time.monotonic() + timeout_s
    attempts = [_Attempt(probe) for probe in chosen]
    findings = [attempt.wait(max(0.0, deadline_s - time.monotonic()), timeout_s) for attempt in attempts]
    return _merge(findings)


def default_probes(system: str = sys.platform) -> tuple[Probe, ...]:
    """The probes that make sense on an operating system (a value of sys.platform)."""
    everywhere = (Probe("cpu", probe_cpu), Probe("memory", probe_memory))
    if system == "darwin":
        return (*everywhere, Probe("apple", probe_apple))
    if system == "win32":
        return (*everywhere, Probe("nvidia", probe_nvidia), Probe("windows_gpu", probe_windows_gpus))
    return (*everywhere, Probe("nvidia", probe_nvidia), Probe("amd", probe_amd), Probe("intel", probe_intel))


def measure_gpus(report: HardwareReport) -> tuple[Gpu, ...]:
    """The report's GPUs with their free memory as it is now; for readings every second keep a `GpuMeter` instead."""
    with GpuMeter(report.gpus) as meter:
        return meter.measure(report.gpus)


class _Attempt:
    """One probe under way."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._findings: Findings | None = None
        self._thread = threading.Thread(target=self._run, name=f"probe-{probe.name}", daemon=True)
        self._thread.start()

    def wait(self, remaining_s: float, timeout_s: float) -> Findings:
        self._thread.join(remaining_s)
        findings = self._findings
        if findings is not None:
            return findings
        log.warning("the probe %s did not answer within %.1f s", self._probe.name, timeout_s)
        return Findings(notes=(ProbeNote(
            probe=self._probe.name,
            message=f"The question for {_subject(self._probe.name)} was not answered in {timeout_s:g} s.",
            remedy="A driver may hang: restart the computer, then look again."),))

    def _run(self) -> None:
        try:
            self._findings = self._probe.run()
        except Exception as error:
            # One broken probe must not take the others with it.
            log.warning("the probe %s failed", self._probe.name, exc_info=True)
            self._findings = Findings(notes=(ProbeNote(
                probe=self._probe.name, message=f"The question for {_subject(self._probe.name)} failed: {_reason(error)}.",
                remedy="The log has the details; everything else works without this answer."),))


def _merge(findings: Sequence[Findings]) -> HardwareReport:
    notes = [note for found in findings for note in found.notes]
    cpu = next((found.cpu for found in findings if found.cpu is not None), None)
    memory = next((found.memory for found in findings if found.memory is not None), None)
    if memory is None:
        memory = Memory(total_bytes=0, available_bytes=0)
        notes.append(ProbeNote(
            probe="memory", message="How much memory this computer has is not known.",
            remedy="Without it nothing can be said about what fits: restart the computer, then look again."))
    return HardwareReport(
        system={"darwin": "macos", "win32": "windows"}.get(sys.platform, "linux"), cpu=cpu or _unknown_cpu(), memory=memory,
        gpus=_merge_gpus(gpu for found in findings for gpu in found.gpus), notes=tuple(notes))


def _merge_gpus(gpus: Iterable[Gpu]) -> tuple[Gpu, ...]:
    """Each GPU once, GPUs with memory of their own first, then the largest, numbered in that order.

    Where NVML answered, NVIDIA cards that another source lists are the same ones with less detail.
    """
    listed = list(gpus)
    has_nvml = any(gpu.source == "nvml" for gpu in listed)
    kept = [gpu for gpu in listed if not (has_nvml and gpu.vendor is Vendor.NVIDIA and gpu.source != "nvml")]
    kept.sort(key=lambda gpu: (gpu.unified, -(gpu.total_bytes or 0)))
    return tuple(msgspec.structs.replace(gpu, index=index) for index, gpu in enumerate(kept))


def _unknown_cpu() -> Cpu:
    cores = os.cpu_count() or 1
    return Cpu(
        model="unknown processor", architecture=platform.machine(), physical_cores=cores, logical_cores=cores)


def _subject(probe_name: str) -> str:
    return {
        "cpu": "the processor", "memory": "the memory", "nvidia": "NVIDIA GPUs", "amd": "AMD GPUs", "intel": "Intel GPUs",
        "apple": "the Apple GPU", "windows_gpu": "GPUs in the Windows registry",
    }.get(probe_name, probe_name)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(".: ")

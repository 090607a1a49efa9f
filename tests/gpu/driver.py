"""What the NVIDIA driver says of its first GPU, and a program that takes memory of it away."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

MIB = 1024 * 1024


@dataclass(frozen=True)
class Used:
    """Bytes in use on the GPU in all, and by single processes (empty where the driver does not tell)."""

    total: int
    by_pid: dict[int, int]

    def of(self, pid: int) -> int | None:
        """What a process and its children hold; None where the driver does not tell."""
        with contextlib.suppress(psutil.Error):
            pids = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
            held = [self.by_pid[one] for one in pids if one in self.by_pid]
            return sum(held) if held else None
        return None


class Driver:
    """NVML, open as long as this lives. `is_there` False: nothing can be measured."""

    def __init__(self) -> None:
        self._nvml: object | None = None
        try:
            import pynvml

            pynvml.nvmlInit()
            self._nvml = pynvml
            self._handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        except Exception:  # noqa: BLE001 - whatever is missing, there is no such GPU
            self._nvml = None

    @property
    def is_there(self) -> bool:
        """Whether there is a GPU to measure."""
        return self._nvml is not None

    def name(self) -> str:
        """The card's name; empty without one."""
        return str(self._nvml.nvmlDeviceGetName(self._handle)) if self._nvml is not None else ""  # type: ignore[attr-defined]

    def used(self) -> Used:
        """Memory in use now."""
        if self._nvml is None:
            return Used(0, {})
        nvml = self._nvml
        info = nvml.nvmlDeviceGetMemoryInfo(self._handle, version=nvml.nvmlMemory_v2)  # type: ignore[attr-defined]
        by_pid: dict[int, int] = {}
        for function in ("nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetGraphicsRunningProcesses_v3"):
            with contextlib.suppress(Exception):
                for process in getattr(nvml, function)(self._handle):
                    if process.usedGpuMemory:
                        by_pid[process.pid] = max(by_pid.get(process.pid, 0), int(process.usedGpuMemory))
        return Used(int(info.used), by_pid)

    def free_bytes(self) -> int:
        """Memory that is free now."""
        if self._nvml is None:
            return 0
        nvml = self._nvml
        return int(nvml.nvmlDeviceGetMemoryInfo(self._handle, version=nvml.nvmlMemory_v2).free)  # type: ignore[attr-defined]

    def settled(self, wanted_total: int, tolerance_bytes: int, timeout_s: float = 5.0) -> int:
        """Bytes in use once they are as wanted, or when the time is over."""
        end_s = time.monotonic() + timeout_s
        while (now := self.used().total) > wanted_total + tolerance_bytes and time.monotonic() < end_s:
            time.sleep(0.05)
        return now


@contextlib.contextmanager
def held(*, n_bytes: int = 0, leave_bytes: int = 0) -> Iterator[None]:
    """Another program holds so many bytes of the GPU, or all but `leave_bytes` of what is free."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.gpu.hold_program", str(n_bytes), str(leave_bytes)], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        assert said.startswith("holding"), said
        yield
    finally:
        process.stdin.close()
        process.wait(timeout=20)
        process.stdout.close()

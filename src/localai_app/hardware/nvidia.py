"""NVIDIA GPUs through NVML, the library that every NVIDIA driver brings."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from localai_app.hardware.memory import measure_memory
from localai_app.hardware.pci_cards import has_display_device
from localai_app.hardware.probe import Findings, FreeReading
from localai_app.hardware.report import Gpu, Memory, MemoryHolder, ProbeNote, Vendor

NVIDIA_VENDOR_ID = 0x10DE
MINIMUM_DRIVER = 525
"""Oldest driver branch that runs CUDA 12 programs (CUDA Toolkit release notes, table of driver versions)."""
_INSTALL = "Install NVIDIA's driver for this card, then restart the computer."
_NEWER = "Install a newer NVIDIA driver, then restart the computer."
_RESTART = "Restart the computer; if it stays like this, install the NVIDIA driver again."


def probe_nvidia(
    *, root: Path = Path("/"), memory: Callable[[], Memory] = measure_memory, system: str = sys.platform,
) -> Findings:
    """Every NVIDIA GPU that the driver knows; one that fails is told in a note and does not hide the others.

    `root` is the root of /sys, read to tell a missing driver from a missing card; `memory` gives main memory
    for parts that share it (GB10, Jetson).
    """
    try:
        import pynvml
    except ImportError as error:
        return _failed("The Python module that asks the NVIDIA driver is missing.", f"Install nvidia-ml-py. ({error})")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return _init_failure(pynvml, error, root, system)
    try:
        return _list_gpus(pynvml, memory)
    finally:
        _shut_down(pynvml)


@contextmanager
def nvml_session() -> Iterator[Any]:
    """NVML kept open, for readings every second; gives the pynvml module, or None where there is no working driver."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except (ImportError, OSError):
        yield None
        return
    except pynvml.NVMLError:
        yield None
        return
    try:
        yield pynvml
    finally:
        _shut_down(pynvml)


def read_nvidia_free(pynvml: Any, *, memory: Callable[[], Memory] = measure_memory) -> tuple[FreeReading, ...]:
    """Free memory of every NVIDIA GPU now; needs an open `nvml_session`. GPUs that fail are left out."""
    readings = []
    try:
        count = pynvml.nvmlDeviceGetCount()
    except pynvml.NVMLError:
        return ()
    for index in range(count):
        try:
            total, free, _ = _memory_figures(pynvml, pynvml.nvmlDeviceGetHandleByIndex(index))
        except pynvml.NVMLError_NotSupported:
            main = memory()
            total, free = main.total_bytes, main.available_bytes
        except pynvml.NVMLError:
            continue
        readings.append(FreeReading("nvml", Vendor.NVIDIA, total, free))
    return tuple(readings)


def _list_gpus(pynvml: Any, memory: Callable[[], Memory]) -> Findings:
    try:
        count = pynvml.nvmlDeviceGetCount()
    except pynvml.NVMLError as error:
        return _failed(f"The NVIDIA driver does not list its GPUs: {_words(error)}.", _RESTART)
    driver = _ask(pynvml, pynvml.nvmlSystemGetDriverVersion)
    gpus: list[Gpu] = []
    notes: list[ProbeNote] = []
    for index in range(count):
        try:
            gpu, note = _read_gpu(pynvml, index, driver, memory)
        except (pynvml.NVMLError, UnicodeDecodeError) as error:
            notes.append(_note(f"NVIDIA GPU {index} does not answer: {_words(error)}.", _RESTART))
            continue
        gpus.append(gpu)
        if note is not None:
            notes.append(note)
    if gpus and driver and (branch := driver.partition(".")[0]).isdigit() and int(branch) < MINIMUM_DRIVER:
        notes.append(_note(f"The NVIDIA driver {driver} is too old for the engine's CUDA version.", _NEWER))
    return Findings(gpus=tuple(gpus), notes=tuple(notes))


def _read_gpu(pynvml: Any, index: int, driver: str | None, memory: Callable[[], Memory]) -> tuple[Gpu, ProbeNote | None]:
    """One GPU; raises NVMLError where not even its name can be read."""
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    name = str(pynvml.nvmlDeviceGetName(handle))
    note: ProbeNote | None = None
    total: int | None = None
    free: int | None = None
    used: int | None = None
    unified = False
    try:
        total, free, used = _memory_figures(pynvml, handle)
    except pynvml.NVMLError_NotSupported:
        # Parts without memory of their own answer so; CUDA itself takes main memory's figures for them.
        main = memory()
        total, free, unified = main.total_bytes, main.available_bytes, True
    except pynvml.NVMLError as error:
        note = _note(f"The memory of {name} (GPU {index}) cannot be read: {_words(error)}.", _RESTART)
    holders = _holders(pynvml, handle)
    own_bytes = sum(holder.held_bytes or 0 for holder in holders if holder.pid in _own_pids()) if used else 0
    capability = _ask(pynvml, pynvml.nvmlDeviceGetCudaComputeCapability, handle)
    gpu = Gpu(
        index=index, name=name, vendor=Vendor.NVIDIA, total_bytes=total, free_bytes=free,
        used_by_others_bytes=None if used is None else max(0, used - own_bytes), unified=unified, driver=driver,
        compute_capability=f"{capability[0]}.{capability[1]}" if capability else None, holders=holders, source="nvml")
    return gpu, note


def _memory_figures(pynvml: Any, handle: Any) -> tuple[int, int, int]:
    """(total, free, used) in bytes. The newer call keeps what the driver reserves out of `used`."""
    try:
        info = pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)
    except (pynvml.NVMLError_FunctionNotFound, pynvml.NVMLError_ArgumentVersionMismatch):
        info = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return int(info.total), int(info.free), int(info.used)


def _holders(pynvml: Any, handle: Any) -> tuple[MemoryHolder, ...]:
    """Programs with memory on the GPU, biggest first; one that computes and draws is listed once."""
    held: dict[int, int | None] = {}
    for kind in ("Compute", "Graphics"):
        for process in _processes(pynvml, handle, kind):
            known, new = held.get(process.pid), process.usedGpuMemory
            held[process.pid] = new if known is None else max(known, new or 0)
    holders = (
        MemoryHolder(pid=pid, name=_process_name(pynvml, pid), held_bytes=held_bytes) for pid, held_bytes in held.items())
    return tuple(sorted(holders, key=lambda holder: (-(holder.held_bytes or 0), holder.pid)))


def _processes(pynvml: Any, handle: Any, kind: str) -> list[Any]:
    """Processes of one kind; drivers before 510 know only the second version of the call."""
    for version in ("v3", "v2"):
        try:
            return list(getattr(pynvml, f"nvmlDeviceGet{kind}RunningProcesses_{version}")(handle))
        except pynvml.NVMLError_FunctionNotFound:
            continue
        except pynvml.NVMLError:
            break
    return []


def _process_name(pynvml: Any, pid: int) -> str:
    path = _ask(pynvml, pynvml.nvmlSystemGetProcessName, pid)
    if path:
        return str(path).replace("\\", "/").rpartition("/")[2].strip() or str(path)
    try:
        return str(psutil.Process(pid).name())
    except psutil.Error:
        return f"process {pid}"


def _own_pids() -> set[int]:
    """This program and its workers: what they hold is not held by others."""
    try:
        children = psutil.Process().children(recursive=True)
    except psutil.Error:
        children = []
    return {os.getpid(), *(child.pid for child in children)}


def _ask(pynvml: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    """A figure that may be missing: None instead of an error."""
    try:
        return function(*arguments)
    except (pynvml.NVMLError, UnicodeDecodeError):
        return None


def _init_failure(pynvml: Any, error: Any, root: Path, system: str) -> Findings:
    """Why NVML did not start, in words; silence where the PCI bus shows that there is no NVIDIA card."""
    has_card = has_display_device(root, NVIDIA_VENDOR_ID) if system.startswith("linux") else None
    is_missing = error.value in (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
    if is_missing and has_card is False:
        return Findings()
    if error.value == pynvml.NVML_ERROR_LIBRARY_NOT_FOUND and not has_card:
        return _failed("No NVIDIA driver was found.", "With an NVIDIA card, install its driver; without one, all is well.")
    causes = {
        pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: ("There is an NVIDIA card, but NVIDIA's driver is not installed.", _INSTALL),
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND: (
            "The NVIDIA driver is too old: it lacks functions that Local AI needs.", _NEWER),
        pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: (
            "The NVIDIA driver was updated, and the running part does not match the new one.", "Restart the computer."),
        pynvml.NVML_ERROR_DRIVER_NOT_LOADED: ("The NVIDIA driver is installed, but it is not running.", _RESTART),
        pynvml.NVML_ERROR_NO_PERMISSION: (
            "The NVIDIA driver refuses access to this user.",
            "Add the user to the groups “video” and “render”, then log in again."),
    }
    return _failed(*causes.get(error.value, (f"The NVIDIA driver does not answer: {_words(error)}.", _RESTART)))


def _shut_down(pynvml: Any) -> None:
    _ask(pynvml, pynvml.nvmlShutdown)


def _words(error: Exception) -> str:
    return str(error).strip().rstrip(".").lower() or type(error).__name__


def _note(message: str, remedy: str) -> ProbeNote:
    return ProbeNote(probe="nvidia", message=message, remedy=remedy)


def _failed(message: str, remedy: str) -> Findings:
    return Findings(notes=(_note(message, remedy),))

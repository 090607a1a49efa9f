"""Apple Silicon: one memory for processor and GPU, and how much of it the GPU may hold."""

from __future__ import annotations

import re

from localai_app.hardware.probe import Findings, FreeReading, RunCommand, run_command
from localai_app.hardware.report import Gpu, ProbeNote, Vendor
from localai_app.units import GIB, MIB

SMALL_MEMORY_BYTES = 36 * GIB
PAGE_KINDS_FREE = ("Pages free", "Pages inactive", "Pages speculative")
"""Pages that macOS hands out without writing anything to disk first."""


def probe_apple(*, run: RunCommand = run_command) -> Findings:
    """The GPU of an Apple Silicon Mac; nothing on Intel Macs."""
    values = _sysctl(run)
    if values.get("hw.optional.arm64") != "1":
        return Findings()
    memory_bytes = _number(values.get("hw.memsize"))
    if not memory_bytes:
        return Findings(notes=(ProbeNote(
            probe="apple", message="sysctl does not say how much memory this Mac has.",
            remedy="Restart the Mac and try again."),))
    total = working_set_bytes(memory_bytes, _number(values.get("iogpu.wired_limit_mb")))
    name = _with_cores(values.get("machdep.cpu.brand_string") or "Apple Silicon", run)
    return Findings(gpus=(Gpu(
        index=0, name=name, vendor=Vendor.APPLE, total_bytes=total, free_bytes=_free_bytes(run, total), unified=True,
        source="metal"),))


def read_apple_free(total_bytes: int | None, *, run: RunCommand = run_command) -> tuple[FreeReading, ...]:
    """Free memory of the GPU now; `total_bytes` is the limit that the probe found."""
    free = _free_bytes(run, total_bytes) if total_bytes is not None else None
    return (FreeReading("metal", Vendor.APPLE, total_bytes, free),)


def working_set_bytes(memory_bytes: int, wired_limit_mb: int = 0) -> int:
    """How much the GPU may hold: the limit set by hand (MiB), else 2/3 up to 36 GiB of memory and 3/4 above.

    Shares as observed in Metal's recommendedMaxWorkingSetSize: 16 GB -> 10.7 GiB, 32 GB -> 21.3 GiB, 64 GB -> 48 GiB.
    Newer versions of macOS grant more.
    """
    if 0 < wired_limit_mb * MIB <= memory_bytes:
        return wired_limit_mb * MIB
    return memory_bytes * 2 // 3 if memory_bytes <= SMALL_MEMORY_BYTES else memory_bytes * 3 // 4


def parse_vm_stat(text: str) -> int | None:
    """Bytes that vm_stat counts as free to hand out; None where its output is not understood."""
    page_size = re.search(r"page size of (\d+) bytes", text)
    pages = dict(re.findall(r'^"?([^":\n]+)"?:\s+(\d+)\.?\s*$', text, re.MULTILINE))
    if page_size is None or "Pages free" not in pages:
        return None
    return int(page_size.group(1)) * sum(int(pages.get(kind, 0)) for kind in PAGE_KINDS_FREE)


def _with_cores(name: str, run: RunCommand) -> str:
    """A Max chip with the number of its GPU cores, which decides its bandwidth; others as they are."""
    if not name.endswith("Max"):
        return name
    cores = re.search(r'"gpu-core-count" = (\d+)', run(["ioreg", "-rc", "AGXAccelerator", "-d1"]) or "")
    return f"{name} ({cores[1]}-core GPU)" if cores else name


def _free_bytes(run: RunCommand, total_bytes: int) -> int | None:
    free = parse_vm_stat(run(["vm_stat"]) or "")
    return None if free is None else min(total_bytes, free)


def _sysctl(run: RunCommand) -> dict[str, str]:
    """Values by name; sysctl leaves out the names that this version of macOS does not know."""
    output = run(["sysctl", "hw.optional.arm64", "hw.memsize", "machdep.cpu.brand_string", "iogpu.wired_limit_mb"]) or ""
    pairs = (line.partition(":") for line in output.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0

"""What this computer has, as frozen values. `hardware --json` prints a report and `--hardware FILE` reads one."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Vendor(StrEnum):
    """Who made a GPU."""

    NVIDIA = "nvidia"
    AMD = "amd"
    INTEL = "intel"
    APPLE = "apple"
    OTHER = "other"


class Cpu(msgspec.Struct, frozen=True, kw_only=True):
    """The processor. `instruction_sets` in lower case, as the system spells them (avx2, f16c, neon)."""

    model: str
    architecture: str
    physical_cores: int
    logical_cores: int
    instruction_sets: tuple[str, ...] = ()


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """Main memory in bytes. `available_bytes` is already the smaller of the system's and a container's figure."""

    total_bytes: int
    available_bytes: int
    container_limit_bytes: int | None = None
    bandwidth_bytes_per_s: float | None = None
    """Measured by copying, counting bytes read (not bytes written); None before it was measured."""


class MemoryHolder(msgspec.Struct, frozen=True, kw_only=True):
    """A program that holds memory of a GPU."""

    pid: int
    name: str
    held_bytes: int | None = None


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """One graphics device.

    `unified`: it shares main memory with the processor (Apple Silicon, integrated GPUs, GB10). For Apple,
    `total_bytes` is the working-set limit, not the whole memory. Bytes are None where nothing reports them.
    """

    index: int
    name: str
    vendor: Vendor
    total_bytes: int | None
    free_bytes: int | None
    used_by_others_bytes: int | None = None
    unified: bool = False
    driver: str | None = None
    compute_capability: str | None = None
    holders: tuple[MemoryHolder, ...] = ()
    engine_context_bytes: int = 0
    """What the driver keeps here for a process of the engine that has loaded nothing: measured while llama.cpp listed its
    devices; 0 where it was not."""
    source: str = ""
    """Which probe reported it: nvml, metal, sysfs, registry."""


class ProbeNote(msgspec.Struct, frozen=True, kw_only=True):
    """What a probe could not find out, in words for the doctor page."""

    probe: str
    message: str
    remedy: str = ""


class EngineDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A device as llama.cpp itself lists it, for the cross-check."""

    name: str
    description: str
    kind: str
    """cpu, gpu, integrated_gpu or accelerator."""
    total_bytes: int
    free_bytes: int


def is_lent(engine_name: str) -> bool:
    """Whether llama.cpp's name of a device is that of another computer's: RPC0, RPC1 and so on."""
    return engine_name.startswith("RPC")


class HardwareReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the probes found out about this computer."""

    system: str
    """linux, macos or windows."""
    cpu: Cpu
    memory: Memory
    gpus: tuple[Gpu, ...] = ()
    notes: tuple[ProbeNote, ...] = ()
    engine_devices: tuple[EngineDevice, ...] | None = None
    """None until llama.cpp was asked, or where it cannot be."""

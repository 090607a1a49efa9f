"""What other hardware could run: computers put together on paper, described as the probes would describe them when idle."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from localai_app import errors
from localai_app.catalog.model import Catalog
from localai_app.catalog.tasks import Task
from localai_app.errors import AppError
from localai_app.fit.cpu_speed import READS_PER_COPY
from localai_app.fit.result import Request
from localai_app.hardware.report import Cpu, Gpu, HardwareReport, Memory, Vendor
from localai_app.services.candidates import runs
from localai_app.services.catalog_rows import catalog_rows
from localai_app.services.estimate_service import EstimateService
from localai_app.services.machine_parts import KnownGpu, find_gpu, load_known_gpus
from localai_app.services.suggest import suggest
from localai_app.services.views import DiscoveryRow, Suggestions
from localai_app.units import GIB, format_gib

MAX_RAM_BYTES = 16_384 * GIB
MAX_GPUS = 16
DESKTOP_HELD_BYTES = 3 * GIB
"""Main memory of an idle desktop: Windows 11 takes about this much after the start, Linux desktops 1.5 to 2.5 GiB."""
MACOS_HELD_BYTES = 4 * GIB
"""The same for macOS, which wires more for itself and its display."""
SERVER_HELD_BYTES = 2 * GIB
"""The same for a system without a desktop."""
DRIVER_HELD_BYTES = GIB // 2
"""Memory of a card that no program gets: error correction, page tables, the driver. Drivers report 0.1 to 0.6 GiB less than
a card is sold with."""
SCREEN_HELD_BYTES = GIB // 2
"""What desktop and browser hold of the card that drives the screen."""
DUAL_CHANNEL_BYTES_PER_S = 89.6e9
"""Peak of DDR5-5600 in two channels: 2 x 8 bytes x 5,600 million transfers; what desktop boards are sold with."""
EIGHT_CHANNEL_BYTES_PER_S = 307.2e9
"""Peak of DDR5-4800 in eight channels, one socket of a server: 8 x 8 bytes x 4,800 million transfers."""
MOST_DESKTOP_RAM_BYTES = 192 * GIB
"""Four modules of 48 GiB; a board with more memory than this has server channels."""
REACHED_SHARE_OF_PEAK = 0.7
"""Share of a memory's peak that reading reaches; 60 to 80% is what benchmarks of main memory find."""
_SMALL_MAC_BYTES = 36 * GIB
DEFAULT_RAM_GIB = 32
_CORES = {"desktop": 8, "server": 32}
_X86_SETS = ("avx", "avx2", "f16c", "fma")


class GpuChoice(msgspec.Struct, frozen=True, kw_only=True):
    """GPUs of one kind. `name` as in the GPU table; `memory_gib` None: the largest size in which it is sold."""

    name: str
    count: int = 1
    memory_gib: float | None = None


class MachineSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A computer on paper. None: what is usual beside such GPUs."""

    name: str
    ram_bytes: int
    ram_bandwidth_bytes_per_s: float | None = None
    """Peak of main memory."""
    cores: int | None = None
    gpus: tuple[GpuChoice, ...] = ()
    is_server: bool | None = None
    """Without a desktop; None: so where all its GPUs are made for data centres."""


def _preset(name: str, ram_gib: int, gpu: str, count: int = 1, **more: object) -> MachineSpec:
    return msgspec.convert(
        {"name": name, "ram_bytes": ram_gib * GIB, "gpus": ({"name": gpu, "count": count},), **more}, MachineSpec)


PRESETS: dict[str, MachineSpec] = {
    "laptop-m4-16gb": _preset("MacBook with M4, 16 GB", 16, "Apple M4", cores=10),
    "mac-m2-pro-32gb": _preset("Mac with M2 Pro, 32 GB", 32, "Apple M2 Pro", cores=10),
    "desktop-rtx-4090": _preset("Desktop with RTX 4090, 64 GB", 64, "NVIDIA GeForce RTX 4090", cores=16),
    "server-h100": _preset("Server with one H100 80 GB, 192 GB", 192, "NVIDIA H100", cores=24,
                           ram_bandwidth_bytes_per_s=EIGHT_CHANNEL_BYTES_PER_S),
    "workstation-2x-rtx-6000": _preset("Workstation with two RTX 6000 Ada, 192 GB", 192, "NVIDIA RTX 6000 Ada", 2, cores=32,
                                       ram_bandwidth_bytes_per_s=EIGHT_CHANNEL_BYTES_PER_S),
    "mac-studio-192gb": _preset("Mac Studio with M2 Ultra, 192 GB", 192, "Apple M2 Ultra (76-core GPU)", cores=24),
    "node-8x-h100": _preset("Data-centre node with eight H100, 2 TB", 2048, "NVIDIA H100", 8, cores=96),
}
"""Computers that people ask about, by a short name for the command line."""


@dataclass(frozen=True, slots=True)
class WhatIfAnswer:
    """What a computer on paper could run."""

    report: HardwareReport
    rows: tuple[DiscoveryRow, ...]
    """Every model of the catalog with its best variant there."""
    suggestions: Suggestions


class WhatIfService:
    """Computers on paper, and the whole catalog on them. Everything but `answer` returns within milliseconds."""

    def __init__(self, catalog: Catalog, estimate: EstimateService, gpu_table_file: Path) -> None:
        self._catalog = catalog
        self._estimate = estimate
        self._gpu_table_file = gpu_table_file
        self._gpus: tuple[KnownGpu, ...] | None = None
        self._closed = threading.Event()

    def close(self) -> None:
        """End what is being computed; it answers None."""
        self._closed.set()

    def gpus(self) -> tuple[KnownGpu, ...]:
        """All GPUs that can be chosen; AppError if their table cannot be read."""
        if self._gpus is None:
            self._gpus = load_known_gpus(self._gpu_table_file)
        return self._gpus

    def machine(self, spec: MachineSpec) -> HardwareReport:
        """What the probes would find on such a computer; AppError GPU_UNKNOWN, GPU_AMBIGUOUS or MACHINE_INVALID."""
        return build_machine(spec, self.gpus())

    def default_request(self) -> Request:
        """What the settings ask for on another computer than this one."""
        return for_other_computer(self._estimate.default_request())

    def rows(
        self, machine: HardwareReport, request: Request | None = None, *, is_wanted: Callable[[], bool] = lambda: True,
        at_ease: bool = False,
    ) -> tuple[DiscoveryRow, ...] | None:
        """Every model of the catalog with its best variant on `machine`. Takes up to a second, so off the window's thread.

        None as soon as `is_wanted` says no. `at_ease`: rests after each fit for as long as it took.
        """
        wanted = request or self.default_request()
        def rest(seconds: float) -> bool:
            is_closed = self._closed.wait(seconds) if at_ease else self._closed.is_set()
            return is_closed or not is_wanted()

        return catalog_rows(self._estimate, self._catalog.models, wanted, machine, rest)

    def answer(
        self, machine: HardwareReport, task: Task = Task.CHAT, *, is_wanted: Callable[[], bool] = lambda: True,
        at_ease: bool = False,
    ) -> WhatIfAnswer | None:
        """The same with suggestions for a task."""
        rows = self.rows(machine, is_wanted=is_wanted, at_ease=at_ease)
        if rows is None:
            return None
        return answer_for(machine, rows, task)

    def answer_now(self, machine: HardwareReport, task: Task = Task.CHAT) -> WhatIfAnswer:
        """The same, waited for."""
        answer = self.answer(machine, task)
        if answer is None:
            raise RuntimeError("the service is closed")
        return answer


def for_other_computer(request: Request) -> Request:
    """A request without what was chosen for the devices of this computer, which means nothing on another one."""
    return msgspec.structs.replace(
        request, gpu_layers=None, experts_on_cpu=None, excluded_devices=(), main_device="", tensor_split=())


def answer_for(machine: HardwareReport, rows: tuple[DiscoveryRow, ...], task: Task) -> WhatIfAnswer:
    """What is suggested for a task on a computer, from fits that are there; takes milliseconds."""
    cards = suggest(rows, task=task, computer="the computer")
    return WhatIfAnswer(machine, rows, Suggestions(cards, sum(runs(row) for row in rows), len(rows), task))


def newly_possible(there: Sequence[DiscoveryRow], here: Sequence[DiscoveryRow]) -> frozenset[str]:
    """Ids of models that run there and not here; none where it is not known what runs here."""
    if not here:
        return frozenset()
    return frozenset({row.model.id for row in there if runs(row)} - {row.model.id for row in here if runs(row)})


def machine_with(gpu: KnownGpu | None, *, ram_gib: float | None = None, count: int = 1) -> MachineSpec:
    """A computer around one kind of GPU. Main memory where it is not given: 32 GiB, or the largest size of such a chip."""
    if ram_gib is None:
        ram_gib = max(gpu.memory_gib) if gpu is not None and gpu.shares_main_memory and gpu.memory_gib else DEFAULT_RAM_GIB
    ram_bytes = round(ram_gib * GIB)
    if gpu is None:
        return MachineSpec(name=f"{format_gib(ram_bytes)}, no GPU", ram_bytes=ram_bytes)
    amount = f"{count} x " if count > 1 else ""
    return MachineSpec(
        name=f"{amount}{gpu.name}, {format_gib(ram_bytes)}", ram_bytes=ram_bytes, gpus=(GpuChoice(name=gpu.name, count=count),))


def build_machine(spec: MachineSpec, known: Sequence[KnownGpu]) -> HardwareReport:
    """What the probes would report of such a computer when it is idle. Pure.

    Main memory is read with `REACHED_SHARE_OF_PEAK` of its peak, written down as the copy benchmark would measure it. Apple
    Silicon gets the working-set limit that macOS sets: two thirds of the memory up to 36 GiB, three quarters above (observed).
    Raises `AppError` GPU_UNKNOWN, GPU_AMBIGUOUS or MACHINE_INVALID.
    """
    _check(spec)
    chosen = [(choice, find_gpu(known, choice.name)) for choice in spec.gpus if choice.count]
    kinds = [gpu for _choice, gpu in chosen]
    sharing = next((gpu for gpu in kinds if gpu.shares_main_memory), None)
    if sharing is not None and (len(chosen) > 1 or chosen[0][0].count > 1):
        raise AppError(errors.MACHINE_INVALID, reason=f"{sharing.name} shares main memory, so it is a computer's only GPU")
    is_apple = sharing is not None and sharing.vendor is Vendor.APPLE
    is_server = spec.is_server if spec.is_server is not None else bool(kinds) and all(gpu.kind == "datacenter" for gpu in kinds)
    held = MACOS_HELD_BYTES if is_apple else SERVER_HELD_BYTES if is_server else DESKTOP_HELD_BYTES
    peak = spec.ram_bandwidth_bytes_per_s or _usual_bandwidth(spec.ram_bytes, sharing, is_server=is_server)
    cores = spec.cores or _CORES["server" if is_server else "desktop"]
    gpus: list[Gpu] = []
    for choice, gpu in chosen:
        for _ in range(choice.count):
            gpus.append(_gpu(len(gpus), gpu, choice, spec.ram_bytes, has_screen=not gpus and not is_server))
    return HardwareReport(
        system="macos" if is_apple else "linux",
        cpu=Cpu(
            model=sharing.name if is_apple and sharing is not None else f"Processor with {cores} cores",
            architecture="arm64" if is_apple else "x86_64", physical_cores=cores,
            logical_cores=cores if is_apple else 2 * cores, instruction_sets=("neon",) if is_apple else _X86_SETS),
        memory=Memory(
            total_bytes=spec.ram_bytes, available_bytes=max(0, spec.ram_bytes - held),
            bandwidth_bytes_per_s=REACHED_SHARE_OF_PEAK * peak / READS_PER_COPY),
        gpus=tuple(gpus))


def _check(spec: MachineSpec) -> None:
    if not 0 < spec.ram_bytes <= MAX_RAM_BYTES:
        raise AppError(errors.MACHINE_INVALID, reason=f"its memory must be more than 0 and at most {format_gib(MAX_RAM_BYTES)}")
    if any(choice.count < 0 for choice in spec.gpus) or sum(choice.count for choice in spec.gpus) > MAX_GPUS:
        raise AppError(errors.MACHINE_INVALID, reason=f"it can have 0 to {MAX_GPUS} GPUs")
    if spec.cores is not None and not 0 < spec.cores <= 1024:
        raise AppError(errors.MACHINE_INVALID, reason="it can have 1 to 1,024 cores")
    if spec.ram_bandwidth_bytes_per_s is not None and not 0 < spec.ram_bandwidth_bytes_per_s <= 1e14:
        raise AppError(errors.MACHINE_INVALID, reason="the speed of its memory is out of range")


def _usual_bandwidth(ram_bytes: int, sharing: KnownGpu | None, *, is_server: bool) -> float:
    if sharing is not None and sharing.bandwidth_gbs is not None:
        return sharing.bandwidth_gbs * 1e9
    return EIGHT_CHANNEL_BYTES_PER_S if is_server or ram_bytes > MOST_DESKTOP_RAM_BYTES else DUAL_CHANNEL_BYTES_PER_S


def _gpu(index: int, gpu: KnownGpu, choice: GpuChoice, ram_bytes: int, *, has_screen: bool) -> Gpu:
    if gpu.vendor is Vendor.APPLE:
        total = ram_bytes * 2 // 3 if ram_bytes <= _SMALL_MAC_BYTES else ram_bytes * 3 // 4
        return Gpu(index=index, name=gpu.name, vendor=gpu.vendor, total_bytes=total, free_bytes=total, unified=True)
    if gpu.shares_main_memory:
        return Gpu(index=index, name=gpu.name, vendor=gpu.vendor, total_bytes=ram_bytes, free_bytes=None, unified=True)
    size_gib = choice.memory_gib if choice.memory_gib is not None else max(gpu.memory_gib, default=0)
    if gpu.memory_gib and size_gib not in gpu.memory_gib:
        sizes = ", ".join(f"{size:g}" for size in gpu.memory_gib)
        raise AppError(errors.MACHINE_INVALID, reason=f"{gpu.name} is sold with {sizes} GiB")
    total = round(size_gib * GIB)
    held = DRIVER_HELD_BYTES + (SCREEN_HELD_BYTES if has_screen else 0)
    return Gpu(
        index=index, name=gpu.name, vendor=gpu.vendor, total_bytes=total, free_bytes=max(0, total - held),
        used_by_others_bytes=min(total, held))

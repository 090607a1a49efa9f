"""What may be used on each device now: free memory less what is kept for other programs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec

from localai_app.fit.result import Request
from localai_app.hardware.report import EngineDevice, Gpu, HardwareReport, Vendor, is_lent
from localai_app.units import GIB

DISCRETE_RESERVE_BYTES = 1 * GIB
"""Kept free on a GPU with memory of its own: the desktop, the browser, and the driver's context where it was not measured."""
CUDA_WORKSPACE_BYTES = 80 * 1024**2
"""What a CUDA process that computes takes beyond its context and llama.cpp's buffers: cuBLAS's workspace and the kernels.

Measured on an H200 with driver 580: 76-84 MiB for nine of eleven models, 180 where states of Mamba are computed."""
APPLE_RESERVE_BYTES = 1 * GIB
"""Kept free under the working-set limit of Apple Silicon."""
INTEGRATED_RESERVE_BYTES = 4 * GIB
"""Kept free of the main memory that an integrated GPU shares."""
HOST_RESERVE_BYTES = 2 * GIB
"""Kept free of main memory for the system and other programs."""
_APPLE_SMALL_BYTES = 36 * GIB
_NO_WISHES = Request()


@dataclass(frozen=True, slots=True)
class Budget:
    """One device. `usable_bytes` is what a plan may fill."""

    name: str
    kind: str
    """gpu or cpu."""
    free_bytes: int
    reserve_bytes: int
    total_bytes: int
    shares_host: bool = False
    """Its memory is main memory, so that both together are limited by what the host has."""
    engine_name: str = ""
    """llama.cpp's name for it (CUDA0); empty where llama.cpp was not asked."""
    gpu: Gpu | None = None
    surcharge_bytes: int = 0
    """What llama.cpp's own plan takes here beyond the formulas."""
    overhead_bytes: int = 0
    """What the engine's process takes here beyond llama.cpp's buffers, as far as it was measured."""
    is_main: bool = False
    """It is used alone where it can be, as asked."""
    part: float | None = None
    """Its share of the layers that are on GPUs, as asked; None: as fits best."""
    usable_bytes: int = field(init=False)
    """Free memory less the reserve and the surcharge, never below zero."""

    copies_weights: bool = field(init=False)
    """Whether it multiplies weights of main memory for whole prompts, with a copy; devices lent over RPC do not."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "usable_bytes", max(0, self.free_bytes - self.reserve_bytes - self.surcharge_bytes))
        object.__setattr__(self, "copies_weights", not is_lent(self.engine_name))


@dataclass(frozen=True, slots=True)
class Budgets:
    """All devices that a plan may use. `groups`: sets of GPUs that may share one model, best first.

    GPUs of one group have memory of their own and one vendor, or there is a single one that shares main memory; the two
    kinds are never pooled. Devices of other computers join the first group of the first kind, or are one of their own.
    """

    host: Budget
    groups: tuple[tuple[Budget, ...], ...]
    notes: tuple[str, ...] = field(default=())
    """Whole sentences about GPUs that cannot be used, or whose free memory is not known."""
    gpu_sets: tuple[tuple[Budget, ...], ...] = field(init=False)
    """The GPUs to try together, group by group: the one with most room, the two with most room, and so on."""
    pool_bytes: int = field(init=False)
    """What may be filled in main memory and on the GPUs of the largest group together."""

    def __post_init__(self) -> None:
        gpus = max((sum(budget.usable_bytes for budget in group) for group in self.groups), default=0)
        shares_host = any(budget.shares_host for group in self.groups for budget in group)
        object.__setattr__(self, "gpu_sets", tuple(chosen for group in self.groups for chosen in _gpu_sets(group)))
        object.__setattr__(self, "pool_bytes", self.host.usable_bytes + (0 if shares_host else gpus))


def budgets_of(
    hardware: HardwareReport, request: Request = _NO_WISHES, surcharges: Sequence[tuple[str, int]] = (),
) -> Budgets:
    """Budgets from a report, with the memory that the request's replaced model gives back, without the GPUs it excludes.

    `surcharges`: (llama.cpp's name of a GPU, empty for main memory; bytes) that are not to be used.
    """
    memory, extra = hardware.memory, dict(surcharges)
    limit = min(memory.total_bytes, memory.container_limit_bytes or memory.total_bytes)
    available = min(memory.available_bytes + request.credit_bytes, max(limit, memory.available_bytes))
    host = Budget(
        "Main memory", "cpu", max(0, available), HOST_RESERVE_BYTES, memory.total_bytes, surcharge_bytes=extra.get("", 0))
    notes: list[str] = []
    discrete: dict[Vendor, list[Budget]] = {}
    sharing: list[Budget] = []
    lent: list[Budget] = []
    for gpu, engine_name in _usable_gpus(hardware, notes):
        if gpu.name in request.excluded_devices or (engine_name and engine_name in request.excluded_devices):
            notes.append(f"{gpu.name} is left out, as asked.")
            continue
        gpu = _with_credit(gpu, engine_name, request)
        budget = _shared_budget(gpu, host, engine_name) if gpu.unified else _discrete_budget(gpu, engine_name, notes)
        if budget is None:
            continue
        if engine_name in extra and engine_name:
            budget = replace(budget, surcharge_bytes=extra[engine_name])
        if is_lent(engine_name):
            lent.append(budget)
        elif gpu.unified:
            sharing.append(budget)
        else:
            discrete.setdefault(gpu.vendor, []).append(budget)
    groups = [tuple(group) for group in sorted(
        discrete.values(), key=lambda group: -sum(budget.usable_bytes for budget in group))]
    if not groups:
        groups = [(budget,) for budget in sharing]
    if lent and discrete:
        # First in the order of the devices, so that those of this computer, which are filled from the end, are full before.
        groups[0] = (*lent, *groups[0])
    elif lent:
        groups.append(tuple(lent))
    return Budgets(host, tuple(_as_wished(group, request) for group in groups), tuple(notes))


def _as_wished(group: tuple[Budget, ...], request: Request) -> tuple[Budget, ...]:
    """The group with the main device marked, and with the parts of the layers that each GPU is to have."""
    parts: list[float | None] = [None] * len(group)
    if len(group) > 1 and any(part > 0 for part in request.tensor_split):
        wished = [max(0.0, part) for part in request.tensor_split[: len(group)]]
        parts = [*wished, *([0.0] * (len(group) - len(wished)))]
    main = request.main_device
    return tuple(
        replace(budget, part=part, is_main=bool(main) and main in (budget.name, budget.engine_name))
        for budget, part in zip(group, parts, strict=True))


def _gpu_sets(group: tuple[Budget, ...]) -> list[tuple[Budget, ...]]:
    """The GPU with most room, the two with most room, and so on; each set in device order.

    The main device comes first, and those of other computers last: each token goes over the network to them. Where parts
    were asked for, the one set is that of the GPUs with a part.
    """
    if any(budget.part is not None for budget in group):
        return [tuple(budget for budget in group if budget.part)]
    by_room = sorted(
        range(len(group)), key=lambda at: (not group[at].is_main, not group[at].copies_weights, -group[at].usable_bytes))
    return [tuple(group[index] for index in sorted(by_room[:count])) for count in range(1, len(group) + 1)]


def _usable_gpus(hardware: HardwareReport, notes: list[str]) -> list[tuple[Gpu, str]]:
    """GPUs that the engine can use, each with llama.cpp's name for it; all of them while llama.cpp was not asked."""
    if hardware.engine_devices is None:
        return [(gpu, "") for gpu in hardware.gpus]
    seen = [device for device in hardware.engine_devices if device.kind in ("gpu", "integrated_gpu")]
    if hardware.gpus and not seen:
        names = " and ".join(dict.fromkeys(gpu.name for gpu in hardware.gpus))
        notes.append(f"The installed engine can use the processor only, so {names} stays unused.")
        return []
    pairs: list[tuple[Gpu, str]] = []
    left = list(hardware.gpus)
    unmatched = []
    for device in seen:
        gpu = next((gpu for gpu in left if _plain(gpu.name) == _plain(device.description)), None)
        if gpu is None:
            unmatched.append(device)
            continue
        left.remove(gpu)
        pairs.append((gpu, device.name))
    for device in unmatched:
        gpu = next((gpu for gpu in left if gpu.unified == (device.kind == "integrated_gpu")), None)
        if gpu is not None:
            left.remove(gpu)
        pairs.append((gpu or _as_gpu(device), device.name))
    notes.extend(f"The engine does not see {gpu.name}, so it stays unused." for gpu in left)
    return pairs


def _with_credit(gpu: Gpu, engine_name: str, request: Request) -> Gpu:
    """The GPU with the memory that it gets back counted as free; a card is found by llama.cpp's name first.

    What is free on one that only llama.cpp knows was listed before anything was loaded, so nothing has to be given back.
    """
    credits = dict(request.device_credits)
    credit_bytes = credits.get(engine_name, 0) if engine_name else 0
    credit_bytes = credit_bytes or credits.get(gpu.name, 0)
    if not credit_bytes or gpu.free_bytes is None or gpu.source == "engine":
        return gpu
    free_bytes = gpu.free_bytes + credit_bytes
    return msgspec.structs.replace(gpu, free_bytes=free_bytes if gpu.total_bytes is None else min(free_bytes, gpu.total_bytes))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", " ", re.sub(r"\([^)]*\)", " ", name.lower())).strip()


def _as_gpu(device: EngineDevice) -> Gpu:
    """A GPU that only llama.cpp knows of; it reports 0 bytes where it does not know."""
    return Gpu(
        index=0, name=device.description or device.name, vendor=Vendor.OTHER, total_bytes=device.total_bytes or None,
        free_bytes=device.free_bytes or None, unified=device.kind == "integrated_gpu", source="engine")


def _discrete_budget(gpu: Gpu, engine_name: str, notes: list[str]) -> Budget | None:
    free = gpu.free_bytes
    if free is None and gpu.total_bytes is not None:
        free = max(0, gpu.total_bytes - (gpu.used_by_others_bytes or 0))
        notes.append(f"The driver of {gpu.name} does not say how much of its memory is free; all of it is assumed to be.")
    if free is None:
        notes.append(f"Nothing reports how much memory {gpu.name} has, so it stays unused.")
        return None
    context = gpu.engine_context_bytes
    return Budget(
        gpu.name, "gpu", max(0, free), DISCRETE_RESERVE_BYTES, gpu.total_bytes or free, engine_name=engine_name, gpu=gpu,
        overhead_bytes=context + CUDA_WORKSPACE_BYTES if context and engine_name.startswith("CUDA") else context)


def _shared_budget(gpu: Gpu, host: Budget, engine_name: str) -> Budget:
    """A GPU in main memory: Apple's limit is a working set; others get what is free less their reserve.

    Where nothing reports Apple's limit it is two thirds of the memory up to 36 GiB and three quarters above (observed).
    """
    if gpu.vendor is Vendor.APPLE:
        share = 2 / 3 if host.total_bytes <= _APPLE_SMALL_BYTES else 3 / 4
        total = gpu.total_bytes if gpu.total_bytes is not None else round(host.total_bytes * share)
        free = total if gpu.free_bytes is None else gpu.free_bytes
        return Budget(gpu.name, "gpu", max(0, free), APPLE_RESERVE_BYTES, total, True, engine_name, gpu)
    total = gpu.total_bytes or host.total_bytes
    available = host.free_bytes
    reported = available if gpu.free_bytes is None else gpu.free_bytes
    if reported < available - INTEGRATED_RESERVE_BYTES:
        return Budget(gpu.name, "gpu", max(0, reported), 0, total, True, engine_name, gpu)
    return Budget(gpu.name, "gpu", available, INTEGRATED_RESERVE_BYTES, total, True, engine_name, gpu)

"""Intel GPUs on Linux, from what the i915 and xe drivers show in sysfs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from localai_app.hardware.memory import measure_memory
from localai_app.hardware.pci_cards import PciCard, list_cards, pci_name
from localai_app.hardware.probe import Findings, FreeReading, read_int
from localai_app.hardware.report import Gpu, Memory, ProbeNote, Vendor
from localai_app.units import GIB

INTEL_VENDOR_ID = 0x8086
DISCRETE_DEVICE_IDS = (
    range(0x4905, 0x490A), range(0x5690, 0x56C3), range(0xE202, 0xE224), range(0x0BD0, 0x0BE6),
)
"""DG1, Alchemist (Arc A, Flex), Battlemage (Arc B), Ponte Vecchio: include/drm/intel/pciids.h of the kernel."""
DISCRETE_NAME = re.compile(r"\bArc\b.*\b[AB]\d{3}|\bFlex\b|\bMax \d{4}|\bIris Xe MAX\b", re.IGNORECASE)


def probe_intel(*, root: Path = Path("/"), memory: Callable[[], Memory] = measure_memory) -> Findings:
    """Every Intel GPU below `root`/sys. Discrete ones have no memory figure where the driver shows none."""
    gpus: list[Gpu] = []
    notes: list[ProbeNote] = []
    for index, card in enumerate(list_cards(root, INTEL_VENDOR_ID)):
        name = pci_name(root, card.vendor_id, card.device_id)
        is_discrete = _is_discrete(card, name)
        total, free = _memory_of(card, is_discrete, memory)
        full_name = f"Intel {name or f'GPU {card.vendor_id:04x}:{card.device_id:04x}'}"
        gpus.append(Gpu(
            index=index, name=full_name, vendor=Vendor.INTEL, total_bytes=total, free_bytes=free,
            unified=not is_discrete, driver=card.driver or None, source="sysfs"))
        if total is None:
            notes.append(ProbeNote(
                probe="intel", message=f"The memory of {full_name} is not reported by its driver ({card.driver or 'none'}).",
                remedy="The xe driver of a recent kernel reports it; the engine is asked for it as well."))
    return Findings(gpus=tuple(gpus), notes=tuple(notes))


def read_intel_free(*, root: Path = Path("/"), memory: Callable[[], Memory] = measure_memory) -> tuple[FreeReading, ...]:
    """Free memory of every Intel GPU now; only integrated ones can be read."""
    readings = []
    for card in list_cards(root, INTEL_VENDOR_ID):
        is_discrete = _is_discrete(card, None)
        readings.append(FreeReading("sysfs", Vendor.INTEL, *_memory_of(card, is_discrete, memory)))
    return tuple(readings)


def usable_share(total_bytes: int) -> int:
    """Main memory that Mesa's Vulkan driver lets the GPU use: half, or 3/4 above 4 GiB (anv_compute_sys_heap_size)."""
    return total_bytes // 2 if total_bytes <= 4 * GIB else total_bytes * 3 // 4


def _memory_of(card: PciCard, is_discrete: bool, memory: Callable[[], Memory]) -> tuple[int | None, int | None]:
    if is_discrete:
        return _own_memory(card), _own_free_memory(card)
    main = memory()
    total = usable_share(main.total_bytes)
    return total, min(total, main.available_bytes)


def _own_memory(card: PciCard) -> int | None:
    """Bytes on the card: the xe driver shows each tile, i915 (not every version) the whole."""
    tiles = [
        size for pattern in ("tile*/physical_vram_size_bytes", "tile*/memory/physical_vram_size_bytes")
        for file in sorted(card.device.glob(pattern)) if (size := read_int(file))]
    return sum(tiles) or read_int(card.device / "lmem_total_bytes") or read_int(card.folder / "lmem_total_bytes")


def _own_free_memory(card: PciCard) -> int | None:
    return next(
        (free for folder in (card.device, card.folder) if (free := read_int(folder / "lmem_avail_bytes")) is not None), None)


def _is_discrete(card: PciCard, name: str | None) -> bool:
    return (
        any(card.device_id in ids for ids in DISCRETE_DEVICE_IDS) or _own_memory(card) is not None
        or (name is not None and DISCRETE_NAME.search(name) is not None))

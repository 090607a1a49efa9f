"""AMD GPUs on Linux, from what the amdgpu driver shows in sysfs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from localai_app.hardware.memory import measure_memory
from localai_app.hardware.pci_cards import PciCard, list_cards, pci_name
from localai_app.hardware.probe import Findings, FreeReading, read_int, read_text
from localai_app.hardware.report import Gpu, Memory, ProbeNote, Vendor

AMD_VENDOR_ID = 0x1002
NAMES_FILE = "usr/share/libdrm/amdgpu.ids"
"""Marketing names by PCI device and revision; libdrm, and so every Mesa, brings it."""
APU_METRICS_REVISIONS = (2, 3)
"""Third byte of gpu_metrics: 1 for discrete GPUs, 2 and 3 for APUs (kgd_pp_interface.h of the kernel)."""


def probe_amd(*, root: Path = Path("/"), memory: Callable[[], Memory] = measure_memory) -> Findings:
    """Every AMD GPU below `root`/sys; a card whose driver reports no memory is listed with a note."""
    gpus: list[Gpu] = []
    notes: list[ProbeNote] = []
    for index, card in enumerate(list_cards(root, AMD_VENDOR_ID)):
        gpu = _gpu_of(card, index, root, memory)
        gpus.append(gpu)
        if gpu.total_bytes is None:
            notes.append(ProbeNote(
                probe="amd", message=f"The memory of {gpu.name} is not reported ({card.driver or 'no driver'}).",
                remedy="Use the amdgpu driver; cards before 2016 need the kernel option amdgpu.cik_support=1 for it."))
    return Findings(gpus=tuple(gpus), notes=tuple(notes))


def read_amd_free(*, root: Path = Path("/"), memory: Callable[[], Memory] = measure_memory) -> tuple[FreeReading, ...]:
    """Free memory of every AMD GPU now."""
    return tuple(
        FreeReading("sysfs", Vendor.AMD, *_memory_of(card, _is_apu(card), memory))
        for card in list_cards(root, AMD_VENDOR_ID))


def _gpu_of(card: PciCard, index: int, root: Path, memory: Callable[[], Memory]) -> Gpu:
    is_apu = _is_apu(card)
    total, free = _memory_of(card, is_apu, memory)
    return Gpu(
        index=index, name=_name_of(card, root), vendor=Vendor.AMD, total_bytes=total, free_bytes=free,
        used_by_others_bytes=_used_bytes(card, is_apu), unified=is_apu, driver=card.driver or None, source="sysfs")


def _memory_of(card: PciCard, is_apu: bool, memory: Callable[[], Memory]) -> tuple[int | None, int | None]:
    """(total, free) in bytes. An APU has what the firmware carved out plus what the driver may take of main memory (GTT)."""
    total, used = read_int(card.device / "mem_info_vram_total"), read_int(card.device / "mem_info_vram_used")
    if total is None:
        return None, None
    free = max(0, total - used) if used is not None else None
    if not is_apu:
        return total, free
    gtt_total = read_int(card.device / "mem_info_gtt_total") or 0
    gtt_free = max(0, gtt_total - (read_int(card.device / "mem_info_gtt_used") or 0))
    # What other programs hold of main memory cannot be taken, although the driver counts it as free.
    return total + gtt_total, None if free is None else free + min(gtt_free, memory().available_bytes)


def _used_bytes(card: PciCard, is_apu: bool) -> int | None:
    used = read_int(card.device / "mem_info_vram_used")
    if used is None or not is_apu:
        return used
    return used + (read_int(card.device / "mem_info_gtt_used") or 0)


def _is_apu(card: PciCard) -> bool:
    """Whether the GPU is part of the processor: by the kind of its metrics, else by the missing maker of its own memory."""
    try:
        with (card.device / "gpu_metrics").open("rb") as file:
            header = file.read(4)
    except OSError:
        header = b""
    if len(header) == 4 and header[2] in (1, *APU_METRICS_REVISIONS):
        return header[2] in APU_METRICS_REVISIONS
    maker = read_text(card.device / "mem_info_vram_vendor")
    return read_int(card.device / "mem_info_vram_total") is not None and maker in (None, "", "unknown")


def _name_of(card: PciCard, root: Path) -> str:
    name = (
        read_text(card.device / "product_name") or _marketing_name(card, root)
        or pci_name(root, card.vendor_id, card.device_id) or f"GPU {card.vendor_id:04x}:{card.device_id:04x}")
    return name if name.upper().startswith("AMD") else f"AMD {name}"


def _marketing_name(card: PciCard, root: Path) -> str | None:
    """The name in libdrm's list, whose lines are `device, revision, name` with hexadecimal ids."""
    for line in (read_text(root / NAMES_FILE) or "").splitlines():
        fields = [field.strip() for field in line.split(",", 2)]
        if len(fields) == 3 and (fields[0].lower(), fields[1].lower()) == (f"{card.device_id:04x}", f"{card.revision:02x}"):
            return fields[2]
    return None

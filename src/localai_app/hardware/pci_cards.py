"""Graphics cards as the Linux kernel lists them, and their names from the system's id lists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from localai_app.hardware.probe import read_int, read_text

PCI_ID_LISTS = ("usr/share/misc/pci.ids", "usr/share/hwdata/pci.ids", "usr/share/pci.ids")
DISPLAY_CLASS = 0x03
"""First byte of the PCI class code of display controllers."""


@dataclass(frozen=True, slots=True)
class PciCard:
    """One card: `folder` is its directory of /sys/class/drm, ids as PCI numbers, `driver` the kernel module."""

    folder: Path
    vendor_id: int
    device_id: int
    revision: int
    driver: str

    @property
    def device(self) -> Path:
        """The folder of the PCI device behind the card."""
        return self.folder / "device"


def list_cards(root: Path, vendor_id: int) -> tuple[PciCard, ...]:
    """The cards of one maker below `root`/sys/class/drm in their numbers' order; empty where the kernel lists none."""
    return tuple(card for card in _all_cards(root) if card.vendor_id == vendor_id)


def has_display_device(root: Path, vendor_id: int) -> bool | None:
    """Whether the PCI bus holds a graphics device of a maker, with or without a driver; None where it cannot be read."""
    devices = root / "sys/bus/pci/devices"
    try:
        folders = list(devices.iterdir())
    except OSError:
        return None
    if not folders:
        return None
    return any(
        read_int(folder / "vendor") == vendor_id and (read_int(folder / "class") or 0) >> 16 == DISPLAY_CLASS
        for folder in folders)


def pci_name(root: Path, vendor_id: int, device_id: int) -> str | None:
    """A device's name from the system's pci.ids; its marketing part in brackets where it has one."""
    for candidate in PCI_ID_LISTS:
        text = read_text(root / candidate)
        if text is not None and (name := _find_name(text, vendor_id, device_id)) is not None:
            bracketed = re.search(r"\[([^\]]+)\]", name)
            return bracketed.group(1) if bracketed else name
    return None


def _find_name(pci_ids: str, vendor_id: int, device_id: int) -> str | None:
    is_vendor = False
    for line in pci_ids.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if not line.startswith("\t"):
            if is_vendor:
                return None
            is_vendor = line.lower().startswith(f"{vendor_id:04x} ")
        elif is_vendor and line.lower().startswith(f"\t{device_id:04x} "):
            return line[1:].partition(" ")[2].strip()
    return None


def _all_cards(root: Path) -> Iterator[PciCard]:
    try:
        folders = [folder for folder in (root / "sys/class/drm").iterdir() if re.fullmatch(r"card\d+", folder.name)]
    except OSError:
        return
    for folder in sorted(folders, key=lambda folder: int(folder.name[4:])):
        vendor_id, device_id = read_int(folder / "device/vendor"), read_int(folder / "device/device")
        if vendor_id is not None and device_id is not None:
            yield PciCard(
                folder, vendor_id, device_id, read_int(folder / "device/revision") or 0, _driver_name(folder / "device"))


def _driver_name(device: Path) -> str:
    try:
        return (device / "driver").readlink().name
    except OSError:
        return ""

"""GPUs on Windows from the registry, where the size of their memory is not cut off at 4 GB as it is in WMI."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from localai_app.hardware.intel import DISCRETE_NAME as INTEL_DISCRETE_NAME
from localai_app.hardware.memory import measure_memory
from localai_app.hardware.probe import Findings
from localai_app.hardware.report import Gpu, Memory, Vendor

DISPLAY_CLASS_KEY = r"SYSTEM\CurrentControlSet\Control\Class\{4d36e968-e325-11ce-bfc1-08002be10318}"
SIZE_VALUE = "HardwareInformation.qwMemorySize"
WANTED_VALUES = ("DriverDesc", "MatchingDeviceId", "DriverVersion", SIZE_VALUE)
VENDORS = {"10DE": Vendor.NVIDIA, "1002": Vendor.AMD, "8086": Vendor.INTEL}
"""Makers by PCI id; virtual and remote displays have other ones or none."""
AMD_DISCRETE_NAME = re.compile(
    r"\bRX\s?\d|\bR[579]\s|\bVega (56|64|Frontier)|\bVII\b|\bPro\b|\bW\d{4}|\bFirePro\b|\bInstinct\b", re.IGNORECASE)

Adapter = Mapping[str, object]
"""Values of one key below the display class."""


def probe_windows_gpus(
    *, read_adapters: Callable[[], Iterable[Adapter]] | None = None, memory: Callable[[], Memory] = measure_memory,
) -> Findings:
    """Every graphics adapter with a driver. Windows does not say in the registry how much of a memory is free."""
    adapters = (read_adapters or read_registry)()
    gpus = (_gpu_of(index, adapter, memory) for index, adapter in enumerate(adapters))
    return Findings(gpus=tuple(gpu for gpu in gpus if gpu is not None))


def read_registry() -> tuple[Adapter, ...]:
    """The values of every adapter key below the display class; empty on other systems."""
    adapters: list[Adapter] = []
    if sys.platform == "win32":
        import winreg

        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, DISPLAY_CLASS_KEY) as display_class:
            for position in range(winreg.QueryInfoKey(display_class)[0]):
                name = winreg.EnumKey(display_class, position)
                if name.isdigit():
                    adapters.append(_read_adapter(name))
    return tuple(adapters)


def _read_adapter(name: str) -> Adapter:
    """The wanted values that one adapter key has; keys that only administrators may read count as empty."""
    values: dict[str, object] = {}
    if sys.platform == "win32":
        import winreg

        try:
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, rf"{DISPLAY_CLASS_KEY}\{name}") as key:
                for wanted in WANTED_VALUES:
                    with suppress(OSError):
                        values[wanted] = winreg.QueryValueEx(key, wanted)[0]
        except OSError:
            return {}
    return values


def _gpu_of(index: int, adapter: Adapter, memory: Callable[[], Memory]) -> Gpu | None:
    match = re.search(r"VEN_([0-9A-F]{4})", str(adapter.get("MatchingDeviceId", "")), re.IGNORECASE)
    vendor = VENDORS.get(match.group(1).upper()) if match else None
    name = str(adapter.get("DriverDesc", "")).strip()
    if vendor is None or not name:
        return None
    own_bytes = _size_bytes(adapter.get(SIZE_VALUE))
    is_unified = _is_integrated(vendor, name)
    total, free = own_bytes, None
    if is_unified:
        # WDDM lends a GPU up to half of main memory besides its carve-out (Windows display driver model, graphics memory).
        main = memory()
        total = main.total_bytes // 2 + (own_bytes or 0 if vendor is Vendor.AMD else 0)
        free = min(total, main.available_bytes)
    driver = adapter.get("DriverVersion")
    return Gpu(
        index=index, name=name, vendor=vendor, total_bytes=total, free_bytes=free, unified=is_unified,
        driver=str(driver) if driver else None, source="registry")


def _size_bytes(value: object) -> int | None:
    """A memory size: drivers write it as a number or as its little-endian bytes."""
    if isinstance(value, bytes):
        value = int.from_bytes(value, "little")
    return value if isinstance(value, int) and value > 0 else None


def _is_integrated(vendor: Vendor, name: str) -> bool:
    if vendor is Vendor.INTEL:
        return INTEL_DISCRETE_NAME.search(name) is None
    return vendor is Vendor.AMD and AMD_DISCRETE_NAME.search(name) is None

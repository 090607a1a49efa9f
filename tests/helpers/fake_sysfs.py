"""Linux computers that are not there: trees of /sys and /proc files below a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

Files = Mapping[str, str | int | bytes]
"""Paths below the folder and what they hold."""


def write_files(root: Path, files: Files) -> None:
    """Write files with the folders that they need; numbers and text end with a line break, as the kernel writes them."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else f"{content}\n".encode())


def add_card(root: Path, number: int, vendor: int, device: int, *, driver: str = "", files: Files | None = None) -> Path:
    """One graphics card with its PCI ids, its driver and further files; returns its folder of /sys/class/drm."""
    card = root / f"sys/class/drm/card{number}"
    write_files(card / "device", {"vendor": f"0x{vendor:04x}", "device": f"0x{device:04x}", **(files or {})})
    if driver:
        target = root / "sys/bus/pci/drivers" / driver
        target.mkdir(parents=True, exist_ok=True)
        (card / "device/driver").symlink_to(target)
    return card


def gpu_metrics(format_revision: int) -> bytes:
    """The beginning of amdgpu's binary gpu_metrics file: size, format revision, content revision."""
    return (120).to_bytes(2, "little") + bytes((format_revision, 1)) + bytes(116)


def add_cgroup_v2(root: Path, own: str, groups: Mapping[str, Files], *, mount_root: str = "/") -> None:
    """Control groups of the second generation; `groups` maps a path below the mount point to its files."""
    write_files(root, {
        "proc/self/cgroup": f"0::{own}",
        "proc/self/mountinfo": f"30 23 0:26 {mount_root} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate",
    })
    for path, files in groups.items():
        write_files(root / "sys/fs/cgroup" / path, files)


def add_cgroup_v1(root: Path, own: str, groups: Mapping[str, Files], *, mount_root: str = "/") -> None:
    """Control groups of the first generation with the memory controller at /sys/fs/cgroup/memory."""
    write_files(root, {
        "proc/self/cgroup": f"5:cpu,cpuacct:/elsewhere\n4:memory:{own}\n1:name=systemd:/",
        "proc/self/mountinfo": (
            "31 23 0:28 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755\n"
            "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
            f"35 31 0:32 {mount_root} /sys/fs/cgroup/memory rw,relatime shared:16 - cgroup cgroup rw,memory"),
    })
    for path, files in groups.items():
        write_files(root / "sys/fs/cgroup/memory" / path, files)

"""Main memory: the system's figures, and those of a container around this program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import psutil

from localai_app.hardware.probe import Findings, read_int, read_text
from localai_app.hardware.report import Memory


@dataclass(frozen=True, slots=True)
class ContainerMemory:
    """The tightest limit around this program and how much may still be taken under it, in bytes."""

    limit_bytes: int
    headroom_bytes: int


@dataclass(frozen=True, slots=True)
class _Files:
    """Where one generation of control groups keeps its figures."""

    limits: tuple[str, ...]
    usage: str
    reclaimable_key: str


_V2 = _Files(("memory.max", "memory.high"), "memory.current", "inactive_file")
_V1 = _Files(("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_inactive_file")


def probe_memory() -> Findings:
    """The memory of this computer as findings of a probe."""
    return Findings(memory=measure_memory())


def measure_memory(*, root: Path = Path("/"), system: Callable[[], tuple[int, int]] | None = None) -> Memory:
    """Main memory now, in bytes; takes well under a millisecond, so it can feed a gauge.

    Available is min(system's available, container limit - usage + reclaimable page cache). `root` is the
    root of /proc and /sys; `system` returns (total, available).
    """
    total_bytes, available_bytes = (system or _system_memory)()
    container = read_container_memory(root, total_bytes)
    return Memory(
        total_bytes=total_bytes,
        available_bytes=min(available_bytes, container.headroom_bytes) if container else available_bytes,
        container_limit_bytes=container.limit_bytes if container else None)


def read_container_memory(root: Path, total_bytes: int) -> ContainerMemory | None:
    """The control groups around this program (both generations, every level); None without a limit below `total_bytes`.

    Source: kernel documentation, admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst. `memory.high` counts as
    a limit because a program above it is slowed down to a crawl.
    """
    limits: list[int] = []
    headrooms: list[int] = []
    for folder, files in _group_folders(root):
        found = [value for name in files.limits if (value := read_int(folder / name)) is not None]
        if not found or min(found) >= total_bytes:
            continue
        limit = min(found)
        usage = read_int(folder / files.usage) or 0
        reclaimable = min(usage, _stat_value(folder, files.reclaimable_key))
        limits.append(limit)
        headrooms.append(max(0, limit - usage + reclaimable))
    return ContainerMemory(min(limits), min(headrooms)) if limits else None


def _group_folders(root: Path) -> Iterator[tuple[Path, _Files]]:
    """Every folder from this program's own group up to the mount point, for each mounted memory hierarchy."""
    paths = _own_groups(root)
    for line in (read_text(root / "proc/self/mountinfo") or "").splitlines():
        before, _, after = line.partition(" - ")
        mount, kind = before.split(), after.split()
        if len(mount) < 5 or len(kind) < 3:
            continue
        if kind[0] == "cgroup2":
            files, own = _V2, paths.get("")
        elif kind[0] == "cgroup" and "memory" in kind[2].split(","):
            files, own = _V1, paths.get("memory")
        else:
            continue
        if own is not None:
            yield from ((folder, files) for folder in _levels(root, mount[3], mount[4], own))


def _own_groups(root: Path) -> dict[str, str]:
    """Path of this program's group by controller; the empty name is generation 2."""
    groups: dict[str, str] = {}
    for line in (read_text(root / "proc/self/cgroup") or "").splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3:
            groups.update(dict.fromkeys(parts[1].split(","), parts[2]))
    return groups


def _levels(root: Path, mount_root: str, mount_point: str, own: str) -> Iterator[Path]:
    """Folders of the own group and of those around it; inside a container only part of the hierarchy is mounted."""
    top = root / mount_point.replace("\\040", " ").lstrip("/")
    try:
        relative = PurePosixPath(own).relative_to(mount_root)
    except ValueError:
        relative = PurePosixPath()
    if ".." in relative.parts or not (top / relative).is_dir():
        relative = PurePosixPath()
    yield top / relative
    for parent in relative.parents:
        yield top / parent


def _stat_value(folder: Path, key: str) -> int:
    for line in (read_text(folder / "memory.stat") or "").splitlines():
        name, _, value = line.partition(" ")
        if name == key and value.strip().isdigit():
            return int(value)
    return 0


def _system_memory() -> tuple[int, int]:
    memory = psutil.virtual_memory()
    return int(memory.total), int(memory.available)

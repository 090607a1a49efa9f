"""Parts from which a computer can be put together on paper: the GPUs of the GPU table and usual main memories."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from localai_app import errors
from localai_app.errors import AppError
from localai_app.hardware.report import Vendor

_SERIES_WORDS = frozenset({"nvidia", "geforce", "amd", "radeon", "intel", "apple", "instinct", "tesla", "gpu", "generation"})
"""Words of a name that nobody has to type."""
MAX_CHOICES_NAMED = 6


class KnownGpu(msgspec.Struct, frozen=True):
    """A GPU of the table. `bandwidth_gbs` None: its speed is not known, so neither is that of models on it."""

    name: str
    vendor: Vendor
    kind: str
    """discrete, laptop, workstation, datacenter, igpu or unified."""
    memory_gib: tuple[float, ...]
    """Sizes in which it is sold; for one that shares main memory, sizes of that. Empty: whatever the computer has."""
    bandwidth_gbs: float | None
    """Peak, in 10^9 bytes per second."""

    @property
    def shares_main_memory(self) -> bool:
        """Whether it has no memory of its own."""
        return self.kind in ("igpu", "unified")


class _Row(msgspec.Struct, frozen=True):
    name: str
    vendor: str
    kind: str
    vram_gib: tuple[float, ...] | str = ()
    bandwidth_gbs: float | None = None


def load_known_gpus(path: Path) -> tuple[KnownGpu, ...]:
    """All GPUs of the table in its order. Raises `AppError` FILE_UNREADABLE or FILE_INVALID."""
    try:
        rows = msgspec.json.decode(path.read_bytes(), type=tuple[_Row, ...])
    except OSError as error:
        raise AppError(errors.FILE_UNREADABLE, name=path.name, reason=error.strerror or "unknown") from error
    except msgspec.MsgspecError as error:
        raise AppError(errors.FILE_INVALID, name=path.name, kind="GPU table", reason=str(error)) from error
    return tuple(
        KnownGpu(
            name=row.name, vendor=Vendor(row.vendor), kind=row.kind,
            memory_gib=() if isinstance(row.vram_gib, str) else row.vram_gib, bandwidth_gbs=row.bandwidth_gbs)
        for row in rows if row.kind != "system_ram")


def find_gpu(gpus: Sequence[KnownGpu], words: str) -> KnownGpu:
    """The GPU that `words` name: its whole name, or as many of its words as tell it apart (`4090`, `m4 max 40-core`).

    Raises `AppError` GPU_UNKNOWN, or GPU_AMBIGUOUS with the names that it could be.
    """
    asked = _words(words)
    if not asked:
        raise AppError(errors.GPU_UNKNOWN, name=words)
    same = [gpu for gpu in gpus if _words(gpu.name) == asked]
    found = same or [gpu for gpu in gpus if asked <= _words(gpu.name)]
    if not found:
        raise AppError(errors.GPU_UNKNOWN, name=words)
    shortest = min(len(_words(gpu.name)) for gpu in found)
    nearest = [gpu for gpu in found if len(_words(gpu.name)) == shortest]
    if len(nearest) > 1:
        names = ", ".join(gpu.name for gpu in nearest[:MAX_CHOICES_NAMED])
        more = " or another" if len(nearest) > MAX_CHOICES_NAMED else ""
        raise AppError(errors.GPU_AMBIGUOUS, name=words, choices=names + more)
    return nearest[0]


def _words(name: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z0-9.+]+", name.lower())) - _SERIES_WORDS

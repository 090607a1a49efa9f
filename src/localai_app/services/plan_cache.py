"""Dry runs that were made already: in memory, and as one small file per header, build and device in the cache folder."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from localai_app.engine.protocol import KvType, PlannedBuffer
from localai_app.fit.planned import PlannedPoint

log = logging.getLogger(__name__)

MAX_FILES = 300
MAX_POINTS = 200
HEADER_SUFFIX = ".gguf"
"""Headers that the worker reads; each is removed after its run."""
_LEFT_BEHIND_S = 3600.0
_SUFFIX = ".json"


class PlanKey(msgspec.Struct, frozen=True, kw_only=True):
    """What dry runs depend on, apart from context and KV type."""

    header_sha256: str
    build: str
    ubatch: int
    gpu_layers: int
    device: str
    """The GPU's name in llama.cpp; empty for the processor, several are joined by commas."""
    tensor_split: tuple[float, ...] = ()
    cpu_expert_blocks: int = 0

    @property
    def file_name(self) -> str:
        """The file of these runs."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:32] + _SUFFIX


class PlacedPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One dry run of one placement: what it takes on each device."""

    ctx: int
    kv_type: KvType
    buffers: tuple[PlannedBuffer, ...]


class PlanRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One file: the key, to be sure of it, the runs sorted by KV type and context, and the types that were refused."""

    key: PlanKey
    points: tuple[PlannedPoint, ...] = ()
    refused: tuple[KvType, ...] = ()
    placed: tuple[PlacedPoint, ...] = ()
    """Runs whose figures are wanted by device."""

    def placed_at(self, ctx: int, kv_type: KvType) -> tuple[PlannedBuffer, ...] | None:
        """What one of these runs found; None where there was none."""
        return next((point.buffers for point in self.placed if (point.ctx, point.kv_type) == (ctx, kv_type)), None)


class PlanCache:
    """Finds and keeps dry runs. A file that cannot be read or written costs a second run, nothing else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._records: dict[PlanKey, PlanRecord] = {}

    def find(self, key: PlanKey) -> PlanRecord:
        """All runs so far."""
        with self._lock:
            if key not in self._records:
                self._records[key] = self._read(key)
            return self._records[key]

    def add(self, key: PlanKey, points: Iterable[PlannedPoint], refused: Iterable[KvType]) -> PlanRecord:
        """Keep more runs; all of them."""
        before = self.find(key)
        known = {(point.kv_type.value, point.ctx): point for point in (*before.points, *points)}
        return self._keep(PlanRecord(
            key=key, points=tuple(point for _key, point in sorted(known.items())),
            refused=tuple(sorted({*before.refused, *refused})), placed=before.placed))

    def add_placed(self, key: PlanKey, point: PlacedPoint) -> None:
        """Keep a run whose figures are wanted by device; of many, the newest."""
        before = self.find(key)
        self._keep(msgspec.structs.replace(before, placed=(*before.placed, point)[-MAX_POINTS:]))

    def _keep(self, record: PlanRecord) -> PlanRecord:
        with self._lock:
            self._records[record.key] = record
        if len(record.points) <= MAX_POINTS:
            self._write(record)
        return record

    def _read(self, key: PlanKey) -> PlanRecord:
        try:
            record = msgspec.json.decode((self._folder / key.file_name).read_bytes(), type=PlanRecord)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return PlanRecord(key=key)
        is_sound = all(
            min(point.ctx, point.kv_bytes + 1, point.host_bytes + 1, point.gpu_bytes + 1) > 0 for point in record.points)
        return record if record.key == key and is_sound else PlanRecord(key=key)

    def _write(self, record: PlanRecord) -> None:
        path = self._folder / record.key.file_name
        partial = path.with_suffix(".part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(msgspec.json.encode(record))
            partial.replace(path)
            self._prune()
        except OSError as error:
            log.info("a dry run could not be kept: %s", error)

    def _prune(self) -> None:
        files = list(self._folder.glob(f"*{_SUFFIX}"))
        if len(files) > MAX_FILES:
            for path in sorted(files, key=lambda path: path.stat().st_mtime)[: len(files) - MAX_FILES]:
                path.unlink(missing_ok=True)
        for path in self._folder.glob(f"*{HEADER_SUFFIX}"):
            if time.time() - path.stat().st_mtime > _LEFT_BEHIND_S:
                path.unlink(missing_ok=True)

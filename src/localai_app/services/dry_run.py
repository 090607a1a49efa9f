"""Dry runs: llama.cpp's own figures for a model of which only the header is known."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from localai_app import errors
from localai_app.engine.build import installed_build
from localai_app.engine.launch import CommandSource
from localai_app.engine.protocol import KvType, LoadOptions, Planned, PlannedBuffer
from localai_app.errors import AppError
from localai_app.fit.kv_cache import padded_context
from localai_app.fit.planned import PlannedMemory, PlannedPoint
from localai_app.gguf.dimensions import geometry_of
from localai_app.gguf.header import GgufHeader
from localai_app.gguf.plan_header import PlanHeader, plan_header, write_plan_file
from localai_app.gguf.tensors import layer_count
from localai_app.hardware.report import is_lent
from localai_app.services.lent_devices import LentDevices
from localai_app.services.plan_cache import HEADER_SUFFIX, PlacedPoint, PlanCache, PlanKey, PlanRecord
from localai_app.services.planner import Planner

log = logging.getLogger(__name__)

GRID = (4096, 32768)
"""Contexts that are always planned, with the one that is asked for and the longest that the model knows."""
LONGEST_CTX = 1_048_576
_TRANSIENT = frozenset({errors.ENGINE_MISSING.code, errors.ENGINE_UNUSABLE.code})


@dataclass(frozen=True, slots=True)
class DryRun:
    """What llama.cpp said. One of the two is set; both are None where it cannot be asked here at all."""

    planned: PlannedMemory | None = None
    refusal: AppError | None = None

    @property
    def is_final(self) -> bool:
        """Whether a load would fail as the dry run did: llama.cpp does not know the architecture, or crashed."""
        return self.refusal is not None and self.refusal.code in (
            errors.ARCHITECTURE_UNKNOWN.code, errors.ENGINE_CRASHED.code)


class DryRunService:
    """Plans models in a worker of its own and remembers the results.

    `run` may take a second or, for a header made to hang llama.cpp, ten: not for the window's thread. `known` returns at once.
    `command` None: no dry runs (another engine is in use).
    """

    def __init__(
        self, command: CommandSource | None, worker_dir: Path, cache_dir: Path, planner: Planner | None = None,
        build: Callable[[], str] = installed_build, lent: tuple[CommandSource, LentDevices] | None = None,
    ) -> None:
        """`lent`: the command of a worker that uses devices of other computers, and who is told how to end it: while it is
        connected to them they serve nobody else."""
        self._command = command
        self._name_build = build
        self._folder = cache_dir / "plans"
        self._cache = PlanCache(self._folder)
        self._planner = planner or Planner(command or (), worker_dir)
        self._lent_planner = Planner(lent[0], worker_dir) if lent is not None else self._planner
        if lent is not None:
            lent[1].on_busy(self._lent_planner.rest)
        self._lock = threading.Lock()
        self._refusals: dict[str, AppError] = {}

    @property
    def _build(self) -> str:
        """Names the llama.cpp that plans; empty where none does."""
        return self._name_build() if self._command is not None else ""

    def run(
        self, headers: Sequence[GgufHeader], *, ctx: int, kv_type: KvType, ubatch: int = 512, gpu: str = "",
        rests: bool = True,
    ) -> DryRun:
        """llama.cpp's figures for a model: at `ctx` and around it, for every KV type; what is known is not asked again.

        `headers`: all parts. `gpu`: llama.cpp's name of a GPU for which to plan too. `rests` False: more questions follow, so
        the worker stays even if it holds memory of the GPU; `rest` ends that. AppError only for a header that does not
        describe a model.
        """
        if not self._build:
            return DryRun()
        header = plan_header(headers)
        with self._lock:
            refusal = self._refusals.get(header.sha256)
        if refusal is not None:
            return DryRun(refusal=refusal)
        wanted = _contexts(headers[0], ctx, kv_type)
        layers = layer_count(headers[0]) + 1
        try:
            on_cpu = self._plan(header, self._key(header, ubatch, 0, ""), wanted)
            on_gpu = self._plan_on_gpu(header, self._key(header, ubatch, layers, gpu), wanted, rests=rests) if gpu else None
        except AppError as error:
            log.info("no dry run of %s: %s (%s)", headers[0].name, error.message, error.detail[-300:])
            if error.code not in _TRANSIENT:
                with self._lock:
                    self._refusals[header.sha256] = error
            return DryRun(refusal=error)
        except OSError as error:
            log.info("no dry run of %s: %s", headers[0].name, error)
            return DryRun()
        return DryRun(self._memory(on_cpu, on_gpu))

    def known(self, headers: Sequence[GgufHeader], *, ubatch: int = 512, gpu: str = "") -> PlannedMemory | None:
        """What earlier runs found, at once; None where nothing is known yet."""
        if not self._build:
            return None
        header = plan_header(headers)
        on_cpu = self._cache.find(self._key(header, ubatch, 0, ""))
        if not on_cpu.points:
            return None
        layers = layer_count(headers[0]) + 1
        return self._memory(on_cpu, self._cache.find(self._key(header, ubatch, layers, gpu)) if gpu else None)

    def placed(self, headers: Sequence[GgufHeader], options: LoadOptions) -> tuple[PlannedBuffer, ...] | None:
        """What a load with exactly these options takes on each device; None where llama.cpp cannot be asked, or refuses.

        It refuses devices that it does not see here. Takes up to a second, and nothing the second time.
        """
        if not self._build:
            return None
        header = plan_header(headers)
        key = PlanKey(
            header_sha256=header.sha256, build=self._build, ubatch=options.ubatch, gpu_layers=options.gpu_layers,
            device=",".join(options.devices), tensor_split=options.tensor_split, cpu_expert_blocks=options.cpu_expert_blocks)
        known = self._cache.find(key).placed_at(options.ctx, options.kv_type)
        if known is not None:
            return known
        try:
            with self._header_file(header) as path:
                buffers = self._ask_planner(path, options).buffers
        except (AppError, OSError) as error:
            log.info("no dry run of a placement of %s: %s", headers[0].name, error)
            return None
        self._cache.add_placed(key, PlacedPoint(ctx=options.ctx, kv_type=options.kv_type, buffers=buffers))
        return buffers

    def rest(self) -> None:
        """End the worker for now: one that planned for a GPU holds some of its memory."""
        self._planner.rest()
        self._lent_planner.rest()

    def close(self) -> None:
        """End the workers."""
        self._planner.close()
        self._lent_planner.close()

    def _ask_planner(self, path: Path, options: LoadOptions) -> Planned:
        uses_lent = any(map(is_lent, options.devices))
        return (self._lent_planner if uses_lent else self._planner).plan(path, options)

    def _key(self, header: PlanHeader, ubatch: int, gpu_layers: int, device: str) -> PlanKey:
        return PlanKey(
            header_sha256=header.sha256, build=self._build, ubatch=ubatch, gpu_layers=gpu_layers, device=device)

    def _memory(self, on_cpu: PlanRecord, on_gpu: PlanRecord | None) -> PlannedMemory:
        return PlannedMemory(
            ubatch=on_cpu.key.ubatch, on_cpu=on_cpu.points, on_gpu=on_gpu.points if on_gpu else (), refused=on_cpu.refused,
            build=self._build)

    def _plan(self, header: PlanHeader, key: PlanKey, wanted: Iterable[tuple[int, KvType]]) -> PlanRecord:
        """All that is known, after asking for what is missing of the wanted."""
        record = self._cache.find(key)
        known = {(point.ctx, point.kv_type) for point in record.points}
        missing = [pair for pair in wanted if pair not in known and pair[1] not in record.refused]
        if not missing:
            return record
        points: list[PlannedPoint] = []
        refused: set[KvType] = set()
        with self._header_file(header) as path:
            for ctx, kv_type in missing:
                point = None if kv_type in refused else self._ask(path, header.name, key, ctx, kv_type)
                if point is None:
                    refused.add(kv_type)
                else:
                    points.append(point)
        return self._cache.add(key, points, refused)

    def _ask(self, path: Path, name: str, key: PlanKey, ctx: int, kv_type: KvType) -> PlannedPoint | None:
        """One dry run; None where llama.cpp takes the model but not with this quantized cache."""
        options = LoadOptions(
            model_path=name, ctx=ctx, kv_type=kv_type, ubatch=key.ubatch, gpu_layers=key.gpu_layers,
            devices=(key.device,) if key.device else ())
        try:
            return _point(self._ask_planner(path, options), ctx, kv_type)
        except AppError as error:
            if kv_type is not KvType.F16 and error.code == errors.MODEL_LOAD_FAILED.code:
                return None
            raise

    def _plan_on_gpu(
        self, header: PlanHeader, key: PlanKey, wanted: Sequence[tuple[int, KvType]], *, rests: bool,
    ) -> PlanRecord | None:
        """None where that fails, such as on a full GPU: the header is sound, because the processor's plan went through."""
        before = self._cache.find(key)
        record = None
        try:
            record = self._plan(header, key, wanted)
        except AppError as error:
            log.info("no dry run for %s: %s (%s)", key.device, error.message, error.detail[-300:])
        if rests and record is not before:
            self.rest()
        return record

    @contextlib.contextmanager
    def _header_file(self, header: PlanHeader) -> Iterator[Path]:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{header.sha256[:32]}-{os.getpid()}-{threading.get_ident()}{HEADER_SUFFIX}"
        try:
            write_plan_file(path, header)
            yield path
        finally:
            with contextlib.suppress(OSError):
                path.unlink()


def _contexts(header: GgufHeader, ctx: int, kv_type: KvType) -> list[tuple[int, KvType]]:
    """What to plan: F16 first, because a refusal of it concerns the model and not the cache type."""
    trained = geometry_of(header).ctx_train or LONGEST_CTX
    grid = {padded_context(min(step, trained)) for step in (*GRID, trained)}
    asked = padded_context(max(1, min(ctx, trained)))
    contexts = [(at, each) for each in KvType for at in sorted(grid)]
    return contexts if asked in grid else [*contexts, (asked, kv_type)]


def _point(planned: Planned, ctx: int, kv_type: KvType) -> PlannedPoint:
    host = sum(buffer.compute_bytes + buffer.output_bytes for buffer in planned.buffers if buffer.kind == "cpu")
    return PlannedPoint(
        ctx=ctx, kv_type=kv_type, kv_bytes=sum(buffer.kv_bytes for buffer in planned.buffers), host_bytes=host,
        repacked_bytes=sum(buffer.repacked_bytes for buffer in planned.buffers),
        gpu_bytes=sum(buffer.compute_bytes + buffer.output_bytes for buffer in planned.buffers) - host)

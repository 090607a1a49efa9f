"""Dry runs: llama.cpp plans every buffer of a load from a header alone, and what it logs about them is read.

`no_alloc` makes it go through a whole load and allocate nothing but metadata; it takes 5 to 100 ms. The KV caches and
compute buffers that it logs then are those of a real load. Malformed headers may abort the process, so this runs in a worker
of its own.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from localai_app.engine.protocol import LoadOptions, Planned, PlannedBuffer
from localai_app.engine.worker.breakdown import BufferTypeUse, MemoryBreakdown
from localai_app.engine.worker.devices import DeviceRegistry
from localai_app.engine.worker.llama_load import ModelLoader, refusal_from_log, require_model_file
from localai_app.engine.worker.llama_log import LlamaLog
from localai_app.engine.worker.stop_flag import StopFlags

_MIB = 1024 * 1024
_NO_OWNERS: Mapping[str, str] = {}
_HOST = "CPU"
_REPACKED = "_REPACK"
_LOG_ROUNDING_BYTES = 32 * 1024
"""The log is in MiB with two decimals, one line for each of at most three caches."""
_COMPUTE = re.compile(r"^sched_reserve: +(\S+) compute buffer size = +([\d.]+) MiB")
_OUTPUT = re.compile(r"^llama_context: +(\S+) +output buffer size = +([\d.]+) MiB")
_CACHE_LAYER = re.compile(r"^llama_(?:kv_cache|memory|dsv4)\w*[:,] layer +\d+: dev = (\S+)")
_CACHE = re.compile(r"^llama_(?:kv_cache|memory|dsv4)\w*: (?:size = |.+, size = ) *([\d.]+) MiB")


@dataclass(slots=True)
class _Device:
    kv: float = 0.0
    compute: float = 0.0
    output: float = 0.0


@dataclass(slots=True)
class _Model:
    """A planned model that later plans with other contexts reuse, and what C keeps pointers to for it."""

    key: tuple[object, ...]
    pointer: Any
    loader: ModelLoader = field(repr=False)


class Planner:
    """Plans one load after the other; keeps the model of the last one, because contexts are tried in rows."""

    def __init__(self, library: Any, devices: DeviceRegistry, log: LlamaLog, stop_flags: StopFlags) -> None:
        self._library = library
        self._devices = devices
        self._log = log
        self._stop_flags = stop_flags
        self._breakdown = MemoryBreakdown(library._lib)
        self._model: _Model | None = None

    def plan(self, request_id: int, header_path: str, options: LoadOptions, engine_build: str) -> Planned:
        """What a load with these options would allocate; RequestRefusedError with llama.cpp's reason if it would fail."""
        started_s = time.perf_counter()
        self._log.clear()
        self._log.start_capture()
        try:
            model = self._model_for(Path(header_path), options)
            context = self._library.llama_init_from_model(model.pointer, self._context_parameters(model, options))
        finally:
            lines = self._log.end_capture()
        if not context:
            raise refusal_from_log(Path(header_path).name, self._log.errors)
        table = self._breakdown.of(context)
        self._library.llama_free(context)
        n_layer = self._library.llama_model_n_layer(model.pointer) + 1
        kinds, owners = {device.name: device.kind for device in self._devices.devices()}, self._devices.owners()
        return Planned(
            id=request_id,
            buffers=with_table(buffers_in_log(lines, kinds, owners), table, kinds, owners),
            n_layer=n_layer,
            gpu_layers=min(max(0, options.gpu_layers), n_layer) if self._devices.has_accelerator() else 0,
            plan_s=time.perf_counter() - started_s,
            engine_build=engine_build,
        )

    def _model_for(self, path: Path, options: LoadOptions) -> _Model:
        require_model_file(path)
        status = path.stat()
        key = (
            path, status.st_mtime_ns, status.st_size, options.gpu_layers, options.devices, options.tensor_split,
            options.cpu_expert_blocks, options.use_repack)
        if self._model is not None and self._model.key == key:
            return self._model
        self._forget_model()
        loader = ModelLoader(self._library, self._devices, self._log, self._stop_flags)
        parameters = loader.model_parameters(options, lambda _fraction: None, path.name)
        parameters.no_alloc = True
        # There is nothing to map; llama.cpp asserts that it was not asked to.
        parameters.load_mode = self._library.LLAMA_LOAD_MODE_NONE
        pointer = self._library.llama_model_load_from_file(os.fsencode(path), parameters)
        if not pointer:
            raise refusal_from_log(path.name, self._log.errors)
        self._model = _Model(key, pointer, loader)
        return self._model

    def _context_parameters(self, model: _Model, options: LoadOptions) -> Any:
        return model.loader.context_parameters(options, threads=1)

    def _forget_model(self) -> None:
        if self._model is not None:
            self._library.llama_model_free(self._model.pointer)
            self._model = None


def buffers_in_log(
    lines: Sequence[str], kinds: Mapping[str, str], owners: Mapping[str, str] = _NO_OWNERS,
) -> tuple[PlannedBuffer, ...]:
    """The buffers that llama.cpp's log of a load tells of, main memory last.

    `kinds`: each device's kind by its name; `owners`: the devices of buffers that are not named like their device. A cache
    that is spread over devices is logged as one sum and a device per layer: it is divided by layers.
    """
    devices: dict[str, _Device] = {}
    compute: dict[str, float] = {}
    layers: list[str] = []
    for line in lines:
        if found := _CACHE_LAYER.match(line):
            layers.append(_device_of(found[1], kinds, owners))
        elif found := _CACHE.match(line):
            for name in layers or [_HOST]:
                devices.setdefault(name, _Device()).kv += float(found[1]) * _MIB / (len(layers) or 1)
            layers = []
        elif found := _COMPUTE.match(line):
            # Logged again where the context was built a second time: the last one counts.
            compute[found[1]] = float(found[2]) * _MIB
        elif found := _OUTPUT.match(line):
            devices.setdefault(_device_of(found[1], kinds, owners), _Device()).output += float(found[2]) * _MIB
    for buffer_name, size in compute.items():
        devices.setdefault(_device_of(buffer_name, kinds, owners), _Device()).compute += size
    return tuple(
        PlannedBuffer(
            device=name, kind=kinds.get(name, "cpu") if name != _HOST else "cpu", kv_bytes=round(found.kv),
            compute_bytes=round(found.compute), output_bytes=round(found.output))
        for name, found in sorted(devices.items(), key=lambda item: (item[0] == _HOST, item[0]))
    )


def with_table(
    logged: tuple[PlannedBuffer, ...], table: Sequence[BufferTypeUse], kinds: Mapping[str, str],
    owners: Mapping[str, str] = _NO_OWNERS,
) -> tuple[PlannedBuffer, ...]:
    """The buffers with the exact bytes of llama.cpp's table, and the weights; as logged if the two do not agree."""
    sums: dict[str, list[int]] = {}
    for use in table:
        entry = sums.setdefault(_device_of(use.buffer_type, kinds, owners), [0, 0, 0, 0])
        entry[0] += use.weights_bytes
        entry[1] += use.weights_bytes if use.buffer_type.endswith(_REPACKED) else 0
        entry[2] += use.context_bytes
        entry[3] += use.compute_bytes
    by_device = {buffer.device: buffer for buffer in logged}
    agrees = abs(sum(buffer.kv_bytes for buffer in logged) - sum(kv for _w, _r, kv, _c in sums.values())) <= _LOG_ROUNDING_BYTES
    agrees = agrees and all(
        abs(by_device[name].compute_bytes - compute) <= _LOG_ROUNDING_BYTES
        for name, (_weights, _repacked, _kv, compute) in sums.items() if name in by_device)
    if set(sums) != set(by_device) or not agrees:
        return logged
    return tuple(
        msgspec.structs.replace(
            buffer, weights_bytes=sums[buffer.device][0], repacked_bytes=sums[buffer.device][1],
            kv_bytes=sums[buffer.device][2], compute_bytes=sums[buffer.device][3])
        for buffer in logged)


def _device_of(buffer_name: str, kinds: Mapping[str, str], owners: Mapping[str, str]) -> str:
    """The device of a buffer by its name: CUDA0 is one, CUDA_Host and CPU_REPACK are main memory."""
    buffer_name = owners.get(buffer_name, buffer_name)
    own = [name for name, kind in kinds.items() if kind in ("gpu", "integrated_gpu") and buffer_name.startswith(name)]
    return max(own, key=len, default=_HOST)

"""Dry runs: llama.cpp plans every buffer of a load from a header alone, and what it logs about them is read.

`no_alloc` makes it go through a whole load and allocate nothing but metadata; it takes 5 to 100 ms. The KV caches and
compute buffers that it logs then are those of a real load. Malformed headers may abort the process, so this runs in a worker
of its own.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localai_app.engine.protocol import LoadOptions, Planned
from localai_app.engine.worker.breakdown import MemoryBreakdown
from localai_app.engine.worker.buffers import buffers_in_log, with_table
from localai_app.engine.worker.devices import DeviceRegistry
from localai_app.engine.worker.llama_load import ModelLoader, offloaded_layers, refusal_from_log, require_model_file
from localai_app.engine.worker.llama_log import LlamaLog
from localai_app.engine.worker.stop_flag import StopFlags


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
            raise refusal_from_log(_shown_name(header_path, options), self._log.errors)
        table = self._breakdown.of(context)
        self._library.llama_free(context)
        n_layer = self._library.llama_model_n_layer(model.pointer) + 1
        kinds, owners = {device.name: device.kind for device in self._devices.devices()}, self._devices.owners()
        return Planned(
            id=request_id,
            buffers=with_table(buffers_in_log(lines, kinds, owners), table, kinds, owners),
            n_layer=n_layer,
            gpu_layers=offloaded_layers(self._library, model.pointer, options) if self._devices.has_accelerator() else 0,
            plan_s=time.perf_counter() - started_s,
            engine_build=engine_build,
        )

    def _model_for(self, path: Path, options: LoadOptions) -> _Model:
        require_model_file(path)
        status = path.stat()
        key = (
            path, status.st_mtime_ns, status.st_size, options.gpu_layers, options.devices, options.tensor_split,
            options.main_device, options.cpu_expert_blocks, options.use_repack)
        if self._model is not None and self._model.key == key:
            return self._model
        self._forget_model()
        loader = ModelLoader(self._library, self._devices, self._log, self._stop_flags)
        parameters = loader.model_parameters(options, lambda _fraction: None, _shown_name(path, options))
        parameters.no_alloc = True
        # There is nothing to map; llama.cpp asserts that it was not asked to.
        parameters.load_mode = self._library.LLAMA_LOAD_MODE_NONE
        pointer = self._library.llama_model_load_from_file(os.fsencode(path), parameters)
        if not pointer:
            raise refusal_from_log(_shown_name(path, options), self._log.errors)
        self._model = _Model(key, pointer, loader)
        return self._model

    def _context_parameters(self, model: _Model, options: LoadOptions) -> Any:
        return model.loader.context_parameters(options, threads=1)

    def _forget_model(self) -> None:
        if self._model is not None:
            self._library.llama_model_free(self._model.pointer)
            self._model = None


def _shown_name(header_path: Path | str, options: LoadOptions) -> str:
    """The name of the model's own file, where the plan says it: that of the header's copy means nothing to people."""
    return Path(options.model_path or header_path).name

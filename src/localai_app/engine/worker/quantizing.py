"""Re-quantizing a file through `llama_model_quantize`: planned first, then written, with progress from llama.cpp's log."""

from __future__ import annotations

import ctypes
import math
import os
import re
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from localai_app.engine.failure import RequestRefusedError
from localai_app.engine.outcome import unknown_architecture_in
from localai_app.engine.protocol import Quantize, Quantized, QuantizeProgressed, TensorFallback
from localai_app.engine.quantizing import FILE_TYPES
from localai_app.engine.worker.answer import Sender
from localai_app.engine.worker.llama_load import physical_core_count, require_model_file
from localai_app.engine.worker.llama_log import LlamaLog
from localai_app.errors import ARCHITECTURE_UNKNOWN, NO_SPACE, QUANTIZE_FAILED, QUANTIZE_REFUSED
from localai_app.units import MIB, format_file_size

MAX_BUFFER_BYTES = 512 * MIB
"""Rows that are held at once; llama.cpp's own limit is 8 GiB."""
_SPARE_BYTES = 64 * MIB
"""For the header, and so that a disk is not filled to its last byte."""
_REPORT_INTERVAL_S = 0.1
_TENSOR = re.compile(r"^\[ *\d+/ *\d+\] +(\S+) +- \[([\d, ]+)\]")
_PLANNED_SIZE = re.compile(r"quant size += +([\d.]+) MiB")
_FALLBACK = re.compile(
    r"^warning: (\S+) +- ncols +\d+ not divisible by +\d+ \(required for type +(\S+)\)(?:.*?-> falling back to +(\S+))?")
_FELL_BACK = re.compile(r"-> falling back to +(\S+)")


def run_quantize(library: Any, log: LlamaLog, command: Quantize, sender: Sender) -> Quantized:
    """Write the file; RequestRefusedError in words. What was written of it is removed where it fails."""
    started_s = time.perf_counter()
    source, target = Path(command.source_path), Path(command.target_path)
    require_model_file(source)
    if command.label not in FILE_TYPES:
        raise RequestRefusedError(
            QUANTIZE_REFUSED, name=source.name, label=command.label, reason="llama.cpp does not make this kind by itself")
    progress = QuantizeProgressed(id=command.id)
    sender.send(progress)
    parameters = _parameters(library, command)
    parameters.dry_run = True
    plan = _run(library, log, command, parameters)
    planned_bytes = next((round(float(found[1]) * MIB) for line in plan if (found := _PLANNED_SIZE.search(line))), 0)
    require_space(target, planned_bytes)
    meter = _Meter(msgspec.structs.replace(progress, planned_bytes=planned_bytes), weights_in(plan), sender)
    parameters.dry_run = False
    log.on_line = meter.on_line
    try:
        _run(library, log, command, parameters)
    except RequestRefusedError:
        target.unlink(missing_ok=True)
        require_space(target, planned_bytes)
        raise
    finally:
        log.on_line = None
    return Quantized(
        id=command.id, size_bytes=target.stat().st_size, fallbacks=fallbacks_in(plan), seconds=time.perf_counter() - started_s)


def fallbacks_in(lines: Iterable[str]) -> tuple[TensorFallback, ...]:
    """The tensors that llama.cpp's log says to have fallen back to another type; the message may come in parts."""
    found: list[TensorFallback] = []
    open_one: tuple[str, str] | None = None
    for line in lines:
        begun = _FALLBACK.match(line)
        if begun is not None:
            open_one = (begun[1], begun[2].upper())
        ended = _FELL_BACK.search(line)
        if ended is not None and open_one is not None:
            found.append(TensorFallback(name=open_one[0], wanted=open_one[1], used=ended[1].upper()))
            open_one = None
    return tuple(found)


def weights_in(lines: Iterable[str]) -> dict[str, int]:
    """How many weights each tensor has that llama.cpp's log names, with its shape."""
    found = [match for line in lines if (match := _TENSOR.match(line))]
    return {match[1]: math.prod(int(dimension) for dimension in match[2].split(",")) for match in found}


class _Meter:
    """Turns the lines about tensors into progress."""

    def __init__(self, progress: QuantizeProgressed, weights: dict[str, int], sender: Sender) -> None:
        self._progress = progress
        self._weights = weights
        self._total = max(1, sum(weights.values()))
        self._done = 0
        self._running = 0
        self._sender = sender
        self._reported_s = 0.0

    def on_line(self, line: str) -> None:
        """A tensor begins: those before it are written."""
        found = _TENSOR.match(line)
        if found is None:
            return
        self._done += self._running
        self._running = self._weights.get(found[1], 0)
        if time.monotonic() - self._reported_s >= _REPORT_INTERVAL_S:
            self._reported_s = time.monotonic()
            self._sender.send(msgspec.structs.replace(self._progress, fraction=min(1.0, self._done / self._total)))


def _parameters(library: Any, command: Quantize) -> Any:
    parameters = library.llama_model_quantize_default_params()
    parameters.ftype = FILE_TYPES[command.label]
    parameters.nthread = command.threads or physical_core_count()
    parameters.allow_requantize = True
    parameters.max_buf_size = MAX_BUFFER_BYTES
    # The last entry stays empty, which is how llama.cpp finds the end.
    overrides = (library.llama_model_kv_override * (len(command.metadata) + 1))()
    for override, (key, value) in zip(overrides, command.metadata.items(), strict=False):
        override.tag = library.LLAMA_KV_OVERRIDE_TYPE_STR
        override.key = key.encode()[:127]
        override.value.val_str = value.encode("utf-8", "replace")[:127].decode("utf-8", "ignore").encode()
    parameters.kv_overrides = ctypes.cast(overrides, type(parameters.kv_overrides))
    parameters.kept_overrides = overrides
    return parameters


def _run(library: Any, log: LlamaLog, command: Quantize, parameters: Any) -> list[str]:
    """Call llama.cpp; the lines that it logs."""
    log.clear()
    log.start_capture()
    try:
        status = library.llama_model_quantize(
            os.fsencode(command.source_path), os.fsencode(command.target_path), ctypes.byref(parameters))
    finally:
        lines = log.end_capture()
    if status:
        raise _failure(Path(command.source_path).name, command.label, log.errors)
    return lines


def _failure(name: str, label: str, errors: tuple[str, ...]) -> RequestRefusedError:
    text = "\n".join(errors)
    architecture = unknown_architecture_in(text)
    if architecture is not None:
        return RequestRefusedError(ARCHITECTURE_UNKNOWN, architecture=architecture, detail=text)
    said = next((line.split("failed to quantize: ", 1)[1] for line in reversed(errors) if "failed to quantize: " in line), "")
    return RequestRefusedError(
        QUANTIZE_FAILED, name=name, label=label, reason=said.strip()[:240] or "llama.cpp gives no reason", detail=text)


def require_space(target: Path, planned_bytes: int) -> None:
    """RequestRefusedError NO_SPACE unless the disk of a file that is to be written has room for so many bytes and some more."""
    free_bytes = shutil.disk_usage(target.parent).free
    if free_bytes < planned_bytes + _SPARE_BYTES:
        raise RequestRefusedError(
            NO_SPACE, folder=str(target.parent), needed=format_file_size(planned_bytes + _SPARE_BYTES),
            free=format_file_size(free_bytes))

"""The worker that lends this computer's devices to other programs: llama.cpp's RPC server."""

from __future__ import annotations

import ctypes
from typing import Any

from localai_app.engine.outcome import EXIT_ENGINE_UNUSABLE
from localai_app.engine.worker.library import EngineAbsentError, function_of
from localai_app.engine.worker.llama_load import physical_core_count

_CPU, _GPU, _INTEGRATED_GPU = 0, 1, 2
"""Of `enum ggml_backend_dev_type`."""
_Start = ctypes.CFUNCTYPE(
    None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.POINTER(ctypes.c_void_p))


def serve_devices(handle: Any, address: str, *, hides_gpus: bool) -> None:
    """Lend the GPUs, or the processor where there is none, at HOST:PORT; returns only where that fails.

    EngineAbsentError where this build cannot lend.
    """
    registry = function_of(handle, "ggml_backend_reg_by_name", ctypes.c_void_p, ctypes.c_char_p)(b"RPC")
    find = function_of(handle, "ggml_backend_reg_get_proc_address", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)
    start = find(registry, b"ggml_backend_rpc_start_server") if registry else None
    if not start:
        raise EngineAbsentError(EXIT_ENGINE_UNUSABLE, "this llama.cpp is built without RPC")
    devices = _devices(handle, hides_gpus=hides_gpus)
    array = (ctypes.c_void_p * len(devices))(*devices)
    # No cache on the disk: whoever connects would decide what is written there.
    _Start(start)(address.encode(), None, physical_core_count(), len(devices), array)


def _devices(handle: Any, *, hides_gpus: bool) -> list[int]:
    count = function_of(handle, "ggml_backend_dev_count", ctypes.c_size_t)()
    get = function_of(handle, "ggml_backend_dev_get", ctypes.c_void_p, ctypes.c_size_t)
    kind = function_of(handle, "ggml_backend_dev_type", ctypes.c_int, ctypes.c_void_p)
    pointers = [get(index) for index in range(count)]
    gpus = [] if hides_gpus else [pointer for pointer in pointers if kind(pointer) in (_GPU, _INTEGRATED_GPU)]
    return gpus or [pointer for pointer in pointers if kind(pointer) == _CPU]

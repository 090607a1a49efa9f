"""The devices that llama.cpp sees, through the handle of libllama itself.

`llama_cpp._ggml` is no substitute: it opens a second copy of the library, with a device registry of its own.
"""

from __future__ import annotations

import ctypes
from typing import Any

from localai_app.engine.protocol import Device
from localai_app.engine.worker.library import function_of

_KINDS = {0: "cpu", 1: "gpu", 2: "integrated_gpu", 3: "accelerator"}
"""`enum ggml_backend_dev_type` of ggml-backend.h."""

_GPU_TYPES = (1, 2)

_BACKENDS_WITHOUT_GPU = (b"CPU", b"BLAS", b"RPC")
"""RPC lends devices of other computers: `llama_supports_gpu_offload` counts it as a GPU, a user would not."""


class DeviceRegistry:
    """ggml's device registry. `handle` is the loaded libllama, whose dependencies hold the functions.

    `hides_gpus`: as if there were none, but for those that other computers lend.
    """

    def __init__(self, handle: Any, *, hides_gpus: bool = False) -> None:
        self.hides_gpus = hides_gpus
        self._reg_count = function_of(handle, "ggml_backend_reg_count", ctypes.c_size_t)
        self._reg_get = function_of(handle, "ggml_backend_reg_get", ctypes.c_void_p, ctypes.c_size_t)
        self._reg_name = function_of(handle, "ggml_backend_reg_name", ctypes.c_char_p, ctypes.c_void_p)
        self._count = function_of(handle, "ggml_backend_dev_count", ctypes.c_size_t)
        self._get = function_of(handle, "ggml_backend_dev_get", ctypes.c_void_p, ctypes.c_size_t)
        self._by_name = function_of(handle, "ggml_backend_dev_by_name", ctypes.c_void_p, ctypes.c_char_p)
        self._name = function_of(handle, "ggml_backend_dev_name", ctypes.c_char_p, ctypes.c_void_p)
        self._description = function_of(handle, "ggml_backend_dev_description", ctypes.c_char_p, ctypes.c_void_p)
        self._type = function_of(handle, "ggml_backend_dev_type", ctypes.c_int, ctypes.c_void_p)
        self._buffer_type = function_of(handle, "ggml_backend_dev_buffer_type", ctypes.c_void_p, ctypes.c_void_p)
        self._buffer_name = function_of(handle, "ggml_backend_buft_name", ctypes.c_char_p, ctypes.c_void_p)
        self._cpu_buffer_type = function_of(handle, "ggml_backend_cpu_buffer_type", ctypes.c_void_p)
        size_pointer = ctypes.POINTER(ctypes.c_size_t)
        self._memory = function_of(handle, "ggml_backend_dev_memory", None, ctypes.c_void_p, size_pointer, size_pointer)

    def has_gpu_backend(self) -> bool:
        """Whether a back end for GPUs is part of this build, with or without a GPU in this machine."""
        names = [self._reg_name(self._reg_get(index)) for index in range(self._reg_count())]
        return not self.hides_gpus and any(name.upper() not in _BACKENDS_WITHOUT_GPU for name in names)

    def devices(self) -> tuple[Device, ...]:
        """Every registered device with its memory in bytes."""
        return tuple(self._describe(pointer) for pointer in self._pointers())

    def pointer_to(self, name: str) -> int | None:
        """The `ggml_backend_dev_t` of a device by its name; None if there is no such device."""
        pointer: int | None = self._by_name(name.encode())
        return pointer

    def allowed_names(self) -> tuple[str, ...]:
        """The devices to name in a load that names none itself; empty where all may be used."""
        if not self.hides_gpus:
            return ()
        return tuple(self._name(pointer).decode() for pointer in self._pointers() if self._type(pointer) in _GPU_TYPES)

    def owners(self) -> dict[str, str]:
        """The device's name for each name of a buffer: those of lent devices name the server, and repeat a number."""
        names = {self._buffer_name(self._buffer_type(pointer)): self._name(pointer) for pointer in self._pointers()}
        return {buffer.decode("utf-8", "replace"): device.decode("utf-8", "replace") for buffer, device in names.items()}

    def main_memory_buffer_type(self) -> int:
        """The `ggml_backend_buffer_type_t` of plain main memory."""
        pointer: int = self._cpu_buffer_type()
        return pointer

    def has_accelerator(self) -> bool:
        """Whether there is a device to offload layers to."""
        return any(self._type(pointer) in _GPU_TYPES for pointer in self._pointers())

    def _pointers(self) -> list[int]:
        """The `ggml_backend_dev_t` of every device that may be used."""
        pointers = [self._get(index) for index in range(self._count())]
        if not self.hides_gpus:
            return pointers
        return [
            pointer for pointer in pointers if self._type(pointer) not in _GPU_TYPES or self._name(pointer).startswith(b"RPC")]

    def _describe(self, pointer: int) -> Device:
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self._memory(pointer, ctypes.byref(free), ctypes.byref(total))
        return Device(
            name=self._name(pointer).decode("utf-8", "replace"),
            description=self._description(pointer).decode("utf-8", "replace"),
            kind=_KINDS.get(self._type(pointer), "accelerator"),
            total_bytes=total.value,
            free_bytes=free.value,
        )


def add_lent_devices(handle: Any, endpoint: str) -> bool:
    """Register the devices that an RPC server at `endpoint` (host:port) lends; false where this build cannot or it lends none.

    ggml ends the process where the server does not answer as one.
    """
    registry = function_of(handle, "ggml_backend_reg_by_name", ctypes.c_void_p, ctypes.c_char_p)(b"RPC")
    if not registry:
        return False
    find = function_of(handle, "ggml_backend_reg_get_proc_address", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)
    address = find(registry, b"ggml_backend_rpc_add_server")
    if not address:
        return False
    lent = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_char_p)(address)(endpoint.encode())
    if not lent:
        return False
    function_of(handle, "ggml_backend_register", None, ctypes.c_void_p)(lent)
    return True

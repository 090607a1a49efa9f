"""llama.cpp's own table of what a context takes per buffer type, where the build lets it be read.

`llama_get_memory_breakdown` is exported by its C++ name and returns a `std::map`, which is read here as libstdc++ lays it out:
Linux only. Everywhere else, and wherever the result does not look like one, the log has to do.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_SYMBOL = "_Z26llama_get_memory_breakdownPK13llama_context"
_MAX_BUFFER_TYPES = 64


@dataclass(frozen=True, slots=True)
class BufferTypeUse:
    """What lies in buffers of one type (CPU, CPU_REPACK, CUDA0), in bytes."""

    buffer_type: str
    weights_bytes: int
    context_bytes: int
    compute_bytes: int


class _Map(ctypes.Structure):
    """`std::map`: the comparator, then the header node (colour, root, first, last) and the number of nodes."""

    _fields_ = (
        ("comparator", ctypes.c_void_p), ("colour", ctypes.c_size_t), ("root", ctypes.c_void_p), ("first", ctypes.c_void_p),
        ("last", ctypes.c_void_p), ("count", ctypes.c_size_t))


class _Node(ctypes.Structure):
    """`_Rb_tree_node` of a buffer type and three sizes."""

    _fields_ = (
        ("colour", ctypes.c_size_t), ("parent", ctypes.c_void_p), ("left", ctypes.c_void_p), ("right", ctypes.c_void_p),
        ("buffer_type", ctypes.c_void_p), ("model", ctypes.c_size_t), ("context", ctypes.c_size_t),
        ("compute", ctypes.c_size_t))


class MemoryBreakdown:
    """Reads the table. `handle` is the loaded libllama."""

    def __init__(self, handle: Any) -> None:
        self._function: Any = None
        if not sys.platform.startswith("linux"):
            return
        try:
            self._function = handle[_SYMBOL]
            self._name = handle["ggml_backend_buft_name"]
        except (AttributeError, KeyError):
            self._function = None
            return
        self._function.restype = _Map
        self._function.argtypes = [ctypes.c_void_p]
        self._name.restype = ctypes.c_char_p
        self._name.argtypes = [ctypes.c_void_p]

    def of(self, context: Any) -> tuple[BufferTypeUse, ...]:
        """The table of a context; empty where it cannot be read. The map itself, some hundred bytes, is not freed."""
        if self._function is None:
            return ()
        table = self._function(ctypes.cast(context, ctypes.c_void_p))
        if not 0 < table.count <= _MAX_BUFFER_TYPES:
            return ()
        return tuple(self._walk(table.root, _MAX_BUFFER_TYPES))

    def _walk(self, address: int | None, depth_left: int) -> Iterator[BufferTypeUse]:
        if not address or depth_left == 0:
            return
        node = _Node.from_address(address)
        yield from self._walk(node.left, depth_left - 1)
        name = self._name(node.buffer_type).decode("utf-8", "replace")
        yield BufferTypeUse(name, node.model, node.context, node.compute)
        yield from self._walk(node.right, depth_left - 1)

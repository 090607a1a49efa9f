"""Experts that stay in main memory: llama.cpp takes a pattern of tensor names with the kind of buffer to put them in."""

from __future__ import annotations

import ctypes
from typing import Any


class _BufferOverride(ctypes.Structure):
    """`llama_model_tensor_buft_override` of llama.h."""

    _fields_ = (("pattern", ctypes.c_char_p), ("buffer_type", ctypes.c_void_p))


def expert_pattern(blocks: int) -> str:
    """A regular expression for the tensors of all routed experts of the first `blocks` blocks."""
    numbers = "|".join(str(block) for block in range(blocks))
    return rf"^blk\.({numbers})\.ffn_(up|down|gate_up|gate)_(ch|)exps"


def expert_overrides(blocks: int, main_memory_buffer_type: int) -> Any:
    """The list for `llama_model_params.tensor_buft_overrides`, ended by an empty entry; it must outlive the load.

    Of the buffers in main memory llama.cpp then picks the one that its processor code likes best.
    """
    array = (_BufferOverride * 2)()
    array[0] = _BufferOverride(expert_pattern(blocks).encode(), main_memory_buffer_type)
    return array

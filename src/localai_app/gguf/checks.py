"""Checks on a header that was read: what would abort llama.cpp or make it read past the end of the file."""

from __future__ import annotations

from localai_app.gguf.cursor import RefusedError, TruncatedError
from localai_app.gguf.header import TensorInfo, Value

MAX_LAYERS = 512
"""LLAMA_MAX_LAYERS; llama.cpp aborts beyond it."""
DEFAULT_ALIGNMENT = 32
MAX_ALIGNMENT = 2**20


def check_metadata(metadata: dict[str, Value]) -> int:
    """The alignment of the tensor data; raises `RefusedError` for dimensions that no model can have."""
    architecture = metadata.get("general.architecture", "")
    if not isinstance(architecture, str):
        raise RefusedError("its architecture is not a text")
    alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if isinstance(alignment, bool) or not isinstance(alignment, int):
        raise RefusedError("its alignment is not a whole number")
    if not 0 < alignment <= MAX_ALIGNMENT or alignment & (alignment - 1):
        raise RefusedError(f"its alignment {alignment} is not a power of two")
    _check_layer_count(metadata.get(f"{architecture}.block_count", 1))
    has_state = any(f"{architecture}.{key}" in metadata for key in ("ssm.state_size", "wkv.head_size"))
    _check_head_count(metadata.get(f"{architecture}.attention.head_count", 1), may_be_zero=has_state)
    return alignment


def _check_layer_count(value: Value) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_LAYERS:
        raise RefusedError("its number of layers is not between 1 and 512")


def _check_head_count(value: Value, *, may_be_zero: bool) -> None:
    counts = value if isinstance(value, tuple) else (value,)
    if any(isinstance(count, bool) or not isinstance(count, int) or count < 0 for count in counts):
        raise RefusedError("its number of attention heads is not a whole number")
    if not may_be_zero and not any(counts):
        raise RefusedError("its number of attention heads is zero")


def check_tensors(tensors: tuple[TensorInfo, ...], alignment: int, data_bytes: int) -> None:
    """Every tensor lies aligned within the `data_bytes` of the file, and no two overlap."""
    end = 0
    for tensor in sorted(tensors, key=lambda tensor: tensor.offset):
        if tensor.offset % alignment:
            raise RefusedError("a tensor does not lie at an aligned place")
        if tensor.offset < end:
            raise RefusedError("two tensors lie at the same place")
        end = tensor.offset + tensor.n_bytes
    if end > max(data_bytes, 0):
        raise TruncatedError("its tensor data")

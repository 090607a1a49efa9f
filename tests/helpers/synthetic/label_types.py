"""The tensor types that llama.cpp's quantizer gives a model under a label (`llama_tensor_get_type` in src/llama-quant.cpp)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_KEPT_F32 = ("ffn_gate_inp", "ssm_conv1d", "shortconv.conv.", "position_embd", "token_types")
"""Matrices that the converter writes in full precision and the quantizer leaves alone."""
_KEPT_F16 = ("altup", "laurel", "per_layer_model_proj", "indexer.k_proj", "indexer.q_proj")
"""Small matrices that the quantizer leaves as they are."""
_FALLBACKS = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
_BLOCK = re.compile(r"blk\.(\d+)\.")
_PLAIN = ("F32", "F16", "BF16")
_TABLES = ("token_embd.weight", "per_layer_token_embd.weight")
_VALUES = ("attn_v.weight", "attn_qkv.weight", "attn_kv_b.weight")


def tensor_types(facts: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], label: str) -> dict[str, str]:
    """The type of each tensor by its name."""
    mix = _Mix(facts, shapes, label)
    return {name: mix.type_of(name, shapes[name]) for name in sorted(shapes, key=_file_order)}


def _file_order(name: str) -> tuple[int, str]:
    """The order in which the quantizer goes through the tensors: blocks by number, names by the alphabet."""
    found = _BLOCK.match(name)
    return (int(found[1]) if found else -1, name)


class _Mix:
    """A label's mix of types; counts the value projections as the quantizer does."""

    def __init__(self, facts: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], label: str) -> None:
        self._label = label
        self._tied = "output.weight" not in shapes
        self._experts = facts["n_expert"] or 0
        self._blocks = 1 + max(int(found[1]) for name in shapes if (found := _BLOCK.match(name)))
        self._values = sum(name.endswith(_VALUES) for name in shapes)
        self._values_seen = 0
        self._is_70b = facts["gguf_arch"] == "llama" and facts["n_layer"] == 80
        self._downs_seen = 0

    def type_of(self, name: str, dimensions: tuple[int, ...]) -> str:
        kept = _kept_type(name, dimensions)
        if kept is not None:
            return "BF16" if kept == "F16" and self._label == "BF16" else kept
        if self._label in _PLAIN:
            return self._label
        wanted = self._wanted(name, dimensions)
        return wanted if dimensions[0] % (256 if wanted.endswith("_K") else 32) == 0 else self._fallback(wanted, dimensions[0])

    def _fallback(self, wanted: str, columns: int) -> str:
        return _FALLBACKS[wanted] if wanted in _FALLBACKS and columns % 32 == 0 else "F16"

    def _wanted(self, name: str, dimensions: tuple[int, ...]) -> str:
        if self._label == "Q8_0":
            return "Q8_0"
        if self._label == "MXFP4":
            return "MXFP4" if len(dimensions) == 3 else "Q8_0"
        assert self._label == "Q4_K_M", self._label
        if name == "output.weight" or (self._tied and name in _TABLES):
            return "Q8_0" if dimensions[0] % 256 else "Q6_K"
        if name.endswith(_VALUES):
            return self._value_type()
        if "ffn_down" in name:
            return self._down_type(name)
        return "Q4_K"

    def _value_type(self) -> str:
        number, self._values_seen = self._values_seen, self._values_seen + 1
        if self._experts == 8:
            return "Q8_0"
        if _more_bits(number, self._values):
            return "Q6_K"
        return "Q5_K" if self._is_70b else "Q4_K"

    def _down_type(self, name: str) -> str:
        number, self._downs_seen = self._downs_seen, self._downs_seen + 1
        found = _BLOCK.match(name)
        if self._experts > 1 and found:
            number = int(found[1])
        return "Q6_K" if _more_bits(number, self._blocks) else "Q4_K"


def _more_bits(number: int, count: int) -> bool:
    """`use_more_bits`: the first and last eighth, and every third between."""
    return number < count // 8 or number >= 7 * count // 8 or (number - count // 8) % 3 == 2


def _kept_type(name: str, dimensions: tuple[int, ...]) -> str | None:
    """The type of a tensor that is not quantized; None for those that are."""
    if name.endswith("tid2eid.weight"):
        return "I32"
    if len(dimensions) < 2 or not name.endswith(".weight") or name.endswith("_norm.weight"):
        return "F32"
    if any(part in name for part in _KEPT_F32):
        return "F32"
    return "F16" if any(part in name for part in _KEPT_F16) else None

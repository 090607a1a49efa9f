"""Which types llama.cpp's quantizer would store a model in, and how large the file would be: known before it is made.

Rules: `llama_tensor_get_type_impl` and `tensor_allows_quantization` of src/llama-quant.cpp, for the labels that need no
importance matrix. Falcon's own rules are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from localai_app.gguf.header import GgufHeader, TensorInfo
from localai_app.gguf.quant_types import QUANT_TYPES_BY_NAME, row_bytes
from localai_app.gguf.stored_types import UNQUANTIZED, fallback_type


class Role(StrEnum):
    """What a matrix does, as far as its type depends on it."""

    HEAD = "head"
    """The output head, and a table of tokens that is the head as well."""
    VALUES = "values"
    KEYS = "keys"
    DOWN = "down"
    OUT = "out"
    """The way out of attention."""
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class _Place:
    """A matrix among those of its role: which one, of how many; `groups` query heads share a key head."""

    number: int
    count: int
    groups: int
    n_expert: int


Rule = tuple[Callable[[_Place], bool], str]


def _always(_place: _Place) -> bool:
    return True


def _more_bits(place: _Place) -> bool:
    """The first and the last eighth, and every third between."""
    eighth = place.count // 8
    return place.number < eighth or place.number >= 7 * place.count // 8 or (place.number - eighth) % 3 == 2


def _grouped(place: _Place) -> bool:
    return place.groups >= 4


def _eighth(place: _Place) -> bool:
    return place.number < place.count // 8


def _sixteenth(place: _Place) -> bool:
    return place.number < place.count // 16


_MAIN_TYPES = {"IQ3_M": "IQ3_S"}
_VALUE_RULES: dict[str, tuple[Rule, ...]] = {
    "Q2_K": ((_grouped, "Q4_K"), (_always, "Q3_K")),
    "IQ3_S": ((_grouped, "Q4_K"),), "IQ3_M": ((_always, "Q4_K"),),
    "Q3_K_M": ((lambda place: place.number < 2, "Q5_K"), (_always, "Q4_K")), "Q3_K_L": ((_always, "Q5_K"),),
    "IQ4_NL": ((_grouped, "Q5_K"),), "IQ4_XS": ((_grouped, "Q5_K"),),
    "Q4_K_S": ((lambda place: place.number < 4, "Q5_K"),), "Q4_K_M": ((_more_bits, "Q6_K"),), "Q5_K_M": ((_more_bits, "Q6_K"),)}
_DOWN_RULES: dict[str, tuple[Rule, ...]] = {
    "Q2_K": ((_always, "Q3_K"),), "Q3_K_M": ((_sixteenth, "Q5_K"), (_always, "Q4_K")), "Q3_K_L": ((_always, "Q5_K"),),
    "IQ3_M": ((lambda place: _eighth(place) or (place.n_expert == 8 and _more_bits(place)), "Q4_K"),),
    "IQ4_NL": ((_eighth, "Q5_K"),), "IQ4_XS": ((_eighth, "Q5_K"),), "Q4_K_S": ((_eighth, "Q5_K"),),
    "Q4_K_M": ((_more_bits, "Q6_K"),), "Q5_K_M": ((_more_bits, "Q6_K"),)}
_OUT_TYPES = {"Q2_K": "Q3_K", "Q3_K_M": "Q4_K", "Q3_K_L": "Q5_K", "IQ3_M": "Q4_K"}
_EIGHT_EXPERTS = 8
_RAISED_OUT = ("Q2_K", "Q3_K_S", "Q3_K_M", "IQ4_NL", "IQ4_XS", "Q4_K_S", "Q4_K_M", "IQ3_S", "IQ3_M")
"""Labels under which the way out of attention is raised in models of eight experts."""
_TABLES = ("token_embd.weight", "per_layer_token_embd.weight")
_VALUE_NAMES = ("attn_v.weight", "attn_qkv.weight", "attn_kv_b.weight")
_LEFT_ALONE = (
    "_norm.weight", "ffn_gate_inp.weight", "tid2eid", "altup", "laurel", "per_layer_model_proj", "position_embd", "token_types",
    "ssm_conv1d", "shortconv.conv.weight", "indexer.k_proj.weight", "indexer.q_proj.weight", "time_mix_first", "time_mix_w0",
    "time_mix_w1", "time_mix_w2", "time_mix_v0", "time_mix_v1", "time_mix_v2", "time_mix_a0", "time_mix_a1", "time_mix_a2",
    "time_mix_g1", "time_mix_g2", "time_mix_decay_w1", "time_mix_decay_w2", "time_mix_lerp_fused", "attn_rel_b")
_BLOCK = re.compile(r"blk\.(\d+)\.")
_ALIGNMENT = 32


class QuantizerPlan:
    """What the quantizer would make of a model. `headers`: all parts of the file that would be read."""

    def __init__(self, headers: Sequence[GgufHeader]) -> None:
        self._first = headers[0]
        self._tensors = sorted((one for header in headers for one in header.tensors), key=_file_order)
        self._quantized = [_is_quantized(one) for one in self._tensors]

    def tensors(self, label: str) -> tuple[TensorInfo, ...]:
        """The tensors as they would be stored, in the order in which the quantizer goes through them.

        Offsets are those of the file that would be read. Raises KeyError for a label whose main type is unknown.
        """
        types = _LabelTypes(self._first, self._tensors, label)
        return tuple(
            _as_type(tensor, types.type_of(tensor)) if is_quantized else tensor
            for tensor, is_quantized in zip(self._tensors, self._quantized, strict=True))

    def header(self, label: str) -> GgufHeader:
        """One header with these tensors and the metadata of the first part."""
        return replace(self._first, tensors=self.tensors(label))


def data_bytes(header: GgufHeader) -> int:
    """Size of the file that has this header: what stands before the data, and its tensors."""
    return header.data_start + sum(-(-tensor.n_bytes // _ALIGNMENT) * _ALIGNMENT for tensor in header.tensors)


def main_type(label: str) -> str:
    """The type that most matrices of a label have; raises KeyError for a label that is none of llama.cpp's."""
    name = _MAIN_TYPES.get(label, label)
    return QUANT_TYPES_BY_NAME[name if name in QUANT_TYPES_BY_NAME else name.rpartition("_")[0]].name


class _LabelTypes:
    """Goes through the matrices as the quantizer does, and counts those whose place decides."""

    def __init__(self, header: GgufHeader, tensors: Sequence[TensorInfo], label: str) -> None:
        self._label, self._main = label, main_type(label)
        self._is_tied = all(one.name != "output.weight" for one in tensors)
        self._n_layer = header.integer("block_count")
        self._n_expert = header.integer("expert_count")
        heads, shared = (header.integers(f"attention.{key}", 1)[0] for key in ("head_count", "head_count_kv"))
        self._groups = heads // shared if shared else 1
        self._has_70b = self._n_layer == 80 and (
            header.architecture in ("qwen2", "deci") or (header.architecture == "llama" and self._groups > 1))
        self._n_values = sum(one.name.endswith(_VALUE_NAMES) for one in tensors)
        self._seen = {Role.VALUES: 0, Role.DOWN: 0}

    def type_of(self, tensor: TensorInfo) -> str:
        """The type of the next matrix that is quantized."""
        if self._main in UNQUANTIZED:
            return self._main
        return fallback_type(self._wanted(tensor), tensor.dimensions[0])

    def _wanted(self, tensor: TensorInfo) -> str:
        role = self._role(tensor.name)
        if role is Role.HEAD:
            fits = tensor.dimensions[0] % QUANT_TYPES_BY_NAME[self._main].block_elements == 0
            return "Q6_K" if fits and self._main != "Q8_0" else "Q8_0"
        place = self._place(tensor.name, role)
        if role is Role.DOWN:
            return self._by_rules(_DOWN_RULES, place)
        return self._in_attention(role, place)

    def _in_attention(self, role: Role, place: _Place) -> str:
        has_eight = self._n_expert == _EIGHT_EXPERTS
        if role is Role.OUT:
            raised = "Q5_K" if self._label in _RAISED_OUT else self._main
            return raised if has_eight else _OUT_TYPES.get(self._label, self._main)
        if has_eight and role in (Role.VALUES, Role.KEYS):
            return "Q8_0"
        return self._type_of_values(place) if role is Role.VALUES else self._main

    def _type_of_values(self, place: _Place) -> str:
        found = self._by_rules(_VALUE_RULES, place)
        return "Q5_K" if self._has_70b and found in ("Q3_K", "Q4_K") else found

    def _by_rules(self, rules: dict[str, tuple[Rule, ...]], place: _Place) -> str:
        return next((name for holds, name in rules.get(self._label, ()) if holds(place)), self._main)

    def _place(self, name: str, role: Role) -> _Place:
        number = self._seen.get(role, 0)
        if role in self._seen:
            self._seen[role] += 1
        found = _BLOCK.match(name)
        if role is Role.DOWN and self._n_expert > 1 and found:
            number = int(found[1])
        return _Place(number, self._n_values if role is Role.VALUES else self._n_layer, self._groups, self._n_expert)

    def _role(self, name: str) -> Role:
        if name == "output.weight" or (self._is_tied and name in _TABLES):
            return Role.HEAD
        roles = ((Role.VALUES, _VALUE_NAMES), (Role.KEYS, ("attn_k.weight",)), (Role.OUT, ("attn_output.weight",)))
        found = next((role for role, names in roles if any(one in name for one in names)), Role.OTHER)
        return Role.DOWN if found is Role.OTHER and "ffn_down" in name else found


def _is_quantized(tensor: TensorInfo) -> bool:
    has_rows = sum(length > 1 for length in tensor.dimensions[1:]) > 0
    return has_rows and tensor.name.endswith("weight") and not any(part in tensor.name for part in _LEFT_ALONE)


def _as_type(tensor: TensorInfo, type_name: str) -> TensorInfo:
    quant_type, row = QUANT_TYPES_BY_NAME[type_name], tensor.dimensions[0]
    n_bytes = row_bytes(quant_type, row) * (tensor.n_elements // row)
    return TensorInfo(tensor.name, quant_type, tensor.dimensions, tensor.offset, tensor.n_elements, n_bytes)


def _file_order(tensor: TensorInfo) -> tuple[int, str]:
    found = _BLOCK.match(tensor.name)
    return (int(found[1]) if found else -1, tensor.name)

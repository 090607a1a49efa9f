"""Which types the weights of a file are stored in, and which of them are not what its label says.

Rules: `llama_tensor_get_type_impl` and `tensor_type_fallback` of src/llama-quant.cpp. A label such as Q4_K_M names the type
of most matrices and a mixture for the rest. Types with blocks of 256 values need rows that divide by 256; where they do not, a
type with blocks of 32 takes their place. The output head and the table of tokens are kept at more bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from localai_app.gguf.header import GgufHeader, TensorInfo
from localai_app.gguf.quant_types import QUANT_TYPES_BY_NAME

UNQUANTIZED = frozenset({"F32", "F16", "BF16", "F64"})
_MIXTURES: dict[str, tuple[str, ...]] = {
    "F32": ("F32",), "F16": ("F16", "F32"), "BF16": ("BF16", "F32"),
    "Q8_0": ("Q8_0",), "Q6_K": ("Q6_K",),
    "Q5_0": ("Q5_0", "Q5_1"), "Q5_1": ("Q5_1",), "Q5_K_S": ("Q5_K",), "Q5_K_M": ("Q5_K", "Q6_K"),
    "Q4_0": ("Q4_0", "Q4_1"), "Q4_1": ("Q4_1",), "Q4_K_S": ("Q4_K", "Q5_K"), "Q4_K_M": ("Q4_K", "Q5_K", "Q6_K"),
    "Q3_K_S": ("Q3_K",), "Q3_K_M": ("Q3_K", "Q4_K", "Q5_K"), "Q3_K_L": ("Q3_K", "Q4_K", "Q5_K"),
    "Q2_K": ("Q2_K", "Q3_K", "Q4_K"), "Q2_K_S": ("Q2_K", "Q4_K"),
    "IQ4_XS": ("IQ4_XS", "Q5_K"), "IQ4_NL": ("IQ4_NL", "Q5_K"),
    "IQ3_M": ("IQ3_S", "Q4_K"), "IQ3_S": ("IQ3_S", "Q4_K"), "IQ3_XS": ("IQ3_S", "IQ3_XXS", "Q4_K"),
    "IQ3_XXS": ("IQ3_XXS", "IQ3_S", "IQ2_S", "Q3_K", "Q4_K"),
    "IQ2_M": ("IQ2_S", "IQ3_S", "Q4_K"), "IQ2_S": ("IQ2_XS", "IQ3_S", "Q4_K"),
    "IQ2_XS": ("IQ2_XS", "Q2_K", "Q4_K"), "IQ2_XXS": ("IQ2_XXS", "Q2_K", "Q4_K"),
    "IQ1_M": ("IQ1_M", "IQ2_XXS", "Q2_K", "Q4_K"), "IQ1_S": ("IQ1_S", "IQ2_XXS", "Q2_K", "Q4_K"),
    "TQ2_0": ("TQ2_0",), "TQ1_0": ("TQ1_0",), "MXFP4": ("MXFP4", "Q8_0"),
}
"""By label: the type of most matrices, then those of the mixture."""
_TABLES = ("token_embd.weight", "per_layer_token_embd.weight", "output.weight")
_TABLE_TYPES = ("Q5_K", "Q6_K")
"""What a head, or a table that is the head as well, is raised to."""
_LOW_TABLE_TYPES = ("Q2_K", "IQ3_S", "Q4_K")
"""What a table that is not the head is stored in by labels below three bits."""
_LOW_LABELS = ("IQ1", "IQ2", "IQ3_XXS", "TQ")
_ATTENTION_OF_EXPERTS = ("Q5_K", "Q8_0")
"""What attention is raised to in models of eight experts; in the biggest dense ones its values are raised to the first."""
_FALLBACKS = {
    "Q2_K": "Q4_0", "Q3_K": "Q4_0", "TQ1_0": "Q4_0", "TQ2_0": "Q4_0", "Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0",
    "IQ1_S": "IQ4_NL", "IQ1_M": "IQ4_NL", "IQ2_XXS": "IQ4_NL", "IQ2_XS": "IQ4_NL", "IQ2_S": "IQ4_NL", "IQ3_XXS": "IQ4_NL",
    "IQ3_S": "IQ4_NL", "IQ4_XS": "IQ4_NL"}


class Reason(StrEnum):
    """Why a matrix is stored in its type."""

    LABEL = "label"
    """It is what the label names."""
    MIXTURE = "mixture"
    """The label stands for a mixture, and this type is part of it."""
    TABLE = "table"
    """The output head or the table of tokens, which are kept at more bits."""
    FALLBACK = "fallback"
    """Its rows do not fill blocks of the type that the label calls for."""
    UNQUANTIZED = "unquantized"
    """Left as it was: routers, convolutions, and what a publisher chose to spare."""
    OTHER = "other"
    """Nothing in the label's rules leads to it: a mixture of the publisher's own."""


@dataclass(frozen=True, slots=True)
class StoredGroup:
    """Matrices that have reason and type in common. `rows`: the different lengths of their rows, ascending."""

    reason: Reason
    type_name: str
    rows: tuple[int, ...]
    n_tensors: int
    n_weights: int
    is_table: bool = False
    """All of it is the output head or a table of tokens."""


@dataclass(frozen=True, slots=True)
class StoredTypes:
    """How a file's matrices are stored. Vectors (norms, biases) are never quantized and count nowhere."""

    label: str
    """By which it was judged; empty: no label whose rules are known."""
    groups: tuple[StoredGroup, ...]
    """Most weights first."""

    @property
    def n_tensors(self) -> int:
        """Matrices in all."""
        return sum(group.n_tensors for group in self.groups)

    @property
    def n_weights(self) -> int:
        """Weights in all matrices."""
        return sum(group.n_weights for group in self.groups)

    @property
    def shares(self) -> tuple[tuple[str, float], ...]:
        """Types with their share of the weights, 0 to 1, largest first."""
        weights: dict[str, int] = {}
        for group in self.groups:
            weights[group.type_name] = weights.get(group.type_name, 0) + group.n_weights
        return tuple((name, n / self.n_weights) for name, n in sorted(weights.items(), key=lambda item: (-item[1], item[0])))

    def of(self, reason: Reason) -> tuple[StoredGroup, ...]:
        """The groups with this reason."""
        return tuple(group for group in self.groups if group.reason is reason)


def stored_types(headers: Sequence[GgufHeader], label: str) -> StoredTypes:
    """How the matrices of a model are stored; `headers`: all parts, `label`: what its name says (`label_of_name`)."""
    tensors = [tensor for header in headers for tensor in header.tensors]
    known = label if label in _MIXTURES else ""
    n_experts = headers[0].integer("expert_count") if headers else 0
    return StoredTypes(known, _grouped(_matrices(tensors), known, has_eight_experts=n_experts == 8))


def fallback_type(type_name: str, row_elements: int) -> str:
    """The type that a row of so many values is stored in where `type_name` is called for; the same one where it fits."""
    if row_elements % QUANT_TYPES_BY_NAME[type_name].block_elements == 0:
        return type_name
    other = _FALLBACKS.get(type_name, "F16")
    return other if row_elements % QUANT_TYPES_BY_NAME[other].block_elements == 0 else "F16"


def _matrices(tensors: Iterable[TensorInfo]) -> list[TensorInfo]:
    return [tensor for tensor in tensors if sum(length > 1 for length in tensor.dimensions[1:]) > 0]


def _grouped(matrices: Iterable[TensorInfo], label: str, *, has_eight_experts: bool) -> tuple[StoredGroup, ...]:
    found: dict[tuple[Reason, str], list[TensorInfo]] = {}
    for tensor in matrices:
        reason = _reason(tensor, label, has_eight_experts=has_eight_experts)
        found.setdefault((reason, tensor.quant_type.name), []).append(tensor)
    groups = [
        StoredGroup(
            reason, name, tuple(sorted({tensor.dimensions[0] for tensor in members})), len(members),
            sum(tensor.n_elements for tensor in members), all(tensor.name in _TABLES for tensor in members))
        for (reason, name), members in found.items()]
    return tuple(sorted(groups, key=lambda group: (-group.n_weights, group.type_name, group.reason)))


def _reason(tensor: TensorInfo, label: str, *, has_eight_experts: bool) -> Reason:
    name, row = tensor.quant_type.name, tensor.dimensions[0]
    usual = Reason.UNQUANTIZED if name in UNQUANTIZED else Reason.OTHER
    mixture = _MIXTURES.get(label)
    if mixture is None:
        return usual
    wanted = _wanted(tensor, label, has_eight_experts=has_eight_experts)
    if name == mixture[0]:
        return Reason.LABEL
    if label in UNQUANTIZED:
        return Reason.MIXTURE if name in mixture else usual
    is_table = tensor.name in _TABLES
    if name in wanted:
        return Reason.TABLE if is_table else Reason.MIXTURE
    if any(fallback_type(one, row) == name for one in wanted if fallback_type(one, row) != one):
        return Reason.FALLBACK
    is_raised = tensor.quant_type.bits_per_weight > QUANT_TYPES_BY_NAME[mixture[0]].bits_per_weight
    return Reason.TABLE if is_table and is_raised else usual


def _wanted(tensor: TensorInfo, label: str, *, has_eight_experts: bool) -> tuple[str, ...]:
    """The types that the label's rules may call for, whether the rows allow them or not."""
    wanted = _MIXTURES[label]
    if tensor.name in _TABLES:
        return (*wanted, *_TABLE_TYPES, *(_LOW_TABLE_TYPES if label.startswith(_LOW_LABELS) else ()))
    if has_eight_experts and ".attn_" in tensor.name:
        return (*wanted, *_ATTENTION_OF_EXPERTS)
    is_raised = ".attn_v." in tensor.name and not {"Q3_K", "Q4_K"}.isdisjoint(wanted)
    return (*wanted, _ATTENTION_OF_EXPERTS[0]) if is_raised else wanted

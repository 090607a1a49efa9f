"""The bytes of a catalog model by place, from its dimensions: a stand-in until the header of the file is read."""

from __future__ import annotations

from localai_app.catalog.model import CatalogFile, CatalogModel
from localai_app.gguf.geometry import Geometry, Weights
from localai_app.gguf.quant_types import BITS_PER_WEIGHT, QUANT_TYPES_BY_NAME

HEADER_BYTES_PER_TOKEN = 25
"""Vocabulary in the header: 6.5 MB for 262,144 tokens (Gemma 3), 1.8 MB for 49,152 (SmolLM2)."""
_TABLE_TYPES = {
    "Q6_K": "Q6_K",
    "Q5_K_M": "Q5_K",
    "Q5_K_S": "Q5_K",
    "Q4_K_M": "Q4_K",
    "Q4_K_S": "Q4_K",
    "IQ4_XS": "IQ4_XS",
    "IQ4_NL": "IQ4_NL",
    "Q3_K_L": "Q3_K",
    "Q3_K_M": "Q3_K",
    "Q3_K_S": "Q3_K",
    "Q2_K": "Q2_K",
}
"""The base type of a label, which llama.cpp's quantizer gives the token table (llama_tensor_get_type)."""
_FALLBACKS = {"Q6_K": "Q8_0", "Q5_K": "Q5_1", "Q4_K": "Q5_0", "IQ4_XS": "IQ4_NL", "Q3_K": "Q4_0", "Q2_K": "Q4_0"}
"""What it takes where rows do not fill blocks of 256 (tensor_type_fallback)."""
_DOWN_TYPES = {
    "Q6_K": ("Q6_K", "Q6_K"),
    "Q5_K_M": ("Q6_K", "Q5_K"),
    "Q5_K_S": ("Q5_K", "Q5_K"),
    "Q4_K_M": ("Q6_K", "Q4_K"),
    "Q4_K_S": ("Q4_K", "Q4_K"),
    "IQ4_XS": ("IQ4_XS", "IQ4_XS"),
    "IQ4_NL": ("IQ4_NL", "IQ4_NL"),
    "Q3_K_L": ("Q5_K", "Q5_K"),
    "Q3_K_M": ("Q4_K", "Q4_K"),
    "Q3_K_S": ("Q3_K", "Q3_K"),
    "Q2_K": ("Q3_K", "Q3_K"),
}
"""The types that each half of the blocks gets for its way down (`use_more_bits` in llama-quant.cpp)."""
_REFERENCE_PARAMS = 8_030_257_152
_REFERENCE_TABLE = 128_256 * 4096
"""Llama-3.1-8B, for which the whole-file bits per weight are published."""


def catalog_weights(model: CatalogModel, file: CatalogFile) -> Weights:
    """The file's bytes over blocks, experts, head and tables, by the model's dimensions.

    Experts are spread evenly over the blocks that have any, the rest over all of them. Raises `ValueError` for a model without
    dimensions.
    """
    geometry = model.geometry
    if geometry is None:
        raise ValueError(f"the dimensions of {model.name} are not known")
    table_bits, head_bits = _table_bits(file.label, geometry.n_embd), _head_bits(file.label, geometry.n_embd)
    table = geometry.n_vocab * geometry.n_embd
    tensor_bytes = max(file.size_bytes - HEADER_BYTES_PER_TOKEN * geometry.n_vocab, file.size_bytes // 2)
    lookup_bits = head_bits if model.tied_embeddings else table_bits
    input_bytes = int((table + model.per_layer_embedding_params) * lookup_bits / 8)
    head_bytes = int(table * head_bits / 8)
    outside = input_bytes + (0 if model.tied_embeddings else head_bytes)
    if outside > tensor_bytes * 9 // 10:
        shrink = tensor_bytes * 0.9 / outside
        input_bytes, head_bytes = int(input_bytes * shrink), int(head_bytes * shrink)
        outside = input_bytes + (0 if model.tied_embeddings else head_bytes)
    body_bytes = tensor_bytes - outside
    expert_bytes = int(body_bytes * min(_expert_share(model, geometry, file.label), 0.99))
    expert_blocks = model.expert_blocks or tuple(range(geometry.n_layer))
    experts = [0] * geometry.n_layer
    for block, part in zip(expert_blocks, _evenly(expert_bytes, len(expert_blocks)), strict=True):
        experts[block] = part
    others = _evenly(body_bytes - expert_bytes, geometry.n_layer)
    return Weights(
        layers_bytes=tuple(other + part for other, part in zip(others, experts, strict=True)),
        layers_expert_bytes=tuple(experts),
        output_bytes=head_bytes,
        input_bytes=input_bytes,
        tied_embeddings=model.tied_embeddings,
    )


def estimated_file_bytes(model: CatalogModel, label: str) -> int:
    """The size of a file of this label: tables and head by their own types, the rest by the label's bits per weight.

    Bits per weight are published for whole files of Llama-3.1-8B; the share of its tables is taken out first, so that
    models with a large vocabulary come out right. Native MXFP4 files keep everything but the experts at 8 bits.
    """
    geometry = model.geometry
    if geometry is None:
        return int(model.params_total * BITS_PER_WEIGHT[label] / 8)
    table = geometry.n_vocab * geometry.n_embd
    table_bits, head_bits = _table_bits(label, geometry.n_embd), _head_bits(label, geometry.n_embd)
    lookup_bits = head_bits if model.tied_embeddings else table_bits
    bits = (table + model.per_layer_embedding_params) * lookup_bits + (0 if model.tied_embeddings else table * head_bits)
    body, experts = _body_and_experts(model, geometry)
    bits += experts * _expert_bits(label, geometry) + (body - experts) * _body_bits(label, geometry.n_embd)
    return int(bits / 8) + HEADER_BYTES_PER_TOKEN * geometry.n_vocab


def _body_params(model: CatalogModel, geometry: Geometry) -> int:
    """Weights of the blocks: all but tables and head."""
    tables = geometry.n_vocab * geometry.n_embd * (1 if model.tied_embeddings else 2) + model.per_layer_embedding_params
    return max(geometry.params_total - tables, 0)


def _body_and_experts(model: CatalogModel, geometry: Geometry) -> tuple[float, float]:
    """Weights of the blocks, and those of them that routed experts hold."""
    body = _body_params(model, geometry)
    return body, min(_expert_params(geometry), body)


def _expert_params(geometry: Geometry) -> float:
    """Weights of all routed experts, from those that a token leaves out."""
    idle_experts = geometry.n_expert - geometry.n_expert_used
    if idle_experts <= 0:
        return 0.0
    return (geometry.params_total - geometry.params_active) * geometry.n_expert / idle_experts


def _expert_share(model: CatalogModel, geometry: Geometry, label: str) -> float:
    """The share of experts in the bytes of the blocks."""
    body, experts = _body_and_experts(model, geometry)
    expert_bits = experts * _expert_bits(label, geometry)
    total_bits = expert_bits + (body - experts) * _body_bits(label, geometry.n_embd)
    return expert_bits / total_bits if total_bits else 0.0


def _expert_bits(label: str, geometry: Geometry) -> float:
    """Bits per weight of routed experts: the ways up by the label's base type, the way down by its own.

    Rows that do not fill blocks of 256 take another type, and experts are often that narrow.
    """
    base = _TABLE_TYPES.get(label)
    if base is None:
        return BITS_PER_WEIGHT["MXFP4"] if label == "MXFP4" else _uniform_bits(label)
    width = geometry.n_ff_experts // max(1, geometry.n_expert_used)
    down = sum(_type_bits(name, width) for name in _DOWN_TYPES[label]) / 2
    ways_up = 2 if geometry.has_gates else 1
    return (ways_up * _type_bits(base, geometry.n_embd) + down) / (ways_up + 1)


def _table_bits(label: str, n_embd: int) -> float:
    return _type_bits(_TABLE_TYPES.get(label, ""), n_embd) or _uniform_bits(label)


def _head_bits(label: str, n_embd: int) -> float:
    """The output head is kept at 6 bits or more."""
    return _type_bits("Q6_K", n_embd) if label in _TABLE_TYPES else max(_uniform_bits(label), 6.5625)


def _uniform_bits(label: str) -> float:
    """Bits of the tables where a label names one type for all, or none that is known here."""
    return BITS_PER_WEIGHT["Q8_0"] if label == "MXFP4" else BITS_PER_WEIGHT.get(label.removeprefix("UD-"), 4.5)


def _type_bits(name: str, n_embd: int) -> float:
    if not name:
        return 0.0
    return QUANT_TYPES_BY_NAME[_FALLBACKS.get(name, name) if n_embd % 256 else name].bits_per_weight


def _body_bits(label: str, n_embd: int) -> float:
    """Bits per weight of blocks without experts. Native MXFP4 files keep everything but the experts at 8 bits."""
    if label not in _TABLE_TYPES:
        return _uniform_bits(label)
    reference = 4096
    tables = _REFERENCE_TABLE * (_table_bits(label, reference) + _head_bits(label, reference))
    bits = (BITS_PER_WEIGHT[label] * _REFERENCE_PARAMS - tables) / (_REFERENCE_PARAMS - 2 * _REFERENCE_TABLE)
    return max(bits, _table_bits(label, n_embd))


def _evenly(total: int, count: int) -> tuple[int, ...]:
    """`total` in `count` parts that differ by at most one."""
    share, rest = divmod(total, count)
    return (share,) * (count - rest) + (share + 1,) * rest

"""The dimensions of a model, from its header: what decides the size of its caches and buffers."""

from __future__ import annotations

from collections.abc import Sequence

from localai_app.gguf.attention import (
    attends_too,
    cache_owner_count,
    keeps_values,
    recurrent_layers,
    sliding_layers,
    state_bytes_per_layer,
    unknown_parts,
)
from localai_app.gguf.geometry import CacheLayer, Geometry
from localai_app.gguf.header import GgufHeader, SkippedArray
from localai_app.gguf.side_inputs import UNGATED_ARCHITECTURES, input_elements, side_elements
from localai_app.gguf.tensors import PROJECTOR_ARCHITECTURES, holds_experts, layer_count, model_tensors

_LARGEST_DIMENSION = 2**40


def geometry_of(header: GgufHeader, other_parts: Sequence[GgufHeader] = ()) -> Geometry:
    """The dimensions of the model in a header. `other_parts`: the rest of a split model, for its number of weights.

    Without them the weights of a split model are estimated from its dimensions. Raises `AppError` GGUF_REFUSED for a
    header that does not describe a language model.
    """
    if header.architecture in PROJECTOR_ARCHITECTURES:
        raise header.refused("it is the image or audio part of a model, not a language model")
    n_layers = layer_count(header)
    n_embd = _dimension(header, "embedding_length")
    heads = header.integers("attention.head_count", n_layers)
    feed_forward = header.integers("feed_forward_length", n_layers)
    kv_heads = _kv_heads(header, heads)
    recurrent = recurrent_layers(header, kv_heads, feed_forward)
    state_bytes = state_bytes_per_layer(header, n_embd, max(heads)) * sum(recurrent) if any(recurrent) else 0
    window, _ = sliding_layers(header, n_layers)
    key_length, _ = _head_lengths(header, n_embd, heads)
    n_expert, n_used = header.integer("expert_count"), max(header.integers("expert_used_count", n_layers))
    total, active = _parameters(header, other_parts, n_expert, n_used)
    return Geometry(
        architecture=header.architecture,
        n_layer=n_layers,
        n_layer_unused=max(0, header.integer("nextn_predict_layers")),
        n_embd=n_embd,
        n_vocab=vocabulary_size(header),
        n_ff=max(
            max(feed_forward) if _has_dense_blocks(header, other_parts) else 0, n_used * _expert_width(header, n_layers),
            _shared_width(header, n_layers)),
        n_head=max(heads),
        head_dim=max(key_length, header.integer("attention.key_length_mla")),
        ctx_train=_dimension(header, "context_length"),
        cache_layers=_cache_layers(header, kv_heads, recurrent, n_embd, heads),
        sliding_window=window,
        recurrent_state_bytes=state_bytes,
        recurrent_blocks=tuple(block for block, keeps_state in enumerate(recurrent) if keeps_state),
        n_recurrent=header.integer("ssm.inner_size") + 2 * header.integer("ssm.group_count") * header.integer("ssm.state_size"),
        n_expert=n_expert,
        n_expert_used=n_used,
        n_ff_experts=n_used * _expert_width(header, n_layers) if n_expert else 0,
        n_embd_experts=n_used * (header.integer("moe_latent_size") or n_embd) if n_expert else 0,
        has_gates=header.architecture not in UNGATED_ARCHITECTURES,
        n_embd_inputs=input_elements(header.architecture, n_layers, n_embd, **_side(header)),
        n_embd_side=side_elements(header.architecture, n_layers, n_embd, **_side(header)),
        params_total=total,
        params_active=active,
        unknown_parts=unknown_parts(header, recurrent, state_bytes),
    )


def _dimension(header: GgufHeader, key: str) -> int:
    value = header.integer(key)
    if not 0 < value < _LARGEST_DIMENSION:
        raise header.refused(f"“{key}” is missing or impossible")
    return value


def _kv_heads(header: GgufHeader, heads: tuple[int, ...]) -> tuple[int, ...]:
    if f"{header.architecture}.attention.head_count_kv" in header.metadata:
        return header.integers("attention.head_count_kv", len(heads))
    return heads


def _head_lengths(header: GgufHeader, n_embd: int, heads: tuple[int, ...]) -> tuple[int, int]:
    """(key, value) elements of one head in layers with full attention."""
    default = n_embd // heads[0] if heads[0] else 0
    return header.integer("attention.key_length", default), header.integer("attention.value_length", default)


def _cache_layers(
    header: GgufHeader, kv_heads: tuple[int, ...], recurrent: tuple[bool, ...], n_embd: int, heads: tuple[int, ...]
) -> tuple[CacheLayer, ...]:
    n_layers = len(kv_heads)
    _, slides = sliding_layers(header, n_layers)
    key, value = _head_lengths(header, n_embd, heads)
    key_swa = header.integer("attention.key_length_swa", key)
    value_swa = header.integer("attention.value_length_swa", value)
    has_values = keeps_values(header)
    layers = []
    for layer in range(cache_owner_count(header, n_layers)):
        if kv_heads[layer] == 0 or (recurrent[layer] and not attends_too(header)):
            continue
        sliding = slides[layer]
        k_elements = kv_heads[layer] * (key_swa if sliding else key)
        v_elements = kv_heads[layer] * (value_swa if sliding else value) if has_values else 0
        layers.append(CacheLayer(k_elements=k_elements, v_elements=v_elements, sliding=sliding, block=layer))
    return tuple(layers)


def vocabulary_size(header: GgufHeader) -> int:
    """Tokens of the vocabulary: rows of the token table where the file has one. Raises `AppError` GGUF_REFUSED."""
    for tensor in header.tensors:
        if tensor.name == "token_embd.weight" and len(tensor.dimensions) == 2:
            return tensor.dimensions[1]
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    if isinstance(tokens, SkippedArray):
        return tokens.count
    if isinstance(tokens, tuple):
        return len(tokens)
    return _dimension(header, "vocab_size")


def _side(header: GgufHeader) -> dict[str, int]:
    return {
        "per_layer": header.integer("embedding_length_per_layer_input"), "deepstack": header.integer("n_deepstack_layers")}


def _has_dense_blocks(header: GgufHeader, other_parts: Sequence[GgufHeader]) -> bool:
    """Whether any block has a feed-forward without experts: a mixture may name a width that none of its blocks has."""
    widths = [tensor.name for part in (header, *other_parts) for tensor in part.tensors if ".ffn_down" in tensor.name]
    return not widths or any(name.endswith(".ffn_down.weight") for name in widths)


def _expert_width(header: GgufHeader, n_layers: int) -> int:
    return max(header.integers("expert_feed_forward_length", n_layers))


def _shared_width(header: GgufHeader, n_layers: int) -> int:
    """Feed-forward width of the shared experts together."""
    given = header.integer("expert_shared_feed_forward_length")
    return given or header.integer("expert_shared_count") * _expert_width(header, n_layers)


def _parameters(header: GgufHeader, other_parts: Sequence[GgufHeader], n_expert: int, n_used: int) -> tuple[int, int]:
    """(all weights, those that take part in one token); from the dimensions where a split model's tensors lie elsewhere."""
    split_count = header.metadata.get("split.count", 1)
    if isinstance(split_count, int) and split_count > 1 and not other_parts:
        return _parameters_from_dimensions(header)
    total = experts = 0
    for tensor in model_tensors((header, *other_parts)):
        total += tensor.n_elements
        experts += tensor.n_elements if holds_experts(tensor) else 0
    idle = experts * (n_expert - n_used) // n_expert if n_expert > n_used else 0
    return total, total - idle


def _parameters_from_dimensions(header: GgufHeader) -> tuple[int, int]:
    """Weights of attention, feed-forward and embeddings by the usual shapes: within a few percent for transformers."""
    n_layers, n_embd = layer_count(header), header.integer("embedding_length")
    heads = header.integers("attention.head_count", n_layers)
    key, value = _head_lengths(header, n_embd, heads)
    width, shared = _expert_width(header, n_layers), _shared_width(header, n_layers)
    used = max(header.integers("expert_used_count", n_layers))
    dense = header.integers("feed_forward_length", n_layers)
    n_dense_lead = header.integer("leading_dense_block_count")
    total = active = 2 * vocabulary_size(header) * n_embd
    for layer, kv_heads in enumerate(_kv_heads(header, heads)):
        attention = n_embd * (2 * heads[layer] * key + kv_heads * (key + value))
        if width and layer >= n_dense_lead:
            total += attention + 3 * n_embd * (width * header.integer("expert_count") + shared)
            active += attention + 3 * n_embd * (width * used + shared)
        else:
            total += attention + 3 * n_embd * dense[layer]
            active += attention + 3 * n_embd * dense[layer]
    return total, active

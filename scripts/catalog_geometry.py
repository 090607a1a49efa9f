"""From the dimensions in the sources to a `Geometry`; None where too little is known."""

from __future__ import annotations

from typing import Any

from localai_app.gguf.geometry import CacheLayer, Geometry

Facts = dict[str, Any]
CONTEXT_NOT_READ = 32768
"""Where the training context was not read: a cautious figure; the header of the file has the true one."""
PER_LAYER_EMBEDDING = {"gemma-3n-e2b-it": 256, "gemma-3n-e4b-it": 256, "gemma-4-e2b-it": 256, "gemma-4-e4b-it": 256}
"""Elements per token and layer (`embedding_length_per_layer_input`)."""
INDEXER_ARCHITECTURES = ("deepseek32", "glm-dsa")
FEED_FORWARD = {"lfm2.5-1.2b-instruct": 8192}
"""Not in the sources; llama.cpp's src/models/lfm2.cpp tells the 1.2B model by it."""
TWO_MATRIX_EXPERTS = ("nemotron_h_moe",)
"""Experts without a gate: two matrices instead of three."""


def geometry_of_facts(facts: Facts) -> Geometry | None:
    """The dimensions of one model; None where its cache cannot be computed."""
    cache = facts["kv_f16"]
    needed = ("n_layer", "n_embd", "n_vocab", "n_head", "params_total")
    if cache is None or cache["bytes_per_token"] is None or any(facts[key] is None for key in needed):
        return None
    total = facts["params_total"]
    n_expert, n_used = facts["n_expert"] or 0, facts["n_expert_used"] or 0
    if n_expert and not n_used:
        return None
    recurrent = facts["recurrent"]
    idle = expert_params(facts) * (n_expert - n_used) // n_expert if n_expert else 0
    unknown = ["the cache of the sparse-attention indexer"] if facts["gguf_arch"] in INDEXER_ARCHITECTURES else []
    if recurrent and cache["recurrent_state_bytes_per_seq"] is None:
        unknown.append("the state of its recurrent layers")
    return Geometry(
        architecture=facts["gguf_arch"],
        n_layer=facts["n_layer"],
        n_embd=facts["n_embd"],
        n_vocab=facts["n_vocab"],
        n_ff=max(_dense_width(facts), n_used * (facts["n_ff_exp"] or 0) + (facts["n_ff_shared_exp"] or 0)),
        n_head=facts["n_head"],
        head_dim=max(facts["head_dim_k"], (facts["swa"] or {}).get("full_head_dim", 0)),
        ctx_train=facts["ctx_train"] or CONTEXT_NOT_READ,
        cache_layers=_cache_layers(facts),
        sliding_window=facts["swa"]["window"] if facts["swa"] else 0,
        recurrent_state_bytes=(cache["recurrent_state_bytes_per_seq"] or 0) if recurrent else 0,
        n_expert=n_expert,
        n_expert_used=n_used,
        params_total=total,
        params_active=total - idle,
        unknown_parts=tuple(unknown),
    )


def expert_params(facts: Facts) -> int:
    """Weights of all routed experts of a model."""
    if not facts["n_expert"] or not facts["n_ff_exp"]:
        return 0
    layers = facts["n_layer"] - (facts["n_layer_dense_lead"] or 0)
    if facts["gguf_arch"] in TWO_MATRIX_EXPERTS:
        layers = facts["n_layer"] - facts["kv_f16"]["full_attn_layers"] - facts["recurrent"]["layers"]
    elif facts["moe_every"]:
        layers = facts["n_layer"] // facts["moe_every"]
    matrices = 2 if facts["gguf_arch"] in TWO_MATRIX_EXPERTS else 3
    return int(layers * facts["n_expert"] * matrices * facts["n_embd"] * facts["n_ff_exp"])


def per_layer_embedding_params(facts: Facts) -> int:
    """Weights of the per-layer embedding table; 0 for most models."""
    width = PER_LAYER_EMBEDDING.get(facts["id"], 0)
    return int(width * facts["n_layer"] * facts["n_vocab"]) if width else 0


def _dense_width(facts: Facts) -> int:
    return facts["n_ff"] or FEED_FORWARD.get(facts["id"], 0)


def _cache_layers(facts: Facts) -> tuple[CacheLayer, ...]:
    mla, window = facts["mla"], facts["swa"]
    n_full = int(facts["kv_f16"]["full_attn_layers"])
    if mla:
        latent = CacheLayer(k_elements=mla["kv_lora_rank"] + mla["qk_rope_head_dim"], v_elements=0)
        return (latent,) * n_full
    heads = facts["n_head_kv"]
    plain = CacheLayer(
        k_elements=heads * facts["head_dim_k"], v_elements=heads * facts["head_dim_v"], sliding=window is not None
    )
    if window is None:
        return (plain,) * n_full
    full_elements = window["full_n_head_kv"] * window["full_head_dim"]
    full = CacheLayer(k_elements=full_elements, v_elements=full_elements)
    period = int(window["pattern"].split()[0]) + 1
    owners = facts["kv_layers_owned"] or facts["n_layer"]
    return tuple(full if layer % period == period - 1 else plain for layer in range(owners))

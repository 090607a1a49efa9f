"""From the dimensions in the sources to a `Geometry`; None where too little is known."""

from __future__ import annotations

from typing import Any

from localai_app.gguf.geometry import CacheLayer, Geometry
from localai_app.gguf.side_inputs import UNGATED_ARCHITECTURES, input_elements, side_elements

Facts = dict[str, Any]
ATTENTION, STATE, EXPERTS = "*", "M", "E"
BLOCK_PATTERNS = {
    "nemotron_h_moe": {
        52: "MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME",
        88: "MEMEMEM*EMEMEMEM*EMEMEMEM*EMEMEMEMEM*EMEMEMEMEM*EMEMEMEMEM*EMEMEMEMEM*EMEMEMEM*EMEMEMEME",
    },
    "lfm2": {16: "MM*MM*MM*M*M*M*M"},
}
"""By architecture and number of blocks, one letter per block: attention, state, experts alone (E). Sources:
`hybrid_override_pattern` in the config.json of Nemotron 3 Nano and Super, `full_attn_idxs` in that of LFM2-1.2B. The Qwen
hybrids need none: they attend in every fourth block."""
CONTEXT_NOT_READ = 32768
"""Where the training context was not read: a cautious figure; the header of the file has the true one."""
PER_LAYER_EMBEDDING = {"gemma-3n-e2b-it": 256, "gemma-3n-e4b-it": 256, "gemma-4-e2b-it": 256, "gemma-4-e4b-it": 256}
"""Elements per token and layer (`embedding_length_per_layer_input`)."""
INDEXER_ARCHITECTURES = ("deepseek32", "glm-dsa")
FEED_FORWARD = {"lfm2.5-1.2b-instruct": 8192, "gemma-4-e2b-it": 12288}
"""Not in the sources: llama.cpp's src/models/lfm2.cpp tells the 1.2B model by it; Gemma 4 E2B is twice as wide in the blocks
that share caches."""
DEEPSTACK_ARCHITECTURES, DEEPSTACK_BLOCKS = ("qwen3vl", "qwen3vlmoe"), 3
"""Image features enter the first blocks of these (`deepstack_visual_indexes` in their config.json: three)."""
LATENT_EXPERTS = {"nemotron-3-super-120b-a12b": 1024}
"""Rows that the experts read where they are narrower than the embedding (`moe_latent_size` in the model's config.json)."""


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
        n_ff=max(_dense_width(facts), n_used * (facts["n_ff_exp"] or 0), facts["n_ff_shared_exp"] or 0),
        n_head=facts["n_head"],
        head_dim=_widest_key_head(facts),
        ctx_train=facts["ctx_train"] or CONTEXT_NOT_READ,
        cache_layers=_cache_layers(facts),
        sliding_window=facts["swa"]["window"] if facts["swa"] else 0,
        recurrent_state_bytes=(cache["recurrent_state_bytes_per_seq"] or 0) if recurrent else 0,
        recurrent_blocks=_recurrent_blocks(facts) if recurrent else (),
        n_recurrent=_recurrent_width(recurrent) if recurrent else 0,
        n_expert=n_expert,
        n_expert_used=n_used,
        n_ff_experts=n_used * (facts["n_ff_exp"] or 0),
        n_embd_experts=n_used * LATENT_EXPERTS.get(facts["id"], facts["n_embd"]),
        has_gates=facts["gguf_arch"] not in UNGATED_ARCHITECTURES,
        n_embd_inputs=input_elements(facts["gguf_arch"], facts["n_layer"], facts["n_embd"], **_side(facts)),
        n_embd_side=side_elements(facts["gguf_arch"], facts["n_layer"], facts["n_embd"], **_side(facts)),
        params_total=total,
        params_active=total - idle,
        unknown_parts=tuple(unknown),
    )


def _side(facts: Facts) -> dict[str, int]:
    return {
        "per_layer": PER_LAYER_EMBEDDING.get(facts["id"], 0),
        "deepstack": DEEPSTACK_BLOCKS if facts["gguf_arch"] in DEEPSTACK_ARCHITECTURES else 0}


def expert_params(facts: Facts) -> int:
    """Weights of all routed experts of a model."""
    if not facts["n_expert"] or not facts["n_ff_exp"]:
        return 0
    layers = facts["n_layer"] - (facts["n_layer_dense_lead"] or 0)
    if facts["gguf_arch"] in UNGATED_ARCHITECTURES:
        layers = facts["n_layer"] - facts["kv_f16"]["full_attn_layers"] - facts["recurrent"]["layers"]
    elif facts["moe_every"]:
        layers = facts["n_layer"] // facts["moe_every"]
    matrices = 2 if facts["gguf_arch"] in UNGATED_ARCHITECTURES else 3
    width = LATENT_EXPERTS.get(facts["id"], facts["n_embd"])
    return int(layers * facts["n_expert"] * matrices * width * facts["n_ff_exp"])


def expert_blocks(facts: Facts) -> tuple[int, ...]:
    """The blocks that hold routed experts; empty where all of them do, or none."""
    pattern = BLOCK_PATTERNS.get(facts["gguf_arch"], {}).get(facts["n_layer"], "")
    lead, step = facts["n_layer_dense_lead"] or 0, facts["moe_every"] or 1
    if not facts["n_expert"] or (not pattern and lead == 0 and step == 1):
        return ()
    if pattern:
        return tuple(block for block, kind in enumerate(pattern) if kind == EXPERTS)
    return tuple(block for block in range(lead, facts["n_layer"]) if (block + 1) % step == 0)


def per_layer_embedding_params(facts: Facts) -> int:
    """Weights of the per-layer embedding table; 0 for most models."""
    width = PER_LAYER_EMBEDDING.get(facts["id"], 0)
    return int(width * facts["n_layer"] * facts["n_vocab"]) if width else 0


def _dense_width(facts: Facts) -> int:
    """Widest feed-forward without experts; 0 where every block has experts."""
    if facts["n_expert"] and facts["moe_every"] == 1:
        return 0
    return FEED_FORWARD.get(facts["id"]) or facts["n_ff"] or 0


def _widest_key_head(facts: Facts) -> int:
    """With latent attention the keys of all heads are the latent row."""
    if facts["mla"]:
        return int(facts["mla"]["kv_lora_rank"] + facts["mla"]["qk_rope_head_dim"])
    return int(max(facts["head_dim_k"], (facts["swa"] or {}).get("full_head_dim", 0)))


def _cache_layers(facts: Facts) -> tuple[CacheLayer, ...]:
    mla, window = facts["mla"], facts["swa"]
    owners = _attending_blocks(facts)
    if mla:
        latent = mla["kv_lora_rank"] + mla["qk_rope_head_dim"]
        return tuple(CacheLayer(k_elements=latent, v_elements=0, block=block) for block in owners)
    heads = facts["n_head_kv"]
    k_elements, v_elements = heads * facts["head_dim_k"], heads * facts["head_dim_v"]
    if window is None:
        return tuple(CacheLayer(k_elements=k_elements, v_elements=v_elements, block=block) for block in owners)
    full_elements = window["full_n_head_kv"] * window["full_head_dim"]
    period = int(window["pattern"].split()[0]) + 1
    return tuple(
        CacheLayer(k_elements=full_elements, v_elements=full_elements, block=block)
        if block % period == period - 1
        else CacheLayer(k_elements=k_elements, v_elements=v_elements, sliding=True, block=block)
        for block in owners
    )


def _recurrent_width(recurrent: Facts) -> int:
    if recurrent["d_inner"] is None:
        return 0
    return int(recurrent["d_inner"] + 2 * (recurrent["n_group"] or 0) * (recurrent["d_state"] or 0))


def _attending_blocks(facts: Facts) -> tuple[int, ...]:
    """The blocks that own a cache: by the model's pattern, every k-th of a hybrid model, or the first ones."""
    pattern = BLOCK_PATTERNS.get(facts["gguf_arch"], {}).get(facts["n_layer"], "")
    if pattern:
        return tuple(block for block, kind in enumerate(pattern) if kind == ATTENTION)
    n_layer, n_full = int(facts["n_layer"]), int(facts["kv_f16"]["full_attn_layers"])
    if facts["recurrent"]:
        period = n_layer // n_full
        return tuple(range(period - 1, n_layer, period))
    return tuple(range(facts["kv_layers_owned"] or n_layer))


def _recurrent_blocks(facts: Facts) -> tuple[int, ...]:
    pattern = BLOCK_PATTERNS.get(facts["gguf_arch"], {}).get(facts["n_layer"], "")
    if pattern:
        return tuple(block for block, kind in enumerate(pattern) if kind == STATE)
    attending = set(_attending_blocks(facts))
    return tuple(block for block in range(facts["n_layer"]) if block not in attending)

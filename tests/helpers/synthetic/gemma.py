"""Gemma 3, 3n and 4: sliding windows, two head sizes, shared caches, per-layer embeddings."""

from __future__ import annotations

from tests.helpers.synthetic.model import Blueprint, Builder, Facts, Metadata, Shapes
from tests.helpers.synthetic.parts import attention, blocks, dimensions, f32, feed_forward, flags, norms, tables, u32, u32s

_ALTUP_INPUTS, _LAUREL_RANK, _PER_LAYER = 4, 64, 256


def _gemma3(facts: Facts) -> Blueprint:
    n_embd = facts["n_embd"]
    shapes = tables(facts)
    for block in blocks(facts["n_layer"]):
        shapes |= norms(block, n_embd, "attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm")
        shapes |= norms(block, facts["head_dim_k"], "attn_q_norm", "attn_k_norm")
        shapes |= attention(block, facts) | feed_forward(block, n_embd, facts["n_ff"])
    return Blueprint(dimensions(facts) | {"attention.sliding_window": u32(facts["swa"]["window"])}, shapes)


def _gemma3n(facts: Facts) -> Blueprint:
    n_embd, n_layer = facts["n_embd"], facts["n_layer"]
    shapes = tables(facts) | _per_layer_tables(facts)
    shapes["altup_proj.weight"] = shapes["altup_unembd_proj.weight"] = (n_embd, n_embd, _ALTUP_INPUTS - 1)
    for block in blocks(n_layer):
        shapes |= norms(
            block, n_embd, "attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm", "altup_correct_scale",
            "altup_router_norm", "laurel_post_norm")
        shapes |= norms(block, facts["head_dim_k"], "attn_q_norm", "attn_k_norm")
        shapes |= attention(block, facts) | feed_forward(block, n_embd, facts["n_ff"]) | _per_layer_input(block, n_embd)
        shapes |= {
            f"{block}altup_correct_coef.weight": (_ALTUP_INPUTS, _ALTUP_INPUTS),
            f"{block}altup_predict_coef.weight": (_ALTUP_INPUTS, _ALTUP_INPUTS**2),
            f"{block}altup_router.weight": (n_embd, _ALTUP_INPUTS),
            f"{block}laurel_l.weight": (n_embd, _LAUREL_RANK),
            f"{block}laurel_r.weight": (_LAUREL_RANK, n_embd),
        }
    own: Metadata = {
        "attention.sliding_window": u32(facts["swa"]["window"]),
        "attention.sliding_window_pattern": flags([layer % 5 != 4 for layer in range(n_layer)]),
        "attention.shared_kv_layers": u32(n_layer - facts["kv_layers_owned"]),
        "embedding_length_per_layer_input": u32(_PER_LAYER),
    }
    return Blueprint(dimensions(facts) | own, shapes)


def _gemma4(facts: Facts) -> Blueprint:
    n_embd, n_layer, swa = facts["n_embd"], facts["n_layer"], facts["swa"]
    period = int(swa["pattern"].split()[0]) + 1
    slides = [layer % period != period - 1 for layer in range(n_layer)]
    owned = facts["kv_layers_owned"] or n_layer
    has_per_layer = facts["kv_layers_owned"] is not None
    widths = [facts["n_ff"] * (2 if facts["id"] == "gemma-4-e2b-it" and layer >= owned else 1) for layer in range(n_layer)]
    shapes = tables(facts) | (_per_layer_tables(facts) if has_per_layer else {})
    shapes["rope_freqs.weight"] = (swa["full_head_dim"] // 2,)
    for layer, block in enumerate(blocks(n_layer)):
        shapes |= norms(block, n_embd, "attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm")
        shapes[f"{block}layer_output_scale.weight"] = (1,)
        shapes |= _gemma4_attention(block, facts, slides=slides[layer], owns_cache=layer < owned)
        shapes |= feed_forward(block, n_embd, widths[layer])
        shapes |= _gemma4_experts(block, facts) if facts["n_expert"] else {}
        shapes |= _per_layer_input(block, n_embd) if has_per_layer else {}
    kv_heads = [facts["n_head_kv"] if sliding else swa["full_n_head_kv"] for sliding in slides]
    own: Metadata = {
        "attention.sliding_window": u32(swa["window"]), "attention.sliding_window_pattern": flags(slides),
        "attention.shared_kv_layers": u32(n_layer - owned), "attention.head_count_kv": u32s(kv_heads),
        "attention.key_length": u32(swa["full_head_dim"]), "attention.value_length": u32(swa["full_head_dim"]),
        "attention.key_length_swa": u32(facts["head_dim_k"]), "attention.value_length_swa": u32(facts["head_dim_v"]),
        "rope.dimension_count": u32(swa["full_head_dim"]), "rope.dimension_count_swa": u32(facts["head_dim_k"]),
        "embedding_length_per_layer_input": u32(_PER_LAYER if has_per_layer else 0),
        "feed_forward_length": u32s(widths), "final_logit_softcapping": f32(30.0),
    }
    return Blueprint(dimensions(facts) | own, shapes)


def _gemma4_attention(block: str, facts: Facts, *, slides: bool, owns_cache: bool) -> Shapes:
    """Layers with full attention have wider heads, and in the larger models no value projection: the keys serve as values."""
    n_embd, swa = facts["n_embd"], facts["swa"]
    head = facts["head_dim_k"] if slides else swa["full_head_dim"]
    kv_heads = facts["n_head_kv"] if slides else swa["full_n_head_kv"]
    shapes: Shapes = {
        f"{block}attn_q.weight": (n_embd, facts["n_head"] * head), f"{block}attn_q_norm.weight": (head,),
        f"{block}attn_output.weight": (facts["n_head"] * head, n_embd)}
    if owns_cache:
        shapes |= {f"{block}attn_k.weight": (n_embd, kv_heads * head), f"{block}attn_k_norm.weight": (head,)}
        if slides or facts["kv_layers_owned"] is not None:
            shapes[f"{block}attn_v.weight"] = (n_embd, kv_heads * head)
    return shapes


def _gemma4_experts(block: str, facts: Facts) -> Shapes:
    n_embd, n_ff, n_expert = facts["n_embd"], facts["n_ff_exp"], facts["n_expert"]
    return norms(block, n_embd, "pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2") | {
        f"{block}ffn_gate_inp.weight": (n_embd, n_expert), f"{block}ffn_gate_inp.scale": (n_embd,),
        f"{block}ffn_gate_up_exps.weight": (n_embd, 2 * n_ff, n_expert),
        f"{block}ffn_down_exps.weight": (n_ff, n_embd, n_expert), f"{block}ffn_down_exps.scale": (n_expert,)}


def _per_layer_tables(facts: Facts) -> Shapes:
    width = _PER_LAYER * facts["n_layer"]
    return {
        "per_layer_token_embd.weight": (width, facts["n_vocab"]), "per_layer_model_proj.weight": (facts["n_embd"], width),
        "per_layer_proj_norm.weight": (_PER_LAYER,)}


def _per_layer_input(block: str, n_embd: int) -> Shapes:
    return {
        f"{block}inp_gate.weight": (n_embd, _PER_LAYER), f"{block}proj.weight": (_PER_LAYER, n_embd),
        f"{block}post_norm.weight": (n_embd,)}


BUILDERS: dict[str, Builder] = {"gemma3": _gemma3, "gemma3n": _gemma3n, "gemma4": _gemma4}

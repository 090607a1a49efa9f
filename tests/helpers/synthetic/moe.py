"""Mixtures of experts with the usual attention: Qwen 3, gpt-oss, GLM 4.5, MiniMax M2, Llama 4."""

from __future__ import annotations

from tests.helpers.synthetic.dense import QWEN_VL_SECTIONS
from tests.helpers.synthetic.model import Blueprint, Builder, Facts, Metadata, Shapes
from tests.helpers.synthetic.parts import (
    attention,
    blocks,
    dimensions,
    experts,
    f32,
    feed_forward,
    flag,
    norms,
    tables,
    u32,
    u32s,
)

_SIGMOID = 2
_GLM_LARGE = 92
"""Blocks of GLM 4.5 to 4.7; the Air models have no norms of heads."""


def _qwen3moe(facts: Facts) -> Blueprint:
    shapes = tables(facts)
    for block in blocks(facts["n_layer"]):
        shapes |= norms(block, facts["n_embd"], "attn_norm", "ffn_norm") | attention(block, facts)
        shapes |= norms(block, facts["head_dim_k"], "attn_q_norm", "attn_k_norm") | experts(block, facts)
    return Blueprint(dimensions(facts), shapes)


def _qwen3vlmoe(facts: Facts) -> Blueprint:
    plain = _qwen3moe(facts)
    own: Metadata = {"n_deepstack_layers": u32(3), "rope.dimension_sections": u32s(QWEN_VL_SECTIONS)}
    return Blueprint(plain.metadata | own, plain.shapes)


def _gpt_oss(facts: Facts) -> Blueprint:
    """Biases everywhere, and sinks beside the keys."""
    n_embd, n_ff, n_expert = facts["n_embd"], facts["n_ff_exp"], facts["n_expert"]
    shapes = tables(facts)
    for block in blocks(facts["n_layer"]):
        projections = attention(block, facts)
        shapes |= norms(block, n_embd, "attn_norm", "post_attention_norm") | projections | experts(block, facts)
        shapes |= {name.replace(".weight", ".bias"): (shape[1],) for name, shape in projections.items()}
        shapes |= {
            f"{block}attn_sinks.weight": (facts["n_head"],), f"{block}ffn_gate_inp.bias": (n_expert,),
            f"{block}ffn_gate_exps.bias": (n_ff, n_expert), f"{block}ffn_up_exps.bias": (n_ff, n_expert),
            f"{block}ffn_down_exps.bias": (n_embd, n_expert)}
    return Blueprint(dimensions(facts) | {"attention.sliding_window": u32(facts["swa"]["window"])}, shapes)


def _glm4moe(facts: Facts) -> Blueprint:
    """Dense blocks in front; a block that predicts the next-but-one token at the end, which llama.cpp leaves out."""
    n_layer, lead = facts["n_layer"], facts["n_layer_dense_lead"]
    n_blocks = n_layer + (facts["n_layer_mtp"] or 0)
    shapes = tables(facts)
    for number, block in enumerate(blocks(n_blocks)):
        shapes |= norms(block, facts["n_embd"], "attn_norm", "post_attention_norm") | _biased_attention(block, facts)
        if n_layer == _GLM_LARGE:
            shapes |= norms(block, facts["head_dim_k"], "attn_q_norm", "attn_k_norm")
        if number < lead:
            shapes |= feed_forward(block, facts["n_embd"], facts["n_ff"])
        else:
            shapes |= experts(block, facts) | feed_forward(block, facts["n_embd"], facts["n_ff_shared_exp"], "_shexp")
            shapes[f"{block}exp_probs_b.bias"] = (facts["n_expert"],)
    for block in blocks(n_blocks, n_layer):
        shapes[f"{block}nextn.eh_proj.weight"] = (2 * facts["n_embd"], facts["n_embd"])
        shapes |= norms(block, facts["n_embd"], "nextn.enorm", "nextn.hnorm", "nextn.shared_head_norm")
    own: Metadata = {
        "block_count": u32(n_blocks), "nextn_predict_layers": u32(n_blocks - n_layer), "leading_dense_block_count": u32(lead),
        "expert_shared_count": u32(facts["n_expert_shared"]), "expert_weights_scale": f32(1.0),
        "expert_weights_norm": flag(True), "expert_gating_func": u32(_SIGMOID),
        "rope.dimension_count": u32(facts["head_dim_k"] // 2),
    }
    return Blueprint(dimensions(facts) | own, shapes)


def _biased_attention(block: str, facts: Facts) -> Shapes:
    projections = attention(block, facts)
    return projections | {
        name.replace(".weight", ".bias"): (shape[1],) for name, shape in projections.items() if "output" not in name}


def _minimax_m2(facts: Facts) -> Blueprint:
    """Norms over all heads at once."""
    shapes = tables(facts)
    for block in blocks(facts["n_layer"]):
        shapes |= norms(block, facts["n_embd"], "attn_norm", "ffn_norm") | attention(block, facts) | experts(block, facts)
        shapes |= {
            f"{block}attn_q_norm.weight": (facts["n_head"] * facts["head_dim_k"],),
            f"{block}attn_k_norm.weight": (facts["n_head_kv"] * facts["head_dim_k"],),
            f"{block}exp_probs_b.bias": (facts["n_expert"],)}
    own: Metadata = {"expert_gating_func": u32(_SIGMOID), "rope.dimension_count": u32(facts["head_dim_k"] // 2)}
    return Blueprint(dimensions(facts) | own, shapes)


def _llama4(facts: Facts) -> Blueprint:
    step = facts["moe_every"]
    shapes = tables(facts)
    shapes["rope_freqs.weight"] = (facts["head_dim_k"] // 2,)
    for layer, block in enumerate(blocks(facts["n_layer"])):
        shapes |= norms(block, facts["n_embd"], "attn_norm", "ffn_norm") | attention(block, facts)
        if (layer + 1) % step:
            shapes |= feed_forward(block, facts["n_embd"], facts["n_ff"])
        else:
            shapes |= experts(block, facts) | feed_forward(block, facts["n_embd"], facts["n_ff_shared_exp"], "_shexp")
    return Blueprint(dimensions(facts) | {"interleave_moe_layer_step": u32(step)}, shapes)


BUILDERS: dict[str, Builder] = {
    "qwen3moe": _qwen3moe, "qwen3vlmoe": _qwen3vlmoe, "gpt-oss": _gpt_oss, "glm4moe": _glm4moe, "minimax-m2": _minimax_m2,
    "llama4": _llama4,
}

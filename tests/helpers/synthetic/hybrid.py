"""Blocks that keep a state among blocks that attend: Qwen 3 Next and 3.5, LFM2, Nemotron 3, Granite 4 H."""

from __future__ import annotations

from tests.helpers.gguf_files import Typed
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

_INTERVAL = 4
"""Qwen's hybrids attend in every fourth block."""
_ROPE_SECTIONS = (11, 11, 10, 0)
_MAMBA_HEAD = 64
_PATTERNS = {
    "nemotron-3-nano-30b-a3b": "MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME",
    "nemotron-3-super-120b-a12b": (
        "MEMEMEM*EMEMEMEM*EMEMEMEM*EMEMEMEMEM*EMEMEMEMEM*EMEMEMEMEM*EMEMEMEMEM*EMEMEMEM*EMEMEMEME"),
    "lfm2.5-1.2b-instruct": "MM*MM*MM*M*M*M*M",
    "granite-4.0-h-tiny": "MMMMMMMMM*" * 4,
    "granite-4.0-h-small": "MMMMMMMMM*" * 4,
    "tiny-nemotron": "ME*E", "tiny-lfm2": "MM*M", "tiny-granite": "MM*M",
}
"""By model, a letter per block: attention (*), state (M), experts alone (E). Those of Granite are taken as evenly spread."""
_MOE_LATENT = {"nemotron-3-super-120b-a12b": 1024}
_LFM2_FF = 8192
"""What llama.cpp tells the 1.2B model by."""


def _qwen35(facts: Facts) -> Blueprint:
    return _delta_net(facts, {})


def _qwen35moe(facts: Facts) -> Blueprint:
    return _delta_net(facts, {"expert_shared_feed_forward_length": u32(facts["n_ff_shared_exp"])})


def _delta_net(facts: Facts, more: Metadata) -> Blueprint:
    """Gated attention, and state by the gated delta rule; a block for the next-but-one token where the model has one."""
    n_layer, n_embd, state = facts["n_layer"], facts["n_embd"], facts["recurrent"]
    n_blocks = n_layer + (facts["n_layer_mtp"] or 0)
    shapes = tables(facts)
    for number, block in enumerate(blocks(n_blocks)):
        shapes |= norms(block, n_embd, "attn_norm", "post_attention_norm")
        attends = number >= n_layer or (number + 1) % _INTERVAL == 0
        shapes |= _gated_attention(block, facts) if attends else _delta_state(block, facts)
        if facts["n_expert"]:
            shapes |= experts(block, facts) | feed_forward(block, n_embd, facts["n_ff_shared_exp"], "_shexp")
            shapes[f"{block}ffn_gate_inp_shexp.weight"] = (n_embd,)
        else:
            shapes |= feed_forward(block, n_embd, facts["n_ff"])
    for block in blocks(n_blocks, n_layer):
        shapes[f"{block}nextn.eh_proj.weight"] = (2 * n_embd, n_embd)
        shapes |= norms(block, n_embd, "nextn.enorm", "nextn.hnorm", "nextn.shared_head_norm")
    own: Metadata = {
        "block_count": u32(n_blocks), "nextn_predict_layers": u32(n_blocks - n_layer),
        "full_attention_interval": u32(_INTERVAL), "rope.dimension_sections": u32s(_ROPE_SECTIONS),
        "rope.dimension_count": u32(facts["head_dim_k"] // 4)}
    return Blueprint(dimensions(facts) | own | _state_keys(state, state["d_inner"] // state["d_state"]) | more, shapes)


def _gated_attention(block: str, facts: Facts) -> Shapes:
    """The query projection has a gate of the same width beside it."""
    shapes = attention(block, facts) | norms(block, facts["head_dim_k"], "attn_q_norm", "attn_k_norm")
    return shapes | {f"{block}attn_q.weight": (facts["n_embd"], 2 * facts["n_head"] * facts["head_dim_k"])}


def _delta_state(block: str, facts: Facts) -> Shapes:
    state, n_embd = facts["recurrent"], facts["n_embd"]
    heads = state["d_inner"] // state["d_state"]
    mixed = 2 * state["n_group"] * state["d_state"] + state["d_inner"]
    gates: Shapes = (
        {f"{block}ssm_ba.weight": (n_embd, 2 * heads)} if facts["gguf_arch"] == "qwen3next"
        else {f"{block}ssm_beta.weight": (n_embd, heads), f"{block}ssm_alpha.weight": (n_embd, heads)})
    return gates | norms(block, state["d_state"], "ssm_norm") | {
        f"{block}attn_qkv.weight": (n_embd, mixed), f"{block}attn_gate.weight": (n_embd, state["d_inner"]),
        f"{block}ssm_conv1d.weight": (state["d_conv"], mixed), f"{block}ssm_dt.bias": (heads,), f"{block}ssm_a": (heads,),
        f"{block}ssm_out.weight": (state["d_inner"], n_embd)}


def _lfm2(facts: Facts) -> Blueprint:
    pattern, n_embd = _PATTERNS[facts["id"]], facts["n_embd"]
    shapes = tables(facts, last_norm="token_embd_norm")
    for kind, block in zip(pattern, blocks(facts["n_layer"]), strict=True):
        shapes |= norms(block, n_embd, "attn_norm", "ffn_norm") | feed_forward(block, n_embd, _LFM2_FF)
        if kind == "*":
            shapes |= attention(block, facts) | norms(block, facts["head_dim_k"], "attn_q_norm", "attn_k_norm")
        else:
            shapes |= {
                f"{block}shortconv.conv.weight": (facts["recurrent"]["l_cache"], n_embd),
                f"{block}shortconv.in_proj.weight": (n_embd, 3 * n_embd),
                f"{block}shortconv.out_proj.weight": (n_embd, n_embd)}
    own: Metadata = {
        "feed_forward_length": u32(_LFM2_FF), "shortconv.l_cache": u32(facts["recurrent"]["l_cache"]),
        "attention.head_count_kv": _per_block(pattern, "*", facts["n_head_kv"])}
    return Blueprint(dimensions(facts) | own, shapes)


def _nemotron_h_moe(facts: Facts) -> Blueprint:
    """One thing per block: state, attention, or experts of two matrices."""
    pattern, n_embd = _PATTERNS[facts["id"]], facts["n_embd"]
    shapes = tables(facts)
    for kind, block in zip(pattern, blocks(facts["n_layer"]), strict=True):
        shapes |= norms(block, n_embd, "attn_norm")
        if kind == "M":
            shapes |= _mamba2(block, facts)
        elif kind == "*":
            shapes |= attention(block, facts)
        else:
            shapes |= _ungated_experts(block, facts)
    own: Metadata = {
        "feed_forward_length": _per_block(pattern, "E", facts["n_ff_exp"]),
        "attention.head_count_kv": _per_block(pattern, "*", facts["n_head_kv"]),
        "attention.layer_norm_epsilon": f32(1e-5), "expert_shared_count": u32(facts["n_expert_shared"]),
        "expert_shared_feed_forward_length": u32(facts["n_ff_shared_exp"]), "expert_weights_norm": flag(True),
        "expert_weights_scale": f32(2.5)}
    if facts["id"] in _MOE_LATENT:
        own["moe_latent_size"] = u32(_MOE_LATENT[facts["id"]])
    return Blueprint(
        dimensions(facts) | own | _state_keys(facts["recurrent"], facts["recurrent"]["d_inner"] // _MAMBA_HEAD), shapes)


def _ungated_experts(block: str, facts: Facts) -> Shapes:
    n_embd, n_ff, n_expert, shared = int(facts["n_embd"]), facts["n_ff_exp"], facts["n_expert"], facts["n_ff_shared_exp"]
    inner: int = _MOE_LATENT.get(str(facts["id"]), n_embd)
    shapes: Shapes = {
        f"{block}ffn_gate_inp.weight": (n_embd, n_expert), f"{block}exp_probs_b.bias": (n_expert,),
        f"{block}ffn_up_exps.weight": (inner, n_ff, n_expert), f"{block}ffn_down_exps.weight": (n_ff, inner, n_expert),
        f"{block}ffn_up_shexp.weight": (n_embd, shared), f"{block}ffn_down_shexp.weight": (shared, n_embd)}
    if inner != n_embd:
        shapes |= {f"{block}ffn_latent_down.weight": (n_embd, inner), f"{block}ffn_latent_up.weight": (inner, n_embd)}
    return shapes


def _granitehybrid(facts: Facts) -> Blueprint:
    """State or attention, and experts with a shared one, in every block."""
    pattern, n_embd = _PATTERNS[facts["id"]], facts["n_embd"]
    shapes = tables(facts)
    for kind, block in zip(pattern, blocks(facts["n_layer"]), strict=True):
        shapes |= norms(block, n_embd, "attn_norm", "ffn_norm")
        shapes |= attention(block, facts) if kind == "*" else _mamba2(block, facts)
        shapes |= experts(block, facts) | feed_forward(block, n_embd, facts["n_ff_shared_exp"], "_shexp")
    own: Metadata = {
        "attention.head_count_kv": _per_block(pattern, "*", facts["n_head_kv"]),
        "expert_shared_feed_forward_length": u32(facts["n_ff_shared_exp"]), "attention.scale": f32(0.0078125),
        "embedding_scale": f32(12.0), "residual_scale": f32(0.22), "logit_scale": f32(6.0),
        "rope.scaling.finetuned": flag(False)}
    heads = facts["recurrent"]["d_inner"] // _MAMBA_HEAD
    return Blueprint(dimensions(facts) | own | _state_keys(facts["recurrent"], heads), shapes)


def _mamba2(block: str, facts: Facts) -> Shapes:
    state, n_embd = facts["recurrent"], facts["n_embd"]
    inner, group, heads = state["d_inner"], state["n_group"], state["d_inner"] // _MAMBA_HEAD
    mixed = inner + 2 * group * state["d_state"]
    return {
        f"{block}ssm_in.weight": (n_embd, inner + mixed + heads), f"{block}ssm_conv1d.weight": (state["d_conv"], mixed),
        f"{block}ssm_conv1d.bias": (mixed,), f"{block}ssm_dt.bias": (heads,), f"{block}ssm_a": (1, heads),
        f"{block}ssm_d": (1, heads), f"{block}ssm_norm.weight": (inner // group, group),
        f"{block}ssm_out.weight": (inner, n_embd)}


def _state_keys(state: Facts, heads: int) -> Metadata:
    return {
        "ssm.conv_kernel": u32(state["d_conv"]), "ssm.inner_size": u32(state["d_inner"]),
        "ssm.state_size": u32(state["d_state"]), "ssm.group_count": u32(state["n_group"]), "ssm.time_step_rank": u32(heads)}


def _per_block(pattern: str, kind: str, value: int) -> Typed:
    return u32s([value if letter == kind else 0 for letter in pattern])


BUILDERS: dict[str, Builder] = {
    "qwen3next": _qwen35moe, "qwen35": _qwen35, "qwen35moe": _qwen35moe, "lfm2": _lfm2, "nemotron_h_moe": _nemotron_h_moe,
    "granitehybrid": _granitehybrid,
}

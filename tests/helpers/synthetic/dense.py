"""Dense models with the usual attention: Llama, Mistral 3, Phi, Qwen 2 and 3, SmolLM 3."""

from __future__ import annotations

from tests.helpers.synthetic.model import Blueprint, Builder, Facts, Metadata, Shapes
from tests.helpers.synthetic.parts import attention, blocks, dimensions, f32, feed_forward, norms, tables, u32, u32s

_YARN_CTX = 16_384
QWEN_VL_SECTIONS = (24, 20, 20, 0)


def _llama(facts: Facts) -> Blueprint:
    shapes = tables(facts)
    if "llama-3" in facts["id"] or "distill-llama" in facts["id"]:
        shapes["rope_freqs.weight"] = (facts["head_dim_k"] // 2,)
    return Blueprint(dimensions(facts), shapes | _plain_blocks(facts))


def _mistral3(facts: Facts) -> Blueprint:
    yarn: Metadata = {
        "attention.temperature_scale": f32(0.1), "rope.scaling.original_context_length": u32(_YARN_CTX),
        "rope.scaling.yarn_beta_fast": f32(32.0), "rope.scaling.yarn_beta_slow": f32(1.0)}
    return Blueprint(dimensions(facts) | yarn, tables(facts) | _plain_blocks(facts))


def _qwen2(facts: Facts) -> Blueprint:
    """Biases beside query, key and value."""
    shapes = tables(facts) | _plain_blocks(facts)
    biases: Shapes = {
        name.replace(".weight", ".bias"): (shape[1],) for name, shape in shapes.items()
        if name.endswith(("attn_q.weight", "attn_k.weight", "attn_v.weight"))}
    return Blueprint(dimensions(facts), shapes | biases)


def _qwen3(facts: Facts) -> Blueprint:
    return Blueprint(dimensions(facts), tables(facts) | _plain_blocks(facts, has_head_norms=True))


def _qwen3vl(facts: Facts) -> Blueprint:
    own: Metadata = {"n_deepstack_layers": u32(3), "rope.dimension_sections": u32s(QWEN_VL_SECTIONS)}
    return Blueprint(dimensions(facts) | own, tables(facts) | _plain_blocks(facts, has_head_norms=True))


def _smollm3(facts: Facts) -> Blueprint:
    return Blueprint(dimensions(facts), tables(facts) | _plain_blocks(facts))


def _phi3(facts: Facts) -> Blueprint:
    """One matrix for query, key and value, one for gate and up."""
    n_embd, n_ff = facts["n_embd"], facts["n_ff"]
    shapes = tables(facts)
    fused = n_embd + facts["n_head_kv"] * (facts["head_dim_k"] + facts["head_dim_v"])
    for block in blocks(facts["n_layer"]):
        shapes |= norms(block, n_embd, "attn_norm", "ffn_norm")
        shapes[f"{block}attn_qkv.weight"] = (n_embd, fused)
        shapes[f"{block}attn_output.weight"] = (n_embd, n_embd)
        shapes[f"{block}ffn_up.weight"] = (n_embd, 2 * n_ff)
        shapes[f"{block}ffn_down.weight"] = (n_ff, n_embd)
    return Blueprint(dimensions(facts), shapes)


def _plain_blocks(facts: Facts, *, has_head_norms: bool = False) -> Shapes:
    shapes: Shapes = {}
    for block in blocks(facts["n_layer"]):
        shapes |= norms(block, facts["n_embd"], "attn_norm", "ffn_norm") | attention(block, facts)
        if has_head_norms:
            shapes |= norms(block, facts["head_dim_k"], "attn_q_norm", "attn_k_norm")
        shapes |= feed_forward(block, facts["n_embd"], facts["n_ff"])
    return shapes


BUILDERS: dict[str, Builder] = {
    "llama": _llama, "mistral3": _mistral3, "phi3": _phi3, "qwen2": _qwen2, "qwen3": _qwen3, "qwen3vl": _qwen3vl,
    "smollm3": _smollm3,
}

"""Latent attention: DeepSeek V3 and R1, Kimi K2, GLM 4.7 Flash; with an indexer for sparse attention DeepSeek V3.2, GLM 5."""

from __future__ import annotations

from tests.helpers.synthetic.model import Blueprint, Builder, Facts, Metadata, Shapes
from tests.helpers.synthetic.parts import blocks, dimensions, experts, f32, feed_forward, flag, norms, tables, u32

_SOFTMAX, _SIGMOID = 1, 2
_INDEXER_HEADS = {"deepseek32": 64, "glm-dsa": 32}
_INDEXER_KEY, _INDEXER_TOP_K = 128, 2048
"""`index_n_heads`, `index_head_dim` and `index_topk` in the config.json of DeepSeek-V3.2 and GLM-5."""


def _deepseek2(facts: Facts) -> Blueprint:
    """The files on the Hub hold no block that predicts the next-but-one token: the converter left it out."""
    return _latent(facts, facts["n_layer"])


def _mistral4(facts: Facts) -> Blueprint:
    """Gate and up of the experts in one tensor, and no biases of the router."""
    plain = _latent(facts, facts["n_layer"])
    shapes = {name: shape for name, shape in plain.shapes.items() if "exp_probs_b" not in name}
    for block in blocks(facts["n_layer"]):
        n_embd, n_ff, n_expert = shapes.pop(f"{block}ffn_gate_exps.weight")
        del shapes[f"{block}ffn_up_exps.weight"]
        shapes[f"{block}ffn_gate_up_exps.weight"] = (n_embd, 2 * n_ff, n_expert)
    return Blueprint(plain.metadata | {"expert_weights_scale": f32(1.0), "expert_gating_func": u32(_SOFTMAX)}, shapes)


def _with_indexer(facts: Facts) -> Blueprint:
    n_blocks = facts["n_layer"] + facts["n_layer_mtp"]
    plain = _latent(facts, n_blocks)
    heads = _INDEXER_HEADS[facts["gguf_arch"]]
    shapes = dict(plain.shapes)
    for block in _blocks_with_indexer(facts, n_blocks):
        shapes |= norms(block, _INDEXER_KEY, "indexer.k_norm") | {
            f"{block}indexer.k_norm.bias": (_INDEXER_KEY,),
            f"{block}indexer.proj.weight": (facts["n_embd"], heads),
            f"{block}indexer.attn_k.weight": (facts["n_embd"], _INDEXER_KEY),
            f"{block}indexer.attn_q_b.weight": (facts["mla"]["q_lora_rank"], heads * _INDEXER_KEY)}
    own: Metadata = {
        "attention.indexer.head_count": u32(heads), "attention.indexer.key_length": u32(_INDEXER_KEY),
        "attention.indexer.top_k": u32(_INDEXER_TOP_K)}
    return Blueprint(plain.metadata | own, shapes)


def _blocks_with_indexer(facts: Facts, n_blocks: int) -> list[str]:
    """Every block; in GLM 5.2 the first two and every fourth from there on, whose choice the others take over."""
    if facts["gguf_arch"] == "deepseek32":
        return blocks(n_blocks)
    n_layer = facts["n_layer"]
    return [block for i, block in enumerate(blocks(n_blocks)) if i < 2 or i % 4 == 2 or i >= n_layer]


def _latent(facts: Facts, n_blocks: int) -> Blueprint:
    n_layer, lead, n_embd = facts["n_layer"], facts["n_layer_dense_lead"], facts["n_embd"]
    shapes = tables(facts)
    for number, block in enumerate(blocks(n_blocks)):
        shapes |= norms(block, n_embd, "attn_norm", "ffn_norm") | _latent_attention(block, facts)
        if number < lead:
            shapes |= feed_forward(block, n_embd, facts["n_ff"])
        else:
            shapes |= experts(block, facts) | feed_forward(block, n_embd, facts["n_ff_shared_exp"], "_shexp")
            shapes[f"{block}exp_probs_b.bias"] = (facts["n_expert"],)
    for block in blocks(n_blocks, n_layer):
        shapes[f"{block}nextn.eh_proj.weight"] = (2 * n_embd, n_embd)
        shapes |= norms(block, n_embd, "nextn.enorm", "nextn.hnorm", "nextn.shared_head_norm")
    mla = facts["mla"]
    own: Metadata = {
        "block_count": u32(n_blocks), "nextn_predict_layers": u32(n_blocks - n_layer), "leading_dense_block_count": u32(lead),
        "attention.head_count_kv": u32(1), "attention.key_length": u32(mla["kv_lora_rank"] + mla["qk_rope_head_dim"]),
        "attention.value_length": u32(mla["kv_lora_rank"]),
        "attention.key_length_mla": u32(mla["qk_nope_head_dim"] + mla["qk_rope_head_dim"]),
        "attention.value_length_mla": u32(mla["v_head_dim"]), "attention.q_lora_rank": u32(mla["q_lora_rank"]),
        "attention.kv_lora_rank": u32(mla["kv_lora_rank"]), "rope.dimension_count": u32(mla["qk_rope_head_dim"]),
        "expert_shared_count": u32(facts["n_expert_shared"]), "expert_weights_scale": f32(2.5),
        "expert_weights_norm": flag(True), "expert_gating_func": u32(_SIGMOID),
    }
    return Blueprint(dimensions(facts) | own, shapes)


def _latent_attention(block: str, facts: Facts) -> Shapes:
    mla, n_embd, n_head = facts["mla"], facts["n_embd"], facts["n_head"]
    latent, rope, nope, q_rank = (mla[key] for key in ("kv_lora_rank", "qk_rope_head_dim", "qk_nope_head_dim", "q_lora_rank"))
    return norms(block, q_rank, "attn_q_a_norm") | norms(block, latent, "attn_kv_a_norm") | {
        f"{block}attn_q_a.weight": (n_embd, q_rank),
        f"{block}attn_q_b.weight": (q_rank, n_head * (nope + rope)),
        f"{block}attn_kv_a_mqa.weight": (n_embd, latent + rope),
        f"{block}attn_k_b.weight": (nope, latent, n_head),
        f"{block}attn_v_b.weight": (latent, mla["v_head_dim"], n_head),
        f"{block}attn_output.weight": (n_head * mla["v_head_dim"], n_embd)}


BUILDERS: dict[str, Builder] = {
    "deepseek2": _deepseek2, "mistral4": _mistral4, "deepseek32": _with_indexer, "glm-dsa": _with_indexer,
}

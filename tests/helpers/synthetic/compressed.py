"""DeepSeek V4: compressed attention caches, an indexer, and four residual streams that are mixed in every block."""

from __future__ import annotations

from dataclasses import dataclass

from tests.helpers.gguf_files import Typed
from tests.helpers.synthetic.model import Blueprint, Builder, Facts, Metadata, Shapes
from tests.helpers.synthetic.parts import blocks, dimensions, experts, f32, feed_forward, flag, norms, tables, u32, u32s

_SQRT_SOFTPLUS = 4
_STREAMS, _HASH_LAYERS, _ROPE, _WINDOW = 4, 3, 64, 128
_INDEX_HEADS, _INDEX_KEY = 64, 128


@dataclass(frozen=True)
class _Own:
    """What the models differ in: `q_lora_rank`, `o_groups`, `o_lora_rank`, `index_topk`, and the first two compress ratios."""

    q_rank: int
    out_groups: int
    out_rank: int
    index_top_k: int
    first_ratio: int


_OWN = {
    "deepseek-v4-flash": _Own(1024, 8, 1024, 512, 0), "deepseek-v4-pro": _Own(1536, 16, 1024, 1024, 128),
    "tiny-deepseek4": _Own(96, 2, 64, 512, 0),
}
"""From their config.json."""


def _deepseek4(facts: Facts) -> Blueprint:
    own = _OWN[facts["id"]]
    ratios = _compress_ratios(facts["n_layer"], own)
    shapes = tables(facts) | _mixers("output_", facts["n_embd"], _STREAMS, ("hc_fn", "hc_base", "hc_scale"), scales=1)
    for number, block in enumerate(blocks(facts["n_layer"])):
        shapes |= _attention(block, facts, own) | _compressor(block, facts, own, ratios[number])
        shapes |= norms(block, facts["n_embd"], "ffn_norm") | experts(block, facts)
        shapes |= feed_forward(block, facts["n_embd"], facts["n_ff_exp"] * facts["n_expert_shared"], "_shexp")
        if number < _HASH_LAYERS:
            shapes[f"{block}ffn_gate_tid2eid.weight"] = (facts["n_expert_used"], facts["n_vocab"])
        else:
            shapes[f"{block}exp_probs_b.bias"] = (facts["n_expert"],)
    return Blueprint(dimensions(facts) | _metadata(facts, own, ratios), shapes)


def _compress_ratios(n_layer: int, own: _Own) -> list[int]:
    """The first two blocks are alike; then every second one compresses by 4, the others by 128."""
    return [own.first_ratio if layer < 2 else (4 if layer % 2 == 0 else 128) for layer in range(n_layer)]


def _mixers(start: str, n_embd: int, mixes: int, names: tuple[str, str, str], scales: int) -> Shapes:
    function, base, scale = names
    return {
        f"{start}{function}.weight": (_STREAMS * n_embd, mixes), f"{start}{base}.weight": (mixes,),
        f"{start}{scale}.weight": (scales,)}


def _attention(block: str, facts: Facts, own: _Own) -> Shapes:
    n_embd, n_head, head = facts["n_embd"], facts["n_head"], facts["head_dim_k"]
    shapes = norms(block, n_embd, "attn_norm") | norms(block, own.q_rank, "attn_q_a_norm")
    shapes |= {
        f"{block}attn_kv_a_norm.weight": (head,), f"{block}attn_sinks.weight": (n_head,),
        f"{block}attn_q_a.weight": (n_embd, own.q_rank), f"{block}attn_q_b.weight": (own.q_rank, n_head * head),
        f"{block}attn_kv.weight": (n_embd, head),
        f"{block}attn_output_a.weight": (n_head * head // own.out_groups, own.out_rank * own.out_groups),
        f"{block}attn_output_b.weight": (own.out_rank * own.out_groups, n_embd)}
    for part in ("attn", "ffn"):
        names = (f"hc_{part}_fn", f"hc_{part}_base", f"hc_{part}_scale")
        shapes |= _mixers(block, n_embd, (2 + _STREAMS) * _STREAMS, names, scales=3)
    return shapes


def _compressor(block: str, facts: Facts, own: _Own, ratio: int) -> Shapes:
    if ratio == 0:
        return {}
    n_embd, width = facts["n_embd"], facts["head_dim_k"] * (2 if ratio == 4 else 1)
    shapes: Shapes = {
        f"{block}attn_compressor_kv.weight": (n_embd, width), f"{block}attn_compressor_gate.weight": (n_embd, width),
        f"{block}attn_compressor_ape.weight": (width, ratio), f"{block}attn_compressor_norm.weight": (facts["head_dim_k"],)}
    if ratio == 4:
        shapes |= {
            f"{block}indexer.proj.weight": (n_embd, _INDEX_HEADS),
            f"{block}indexer.attn_q_b.weight": (own.q_rank, _INDEX_HEADS * _INDEX_KEY),
            f"{block}indexer_compressor_kv.weight": (n_embd, 2 * _INDEX_KEY),
            f"{block}indexer_compressor_gate.weight": (n_embd, 2 * _INDEX_KEY),
            f"{block}indexer_compressor_ape.weight": (2 * _INDEX_KEY, ratio),
            f"{block}indexer_compressor_norm.weight": (_INDEX_KEY,)}
    return shapes


def _metadata(facts: Facts, own: _Own, ratios: list[int]) -> Metadata:
    clamp = Typed("arr", [10.0] * facts["n_layer"], "f32")
    return {
        "attention.q_lora_rank": u32(own.q_rank), "attention.sliding_window": u32(_WINDOW),
        "attention.output_group_count": u32(own.out_groups), "attention.output_lora_rank": u32(own.out_rank),
        "attention.indexer.head_count": u32(_INDEX_HEADS), "attention.indexer.key_length": u32(_INDEX_KEY),
        "attention.indexer.top_k": u32(own.index_top_k), "attention.compress_ratios": u32s(ratios),
        "attention.compress_rope_freq_base": f32(160_000.0), "rope.dimension_count": u32(_ROPE),
        "hyper_connection.count": u32(_STREAMS), "hyper_connection.sinkhorn_iterations": u32(20),
        "hyper_connection.epsilon": f32(1e-6), "hash_layer_count": u32(_HASH_LAYERS),
        "embedding_length_out": u32(_STREAMS * facts["n_embd"]), "expert_shared_count": u32(facts["n_expert_shared"]),
        "expert_weights_scale": f32(1.5), "expert_weights_norm": flag(True), "expert_gating_func": u32(_SQRT_SOFTPLUS),
        "swiglu_clamp_exp": clamp, "swiglu_clamp_shexp": clamp,
    }


BUILDERS: dict[str, Builder] = {"deepseek4": _deepseek4}

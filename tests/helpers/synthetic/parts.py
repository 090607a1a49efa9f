"""Parts that the architectures share: metadata of the usual dimensions, tables, attention, feed-forward, experts."""

from __future__ import annotations

from collections.abc import Sequence

from tests.helpers.gguf_files import Typed
from tests.helpers.synthetic.model import Facts, Metadata, Shapes

DEFAULT_CTX_TRAIN = 131_072


def u32(value: int) -> Typed:
    """A number."""
    return Typed("u32", value)


def u32s(values: Sequence[int]) -> Typed:
    """A number per layer."""
    return Typed("arr", list(values), "i32")


def f32(value: float) -> Typed:
    """A fraction."""
    return Typed("f32", value)


def flag(value: bool) -> Typed:
    """Yes or no."""
    return Typed("bool", value)


def flags(values: Sequence[bool]) -> Typed:
    """Yes or no per layer."""
    return Typed("arr", list(values), "bool")


def dimensions(facts: Facts) -> Metadata:
    """The keys that nearly every architecture has. Experts included, where there are any."""
    metadata = {
        "context_length": u32(facts["ctx_train"] or DEFAULT_CTX_TRAIN),
        "embedding_length": u32(facts["n_embd"]),
        "block_count": u32(facts["n_layer"]),
        "feed_forward_length": u32(facts["n_ff"] or 0),
        "attention.head_count": u32(facts["n_head"]),
        "attention.head_count_kv": u32(facts["n_head_kv"]),
        "attention.key_length": u32(facts["head_dim_k"]),
        "attention.value_length": u32(facts["head_dim_v"]),
        "attention.layer_norm_rms_epsilon": f32(1e-6),
        "rope.dimension_count": u32(facts["head_dim_k"]),
        "vocab_size": u32(facts["n_vocab"]),
    }
    if facts["n_expert"]:
        metadata["expert_count"] = u32(facts["n_expert"])
        metadata["expert_used_count"] = u32(facts["n_expert_used"])
    if facts["n_ff_exp"]:
        metadata["expert_feed_forward_length"] = u32(facts["n_ff_exp"])
    return metadata


def tables(facts: Facts, last_norm: str = "output_norm") -> Shapes:
    """Token table, last norm, and the head unless it is tied to the table."""
    shapes: Shapes = {"token_embd.weight": (facts["n_embd"], facts["n_vocab"]), f"{last_norm}.weight": (facts["n_embd"],)}
    if not facts["tied_embeddings"]:
        shapes["output.weight"] = (facts["n_embd"], facts["n_vocab"])
    return shapes


def blocks(count: int, start: int = 0) -> list[str]:
    """What the names of the tensors of each block begin with."""
    return [f"blk.{number}." for number in range(start, count)]


def norms(block: str, width: int, *names: str) -> Shapes:
    """Norms of one width."""
    return {f"{block}{name}.weight": (width,) for name in names}


def attention(block: str, facts: Facts) -> Shapes:
    """Query, key, value and output projections."""
    n_embd, key, value = facts["n_embd"], facts["head_dim_k"], facts["head_dim_v"]
    return {
        f"{block}attn_q.weight": (n_embd, facts["n_head"] * key),
        f"{block}attn_k.weight": (n_embd, facts["n_head_kv"] * key),
        f"{block}attn_v.weight": (n_embd, facts["n_head_kv"] * value),
        f"{block}attn_output.weight": (facts["n_head"] * value, n_embd),
    }


def feed_forward(block: str, n_embd: int, n_ff: int, suffix: str = "") -> Shapes:
    """Gate, up and down; `suffix` "_shexp" for a shared expert."""
    return {
        f"{block}ffn_gate{suffix}.weight": (n_embd, n_ff),
        f"{block}ffn_up{suffix}.weight": (n_embd, n_ff),
        f"{block}ffn_down{suffix}.weight": (n_ff, n_embd),
    }


def experts(block: str, facts: Facts) -> Shapes:
    """The router and the routed experts."""
    n_embd, n_ff, n_expert = facts["n_embd"], facts["n_ff_exp"], facts["n_expert"]
    return {
        f"{block}ffn_gate_inp.weight": (n_embd, n_expert),
        f"{block}ffn_gate_exps.weight": (n_embd, n_ff, n_expert),
        f"{block}ffn_up_exps.weight": (n_embd, n_ff, n_expert),
        f"{block}ffn_down_exps.weight": (n_ff, n_embd, n_expert),
    }

"""Small models of several architectures with weights of zero: llama.cpp loads them, so that its buffers can be measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.helpers.gguf_files import F16, F32, TensorSpec, TinyModel, Typed, encode_gguf, tiny_metadata

N_EMBD, N_HEAD, N_HEAD_KV, HEAD_DIM, N_FF, N_LAYER, CTX_TRAIN = 256, 4, 2, 64, 512, 6, 32768
N_VOCAB = 3 + 256 + 95
Tensors = list[TensorSpec]


def write_architecture(path: Path, architecture: str) -> Path:
    """Writes one of `ARCHITECTURES`: dense, experts, sliding window, recurrent, hybrid, or compressed (MLA)."""
    make = BUILDERS[architecture]
    own, blocks = make()
    name = architecture.partition("-")[0]
    metadata = {
        **{key: value for key, value in tiny_metadata(TinyModel()).items() if not key.startswith(("general.", "llama."))},
        "general.architecture": Typed("str", name),
        **{f"{name}.{key}": value for key, value in (_common() | own).items()},
    }
    last_norm = "token_embd_norm" if name == "lfm2" else "output_norm"
    tensors = [_matrix("token_embd.weight", N_EMBD, N_VOCAB), _row(f"{last_norm}.weight", N_EMBD), *blocks]
    path.write_bytes(encode_gguf(metadata, tensors))
    return path


def _common() -> dict[str, Typed]:
    return {
        "context_length": Typed("u32", CTX_TRAIN), "embedding_length": Typed("u32", N_EMBD),
        "block_count": Typed("u32", N_LAYER), "feed_forward_length": Typed("u32", N_FF),
        "attention.head_count": Typed("u32", N_HEAD), "attention.head_count_kv": Typed("u32", N_HEAD_KV),
        "attention.layer_norm_rms_epsilon": Typed("f32", 1e-5),
    }


def _matrix(name: str, *dimensions: int) -> TensorSpec:
    count = 1
    for length in dimensions:
        count *= length
    return TensorSpec(name, dimensions, F16, bytes(2 * count))


def _row(name: str, *dimensions: int) -> TensorSpec:
    count = 1
    for length in dimensions:
        count *= length
    return TensorSpec(name, dimensions, F32, bytes(4 * count))


def _attention(block: str, head_dim: int = HEAD_DIM) -> Tensors:
    return [
        _row(block + "attn_norm.weight", N_EMBD),
        _matrix(block + "attn_q.weight", N_EMBD, N_HEAD * head_dim),
        _matrix(block + "attn_k.weight", N_EMBD, N_HEAD_KV * head_dim),
        _matrix(block + "attn_v.weight", N_EMBD, N_HEAD_KV * head_dim),
        _matrix(block + "attn_output.weight", N_HEAD * head_dim, N_EMBD),
    ]


def _feed_forward(block: str) -> Tensors:
    return [
        _row(block + "ffn_norm.weight", N_EMBD),
        _matrix(block + "ffn_gate.weight", N_EMBD, N_FF), _matrix(block + "ffn_up.weight", N_EMBD, N_FF),
        _matrix(block + "ffn_down.weight", N_FF, N_EMBD),
    ]


def _blocks() -> list[str]:
    return [f"blk.{layer}." for layer in range(N_LAYER)]


def _llama() -> tuple[dict[str, Typed], Tensors]:
    return {}, [tensor for block in _blocks() for tensor in (*_attention(block), *_feed_forward(block))]


def _llama_moe() -> tuple[dict[str, Typed], Tensors]:
    experts = 8
    tensors = []
    for block in _blocks():
        tensors += [
            *_attention(block), _row(block + "ffn_norm.weight", N_EMBD),
            _matrix(block + "ffn_gate_inp.weight", N_EMBD, experts),
            _matrix(block + "ffn_gate_exps.weight", N_EMBD, N_FF, experts),
            _matrix(block + "ffn_up_exps.weight", N_EMBD, N_FF, experts),
            _matrix(block + "ffn_down_exps.weight", N_FF, N_EMBD, experts)]
    return {"expert_count": Typed("u32", experts), "expert_used_count": Typed("u32", 2)}, tensors


def _gemma3() -> tuple[dict[str, Typed], Tensors]:
    tensors = []
    for block in _blocks():
        tensors += [
            *_attention(block), _row(block + "attn_q_norm.weight", HEAD_DIM), _row(block + "attn_k_norm.weight", HEAD_DIM),
            _row(block + "post_attention_norm.weight", N_EMBD), *_feed_forward(block),
            _row(block + "post_ffw_norm.weight", N_EMBD)]
    return {
        "attention.sliding_window": Typed("u32", 512), "attention.key_length": Typed("u32", HEAD_DIM),
        "attention.value_length": Typed("u32", HEAD_DIM)}, tensors


def _mamba() -> tuple[dict[str, Typed], Tensors]:
    inner, state, kernel, rank = 2 * N_EMBD, 16, 4, 16
    tensors = []
    for block in _blocks():
        tensors += [
            _row(block + "attn_norm.weight", N_EMBD), _matrix(block + "ssm_in.weight", N_EMBD, 2 * inner),
            _row(block + "ssm_conv1d.weight", kernel, inner), _row(block + "ssm_conv1d.bias", inner),
            _matrix(block + "ssm_x.weight", inner, rank + 2 * state), _matrix(block + "ssm_dt.weight", rank, inner),
            _row(block + "ssm_dt.bias", inner), _row(block + "ssm_a", state, inner), _row(block + "ssm_d", inner),
            _matrix(block + "ssm_out.weight", inner, N_EMBD)]
    return {
        "ssm.conv_kernel": Typed("u32", kernel), "ssm.inner_size": Typed("u32", inner), "ssm.state_size": Typed("u32", state),
        "ssm.time_step_rank": Typed("u32", rank), "attention.head_count": Typed("u32", 0),
        "attention.head_count_kv": Typed("u32", 0), "feed_forward_length": Typed("u32", 0)}, tensors


def _lfm2() -> tuple[dict[str, Typed], Tensors]:
    kv_heads = [N_HEAD_KV if layer % 3 == 2 else 0 for layer in range(N_LAYER)]
    tensors: Tensors = []
    for block, heads in zip(_blocks(), kv_heads, strict=True):
        if heads:
            tensors += [
                *_attention(block), _row(block + "attn_q_norm.weight", HEAD_DIM), _row(block + "attn_k_norm.weight", HEAD_DIM)]
        else:
            tensors += [
                _row(block + "attn_norm.weight", N_EMBD), _row(block + "shortconv.conv.weight", 3, N_EMBD),
                _matrix(block + "shortconv.in_proj.weight", N_EMBD, 3 * N_EMBD),
                _matrix(block + "shortconv.out_proj.weight", N_EMBD, N_EMBD)]
        tensors += _feed_forward(block)
    return {
        "shortconv.l_cache": Typed("u32", 3), "attention.head_count_kv": Typed("arr", kv_heads, "i32"),
        "vocab_size": Typed("u32", N_VOCAB)}, tensors


def _deepseek2() -> tuple[dict[str, Typed], Tensors]:
    rank, rope, nope, value = 128, 32, 64, 64
    tensors = []
    for block in _blocks():
        tensors += [
            _row(block + "attn_norm.weight", N_EMBD), _row(block + "attn_q_a_norm.weight", 96),
            _row(block + "attn_kv_a_norm.weight", rank), _matrix(block + "attn_q_a.weight", N_EMBD, 96),
            _matrix(block + "attn_q_b.weight", 96, N_HEAD * (nope + rope)),
            _matrix(block + "attn_kv_a_mqa.weight", N_EMBD, rank + rope),
            _matrix(block + "attn_k_b.weight", nope, rank, N_HEAD),
            _matrix(block + "attn_v_b.weight", rank, value, N_HEAD),
            _matrix(block + "attn_output.weight", N_HEAD * value, N_EMBD), *_feed_forward(block)]
    return {
        "attention.head_count_kv": Typed("u32", 1), "attention.key_length": Typed("u32", rank + rope),
        "attention.value_length": Typed("u32", rank), "attention.key_length_mla": Typed("u32", nope + rope),
        "attention.value_length_mla": Typed("u32", value), "attention.q_lora_rank": Typed("u32", 96),
        "attention.kv_lora_rank": Typed("u32", rank), "rope.dimension_count": Typed("u32", rope),
        "leading_dense_block_count": Typed("u32", N_LAYER), "expert_feed_forward_length": Typed("u32", N_FF),
        "expert_shared_count": Typed("u32", 1), "expert_count": Typed("u32", 4), "expert_used_count": Typed("u32", 2),
    }, tensors


BUILDERS: dict[str, Callable[[], tuple[dict[str, Typed], Tensors]]] = {
    "llama": _llama, "llama-moe": _llama_moe, "gemma3": _gemma3, "mamba": _mamba, "lfm2": _lfm2, "deepseek2": _deepseek2,
}
ARCHITECTURES = tuple(BUILDERS)

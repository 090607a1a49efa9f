"""Which layers of an architecture slide, share or lack a KV cache: the rules that llama.cpp has in code.

Sources: src/models/*.cpp, src/llama-hparams.cpp and src/llama-model.cpp of llama.cpp (as in llama-cpp-python 0.3.36).
"""

from __future__ import annotations

from dataclasses import dataclass

from localai_app.gguf.header import GgufHeader


@dataclass(frozen=True, slots=True)
class SlidingRule:
    """Layer i keeps a window unless `i % period == period - 1` (or `== 0` where `dense_first`)."""

    period: int
    """0: the file must say which layers slide."""
    window: int = 0
    """The window where the file names none; 0: then nothing slides."""
    dense_first: bool = False
    every_layer: bool = False
    """All layers keep a window."""


SLIDING_RULES: dict[str, SlidingRule] = {
    "gemma2": SlidingRule(2, 4096),
    "gemma3": SlidingRule(6),
    "gemma3n": SlidingRule(5),
    "gemma4": SlidingRule(0),
    "gemma-embedding": SlidingRule(6),
    "gpt-oss": SlidingRule(2),
    "llama4": SlidingRule(4, 8192),
    "cohere2": SlidingRule(4),
    "cohere2moe": SlidingRule(4, dense_first=True),
    "olmo2": SlidingRule(4),
    "exaone4": SlidingRule(4, 4096),
    "exaone-moe": SlidingRule(4, 128),
    "smallthinker": SlidingRule(4, dense_first=True),
    "plamo3": SlidingRule(8),
    "afmoe": SlidingRule(4),
    "mellum": SlidingRule(4),
    "laguna": SlidingRule(4, dense_first=True),
    "step35": SlidingRule(0),
    "mimo2": SlidingRule(0),
    "granite_swa": SlidingRule(0),
    "maple": SlidingRule(0),
    "spark2_5": SlidingRule(0),
    "muse-glimmer": SlidingRule(4),
    "lfm2": SlidingRule(0, every_layer=True),
    "deepseek4": SlidingRule(0, every_layer=True),
}
"""Architectures whose window llama.cpp honours. Others (Qwen2, Mistral, Phi-3/Phi-4-mini) may name a window in the
file, but llama.cpp runs them with full attention and a full cache."""

_ALL_RECURRENT = frozenset({"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"})
_RECURRENT_WITHOUT_KV_HEADS = frozenset(
    {"jamba", "plamo2", "granitehybrid", "lfm2", "lfm2moe", "kimi-linear", "nemotron_h", "nemotron_h_moe"}
)
_RECURRENT_BY_INTERVAL = frozenset({"qwen3next", "qwen35", "qwen35moe"})
_RECURRENT_AND_ATTENTION = frozenset({"falcon-h1"})
_UNKNOWN_PARTS = {
    "deepseek32": "the cache of the sparse-attention indexer",
    "glm-dsa": "the cache of the sparse-attention indexer",
    "dots3note": "the cache of the sparse-attention indexer",
    "hy_v4": "the cache of the sparse-attention indexer",
    "deepseek4": "the compressed attention caches",
    "glm5-next": "the caches of its mixed attention",
    "kimi-k3": "the caches of its mixed attention",
    "bailingmoe3": "the caches of its mixed attention",
    "qwen4exp": "the caches of its mixed attention",
    "minimax-01": "the state of its linear attention",
    "minimax-m3": "the cache of the sparse-attention indexer",
}
_GEMMA3N_CACHE_LAYERS = 20


def sliding_layers(header: GgufHeader, n_layers: int) -> tuple[int, tuple[bool, ...]]:
    """(window in positions, whether each layer slides); (0, all False) where the model attends to everything."""
    none = (0, (False,) * n_layers)
    rule = SLIDING_RULES.get(header.architecture)
    if rule is None:
        return none
    window = header.integer("attention.sliding_window", rule.window)
    if header.architecture == "llama4" and window:
        window = rule.window
    if window == 0 or (header.architecture == "exaone4" and n_layers != 64):
        return none
    if rule.every_layer:
        return window, (True,) * n_layers
    pattern_key = f"{header.architecture}.attention.sliding_window_pattern"
    if isinstance(header.metadata.get(pattern_key), tuple):
        flags = header.integers("attention.sliding_window_pattern", n_layers)
        return window, tuple(bool(flag) for flag in flags)
    period = header.integer("attention.sliding_window_pattern", rule.period)
    if period == 0:
        return none if rule.period == 0 else (window, (True,) * n_layers)
    full_at = 0 if rule.dense_first else period - 1
    return window, tuple(layer % period != full_at for layer in range(n_layers))


def cache_owner_count(header: GgufHeader, n_layers: int) -> int:
    """How many layers from the start own a cache; the others read the cache of an earlier one (Gemma 3n, Gemma 4 E)."""
    if header.architecture == "gemma3n":
        return min(_GEMMA3N_CACHE_LAYERS, n_layers)
    if header.architecture == "gemma4":
        return max(n_layers - header.integer("attention.shared_kv_layers"), 0)
    return n_layers


def recurrent_layers(header: GgufHeader, kv_heads: tuple[int, ...], feed_forward: tuple[int, ...]) -> tuple[bool, ...]:
    """Whether each layer keeps a fixed state per sequence instead of a cache that grows."""
    architecture, n_layers = header.architecture, len(kv_heads)
    if architecture in _ALL_RECURRENT or architecture in _RECURRENT_AND_ATTENTION:
        return (True,) * n_layers
    if architecture in ("nemotron_h", "nemotron_h_moe"):
        return tuple(heads == 0 and width == 0 for heads, width in zip(kv_heads, feed_forward, strict=True))
    if architecture in _RECURRENT_WITHOUT_KV_HEADS:
        return tuple(heads == 0 for heads in kv_heads)
    if architecture in _RECURRENT_BY_INTERVAL:
        if f"{architecture}.attention.recurrent_layers" in header.metadata:
            return tuple(bool(flag) for flag in header.integers("attention.recurrent_layers", n_layers))
        interval = header.integer("full_attention_interval", 4) or 1
        return tuple((layer + 1) % interval != 0 for layer in range(n_layers))
    return (False,) * n_layers


def keeps_values(header: GgufHeader) -> bool:
    """Whether caches store values beside keys: not where both come from one latent row (MLA, DeepSeek V4)."""
    is_latent = header.integer("attention.key_length_mla") > 0 and header.integer("attention.value_length_mla") > 0
    return not is_latent and header.architecture != "deepseek4"


def attends_too(header: GgufHeader) -> bool:
    """Whether recurrent layers of this architecture own a KV cache as well (Falcon-H1)."""
    return header.architecture in _RECURRENT_AND_ATTENTION


def state_bytes_per_layer(header: GgufHeader, n_embd: int, n_head: int) -> int:
    """Bytes of one recurrent layer's state per sequence, F32 (`llama_hparams::n_embd_r` and `n_embd_s`)."""
    wkv_head, short_conv, kda_head = (header.integer(k) for k in ("wkv.head_size", "shortconv.l_cache", "kda.head_dim"))
    conv_kernel, inner, state = (header.integer(k) for k in ("ssm.conv_kernel", "ssm.inner_size", "ssm.state_size"))
    past = max(conv_kernel - 1, 0)
    if wkv_head:
        elements = header.integer("token_shift_count", 2) * n_embd + n_embd * wkv_head
    elif short_conv:
        elements = n_embd * (short_conv - 1)
    elif kda_head:
        elements = 3 * (past or 3) * n_head * kda_head + kda_head * kda_head * n_head
    else:
        elements = past * (inner + 2 * header.integer("ssm.group_count") * state) + state * inner
    return elements * 4


def unknown_parts(header: GgufHeader, recurrent: tuple[bool, ...], state_bytes: int) -> tuple[str, ...]:
    """Memory that no formula here covers, in words."""
    parts = []
    if (part := _UNKNOWN_PARTS.get(header.architecture)) is not None:
        parts.append(part)
    elif header.integer("attention.indexer.head_count"):
        parts.append(_UNKNOWN_PARTS["glm-dsa"])
    if header.integer("num_loops") > 1:
        parts.append("the caches of its repeated layers")
    if any(recurrent) and state_bytes == 0:
        parts.append("the state of its recurrent layers")
    state_keys = (f"{header.architecture}.{key}" for key in ("ssm.state_size", "wkv.head_size"))
    if not any(recurrent) and any(key in header.metadata for key in state_keys):
        parts.append("the state of its recurrent layers")
    return tuple(parts)

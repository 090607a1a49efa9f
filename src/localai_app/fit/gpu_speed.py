"""What a token costs on a GPU."""

from __future__ import annotations

from localai_app.engine.protocol import KvType
from localai_app.fit.gpu_table import ASSUMED_SHARE_OF_PEAK, GpuSpec, GpuTable
from localai_app.fit.memory import ModelMemory
from localai_app.fit.quality import base_label
from localai_app.fit.shares import Share
from localai_app.fit.speed_parts import DeviceCost, Spread, TokenCost
from localai_app.fit.token_work import Attention, active_bytes, attention_of, block_weights, state_bytes
from localai_app.hardware.report import Gpu, Vendor

SPREAD = Spread(base=0.2, depth=0.35)
"""The formula reproduces published scoreboards within the first; the few published speeds at depth within the second."""
PROMPT_SPREAD = 0.3
EXPERT_LAYER_S = 45e-6
"""What experts add to a block: 75 against 30 microseconds (gpt-oss on an RTX PRO 6000); the same on a Radeon 8060S (Qwen3
30B-A3B)."""
METAL_EXPERT_LAYER_S = 300e-6
"""The same on Metal: 250-450 microseconds (50.4 tokens per second of gpt-oss-20b and 34.2 of Qwen3.6-35B-A3B on an M2 Pro,
llama.cpp's discussion of Apple Silicon)."""
RECURRENT_LAYER_S = 35e-6
"""What a recurrent state adds to a block: 10 microseconds (Qwen3.5 27B on an RTX 5090) to 95 (Qwen3.6 on an L40S)."""
EXPERT_PROMPT_FACTOR = 1.4
"""Active weights of experts take this much longer in prompts than dense ones, besides reading all experts once per batch:
1.3-1.4 on a Radeon 8060S (Qwen3 30B-A3B, Qwen3.5 35B-A3B)."""
NVIDIA_EXPERT_PROMPT_FACTOR = 3.0
"""The same where tensor cores wait for the small batches of single experts: 3.0 and 2.8 (gpt-oss-20b and 120b on an RTX PRO
6000), 3.5 (Qwen3.6-35B-A3B on an L40S)."""
UNKNOWN_LAYER_S = 100e-6
"""Fixed cost of a block on an integrated GPU that the table does not have; cautious, as on a processor."""
CACHE_BANDWIDTH_SHARE = {KvType.F16: 1.0, KvType.Q8_0: 1.0, KvType.Q4_0: 0.5}
"""Useful share of the bandwidth while a cache is read, against weights.

From the growth of the time per token with depth in llama-bench: f16 and q8_0 read 0.75 of the peak on an RTX 5090 (Qwen3.5
27B), 0.79 on a Radeon 8060S (Qwen3 30B-A3B); q4_0 takes as long as q8_0 there, so unpacking costs what reading saves.
"""
ATTENTION_FLOPS_SHARE = 0.7
"""Share of a device's prompt speed that attention reaches: 0.54 on an RTX 3090 (8B at depth 32,768, llama.cpp's pull request
17505), 0.75 on an RTX 5090 (Qwen3.5 27B), 0.8-0.95 on a Radeon 8060S (Qwen3 30B-A3B)."""
BANDWIDTH_SHARE = {
    "IQ4_XS": 0.97, "Q3_K_L": 0.80, "Q3_K_M": 0.80, "Q3_K_S": 0.80, "IQ3_M": 0.75, "IQ3_S": 0.75, "IQ3_XS": 0.75,
    "IQ3_XXS": 0.75, "Q2_K": 0.71, "IQ2_M": 0.59, "IQ2_S": 0.59, "IQ2_XS": 0.59, "IQ2_XXS": 0.59, "IQ1_M": 0.59, "IQ1_S": 0.59,
}
"""Useful share of a GPU's bandwidth against Q4_K: below 4 bits unpacking costs what reading saves.

Source: tokens per second of Llama-3.1-8B per type, llama.cpp tools/quantize/README.md. IQ1: not in it, taken as IQ2.
"""


def gpu_cost(
    share: Share, memory: ModelMemory, kv_type: KvType, label: str, gpus: GpuTable, host_read_per_s: float,
) -> DeviceCost | None:
    """What a token costs on one GPU of a plan; None where its bandwidth is not known.

    `host_read_per_s`: bytes per second that the processor reads from main memory, for GPUs that share it.
    """
    gpu = share.budget.gpu
    spec = gpus.find(gpu.name, gpu.total_bytes) if gpu is not None else None
    bandwidth = ASSUMED_SHARE_OF_PEAK * spec.bandwidth_bytes_per_s if spec else 0.0
    if spec is None and gpu is not None and gpu.unified and gpu.vendor is not Vendor.APPLE:
        bandwidth = host_read_per_s
    if bandwidth <= 0:
        return None
    attention = attention_of(memory, share.start, share.stop, kv_type)
    cache_per_s = bandwidth * CACHE_BANDWIDTH_SHARE[kv_type]
    weights_per_s = bandwidth * BANDWIDTH_SHARE.get(base_label(label), 1.0)
    # Compressed caches (MLA) are small, but every head computes with the whole of them.
    position_s = _position_s(memory, attention, spec)
    token = TokenCost(
        read_s=active_bytes(share, memory) / weights_per_s + state_bytes(share, memory) / bandwidth,
        fixed_s=_layer_overhead_s(spec, gpu, memory) * (share.stop - share.start),
        per_position_s=max(attention.full_bytes / cache_per_s, attention.full_layers * position_s),
        per_window_position_s=max(attention.window_bytes / cache_per_s, attention.window_layers * position_s),
        window=attention.window)
    return DeviceCost(
        device=share.budget.name, kind="gpu", token=token, spread=SPREAD,
        prompt=_prompt_cost(share, memory, attention, spec), prompt_spread=PROMPT_SPREAD)


def _layer_overhead_s(spec: GpuSpec | None, gpu: Gpu | None, memory: ModelMemory) -> float:
    """Fixed cost of one block on a GPU in seconds, with what experts and recurrent states add."""
    overhead = spec.layer_overhead_s if spec else UNKNOWN_LAYER_S
    if memory.geometry.n_expert:
        is_metal = gpu is not None and gpu.vendor is Vendor.APPLE
        overhead += METAL_EXPERT_LAYER_S if is_metal else EXPERT_LAYER_S
    return overhead + RECURRENT_LAYER_S if memory.geometry.recurrent_state_bytes else overhead


def _position_s(memory: ModelMemory, attention: Attention, spec: GpuSpec | None) -> float:
    """Seconds that one layer computes for one position; 0.0 where nothing tells how fast the device computes."""
    if spec is None or spec.prompt_flops is None:
        return 0.0
    return 2 * attention.products(memory) / (spec.prompt_flops * ATTENTION_FLOPS_SHARE)


def _prompt_cost(share: Share, memory: ModelMemory, attention: Attention, spec: GpuSpec | None) -> TokenCost | None:
    """One token of a prompt: two operations per active weight, and four per head, element and position before it.

    A batch reads all experts, whichever its tokens use; the weights of dense models are read besides computing.
    """
    weights = block_weights(share, memory)
    if spec is None or spec.prompt_flops is None or weights is None:
        return None
    factor, read_s = 1.0, 0.0
    if memory.geometry.n_expert:
        is_nvidia = share.budget.gpu is not None and share.budget.gpu.vendor is Vendor.NVIDIA
        factor = NVIDIA_EXPERT_PROMPT_FACTOR if is_nvidia else EXPERT_PROMPT_FACTOR
        experts_bytes = memory.experts_between(share.start + share.expert_blocks, share.stop)
        read_s = experts_bytes / (ASSUMED_SHARE_OF_PEAK * spec.bandwidth_bytes_per_s) / memory.ubatch
    position_s = _position_s(memory, attention, spec)
    return TokenCost(
        read_s=read_s, compute_s=factor * 2 * weights / spec.prompt_flops,
        per_position_s=attention.full_layers * position_s,
        per_window_position_s=attention.window_layers * position_s, window=attention.window)

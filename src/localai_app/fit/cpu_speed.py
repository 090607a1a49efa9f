"""What a token costs on the processor."""

from __future__ import annotations

from localai_app.engine.protocol import KvType
from localai_app.fit.memory import ModelMemory
from localai_app.fit.quality import base_label
from localai_app.fit.shares import Share
from localai_app.fit.speed_parts import DeviceCost, Spread, TokenCost
from localai_app.fit.token_work import (
    Attention,
    active_bytes,
    attention_of,
    block_weights,
    bytes_per_weight,
    state_bytes,
)
from localai_app.hardware.report import Cpu, HardwareReport

SPREAD = Spread(base=0.3, depth=0.4)
"""Processors vary more than the few figures used here can tell."""
PROMPT_SPREAD = 0.5
READS_PER_COPY = 2.0
"""Bytes that can be read in the time of copying one where the memory is the limit: a copy reads and writes."""
CORE_READS_PER_S = 25e9
"""Bytes that one core reads per second at most while it decodes (22e9-25e9 measured with 1.1 B and 3.4 B models)."""
EXPERT_PROMPT_FACTOR = 2.0
"""Prompts of models with experts reach half the rate of dense ones; cautious, not measured."""
LAYER_S = 120e-6
"""Fixed cost of a block on the processor: 90-150 microseconds measured with SmolLM2 and a 1.1 B model on two cores."""
WEIGHTS_PER_S = 25e9
"""Weights that one core multiplies per second in the 4-bit formats with AVX2 or NEON."""
WEIGHTS_PER_S_NEW = 40e9
"""The same for cores of the newest generations (44e9 measured on a 2024 server core); told by their instruction sets."""
WEIGHTS_PER_S_OLD = 8e9
"""The same without AVX2: a third (29 against 89 tokens per second measured)."""
HEAD_POSITION_S = {KvType.F16: 58e-9, KvType.Q8_0: 38e-9, KvType.Q4_0: 30e-9}
"""What one core takes for one position in one head, whatever the size of the head: what SmolLM2's speeds at depth come to on a
2024 server core (f16 between 32e-9 and 85e-9, q8_0 between 28e-9 and 45e-9 from day to day, as others use its memory), and q4_0
as much less than q8_0 as it was on a busy core. Every head reads its own part of the cache, also where heads share it."""
PRODUCT_S = {KvType.F16: 0.03e-9, KvType.Q8_0: 0.1e-9, KvType.Q4_0: 0.3e-9}
"""What one core takes in addition for each element of the head's key and value."""
PROMPT_HEAD_POSITION_S = {KvType.F16: 4e-9, KvType.Q8_0: 30e-9, KvType.Q4_0: 24e-9}
"""`HEAD_POSITION_S` while a prompt is read: f16 caches are multiplied in tiles, the others row by row as in decoding."""
PROMPT_PRODUCT_S = {KvType.F16: 0.042e-9, KvType.Q8_0: 0.13e-9, KvType.Q4_0: 0.4e-9}
"""`PRODUCT_S` while a prompt is read."""
USUAL_BYTES_PER_WEIGHT = 0.6
"""Of Q4_K_M, for models that do not say how many weights they have."""
_NEW_CORES = frozenset({"avx512f", "avx_vnni", "avxvnni", "avx512_vnni", "i8mm"})

COMPUTE_SHARE = {
    "F32": 0.5, "F16": 0.5, "BF16": 0.5, "Q6_K": 0.8, "IQ4_XS": 0.7, "IQ4_NL": 0.7, "Q3_K_L": 0.77, "Q3_K_M": 0.77,
    "Q3_K_S": 0.77, "IQ3_M": 0.27, "IQ3_S": 0.27, "IQ3_XS": 0.27, "IQ3_XXS": 0.27, "IQ2_M": 0.4, "IQ2_S": 0.4, "IQ2_XS": 0.4,
    "IQ2_XXS": 0.4, "IQ1_M": 0.4, "IQ1_S": 0.4,
}
"""Weights per second of a core against Q4_K. Measured with one core and a 1.1 B model; F16, BF16, F32 and IQ1: cautious."""


def cpu_cost(
    share: Share, memory: ModelMemory, kv_type: KvType, label: str, hardware: HardwareReport,
) -> DeviceCost | None:
    """What a token costs on the processor's part of a plan; None where the speed of main memory was not measured."""
    read_per_s = read_bandwidth(hardware)
    if read_per_s <= 0:
        return None
    cores = max(1, hardware.cpu.physical_cores)
    attention = attention_of(memory, share.start, share.stop, kv_type)
    weights_bytes = active_bytes(share, memory)
    read_s = (weights_bytes + state_bytes(share, memory)) / read_per_s
    core_per_s = core_rate(hardware.cpu)
    rate = cores * core_per_s * COMPUTE_SHARE.get(base_label(label), 1.0)
    compute_s = weights_bytes / (bytes_per_weight(memory) or USUAL_BYTES_PER_WEIGHT) / rate
    position_s = _position_s(memory, kv_type, cores) * _slowness(core_per_s)
    blocks = share.stop - share.start + share.expert_blocks
    token = TokenCost(
        read_s=read_s, compute_s=max(0.0, compute_s - read_s), fixed_s=blocks * LAYER_S,
        per_position_s=max(attention.full_bytes / read_per_s, attention.full_layers * position_s),
        per_window_position_s=max(attention.window_bytes / read_per_s, attention.window_layers * position_s),
        window=attention.window)
    return DeviceCost(
        device=share.budget.name, kind="cpu", token=token, spread=SPREAD,
        prompt=_prompt_cost(share, memory, kv_type, attention, (cores, core_per_s)), prompt_spread=PROMPT_SPREAD)


def read_bandwidth(hardware: HardwareReport) -> float:
    """Bytes per second that the processor reads from main memory; 0.0 where copying was not measured."""
    copied = hardware.memory.bandwidth_bytes_per_s or 0.0
    return min(copied * READS_PER_COPY, max(1, hardware.cpu.physical_cores) * CORE_READS_PER_S)


def core_rate(cpu: Cpu) -> float:
    """Weights that one core multiplies per second in the 4-bit formats."""
    sets = set(cpu.instruction_sets)
    if sets & _NEW_CORES:
        return WEIGHTS_PER_S_NEW
    is_x86 = cpu.architecture.lower() in ("x86_64", "amd64", "x86", "i686")
    return WEIGHTS_PER_S_OLD if is_x86 and sets and "avx2" not in sets else WEIGHTS_PER_S


def _slowness(core_per_s: float) -> float:
    """How much longer attention takes than on the cores where it was measured; newer ones are not known to differ."""
    return max(1.0, WEIGHTS_PER_S / core_per_s)


def _position_s(memory: ModelMemory, kv_type: KvType, cores: int) -> float:
    """Seconds for one position in one layer. f16 caches are split by position, the others by head (ops.cpp of ggml-cpu)."""
    heads = memory.geometry.n_head
    working = cores if kv_type is KvType.F16 else max(1, min(cores, heads))
    return heads * (HEAD_POSITION_S[kv_type] + 2 * memory.geometry.head_dim * PRODUCT_S[kv_type]) / working


def _prompt_cost(
    share: Share, memory: ModelMemory, kv_type: KvType, attention: Attention, cores: tuple[int, float],
) -> TokenCost | None:
    """One token of a prompt. A core multiplies about as many weights per second as in decoding (28e9-72e9 measured on a 2024
    server core). `cores`: how many, and the weights per second of each."""
    weights = block_weights(share, memory)
    if weights is None:
        return None
    count, core_per_s = cores
    factor = EXPERT_PROMPT_FACTOR if memory.geometry.n_expert else 1.0
    heads = memory.geometry.n_head
    head_s = PROMPT_HEAD_POSITION_S[kv_type] + 2 * memory.geometry.head_dim * PROMPT_PRODUCT_S[kv_type]
    position_s = heads * head_s * _slowness(core_per_s) / count
    return TokenCost(
        compute_s=factor * weights / (count * core_per_s), per_position_s=attention.full_layers * position_s,
        per_window_position_s=attention.window_layers * position_s, window=attention.window)

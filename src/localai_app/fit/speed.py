"""How fast a placed model would answer: tokens per second from bandwidths and fixed costs, with an honest range.

One token reads the active weights and the filled part of the cache once, so on each device
`time = bytes read / usable bandwidth + cost per layer`, and times of devices add up, since layers run one after the other.
"""

from __future__ import annotations

from localai_app.engine.protocol import KvType
from localai_app.fit.gpu_table import ASSUMED_SHARE_OF_PEAK, GpuSpec, GpuTable
from localai_app.fit.memory import ModelMemory
from localai_app.fit.placement import Placement, Share
from localai_app.fit.quality import base_label
from localai_app.fit.result import SpeedBasis, SpeedRange
from localai_app.hardware.report import Cpu, Gpu, HardwareReport, Vendor

FILLED_TOKENS = 512
"""Positions in the cache for which the speed is given: a question and its answer."""
GPU_SPREAD = 0.2
"""The formula reproduces published scoreboards within this share."""
CPU_SPREAD = 0.3
"""Processors vary more than the two figures used here can tell."""
PROMPT_SPREAD = 0.3
CPU_PROMPT_SPREAD = 0.5
READS_PER_COPY = 2.0
"""Bytes that can be read in the time of copying one where the memory is the limit: a copy reads and writes."""
CORE_READS_PER_S = 25e9
"""Bytes that one core reads per second at most while it decodes (22e9-25e9 measured with 1.1 B and 3.4 B models)."""
EXPERT_OVERHEAD_FACTOR = 2.5
"""Blocks with experts cost this much more on a GPU: 75 against 30 microseconds (gpt-oss on an RTX PRO 6000)."""
METAL_EXPERT_LAYER_S = 300e-6
"""What experts add to a block on Metal: 250-450 microseconds (50.4 tokens per second of gpt-oss-20b and 34.2 of
Qwen3.6-35B-A3B on an M2 Pro, llama.cpp's discussion of Apple Silicon)."""
RECURRENT_LAYER_S = 50e-6
"""What a recurrent state adds to a block on a GPU: 35-95 microseconds (Qwen3.6 27B and 35B-A3B on an L40S)."""
EXPERT_PROMPT_FACTOR = 4.0
"""Prompts of models with experts reach a quarter of the rate of dense ones on a GPU, because the batches of single experts
are small (gpt-oss-120b on an RTX PRO 6000, Qwen3.6-35B-A3B on an L40S)."""
CPU_EXPERT_PROMPT_FACTOR = 2.0
"""The same on the processor; cautious, not measured."""
CPU_LAYER_S = 100e-6
"""Fixed cost of a block on the processor: 90-110 microseconds measured with SmolLM2 and a 1.1 B model on two cores."""
CPU_WEIGHTS_PER_S = 25e9
"""Weights that one core multiplies per second in the 4-bit formats with AVX2 or NEON."""
CPU_WEIGHTS_PER_S_NEW = 40e9
"""The same for cores of the newest generations (44e9 measured on a 2024 server core); told by their instruction sets."""
CPU_WEIGHTS_PER_S_OLD = 8e9
"""The same without AVX2: a third (29 against 89 tokens per second measured)."""
CPU_ATTENTION_PER_S = 5e9
"""Products of attention that one core does per second over an f16 cache (3.6e9-11e9 measured, by head size)."""
_NEW_CORES = frozenset({"avx512f", "avx_vnni", "avxvnni", "avx512_vnni", "i8mm"})

BANDWIDTH_SHARE = {
    "IQ4_XS": 0.97, "Q3_K_L": 0.80, "Q3_K_M": 0.80, "Q3_K_S": 0.80, "IQ3_M": 0.75, "IQ3_S": 0.75, "IQ3_XS": 0.75,
    "IQ3_XXS": 0.75, "Q2_K": 0.71, "IQ2_M": 0.59, "IQ2_S": 0.59, "IQ2_XS": 0.59, "IQ2_XXS": 0.59, "IQ1_M": 0.59, "IQ1_S": 0.59,
}
"""Useful share of a GPU's bandwidth against Q4_K: below 4 bits unpacking costs what reading saves.

Source: tokens per second of Llama-3.1-8B per type, llama.cpp tools/quantize/README.md. IQ1: not in it, taken as IQ2.
"""
CPU_COMPUTE_SHARE = {
    "F32": 0.5, "F16": 0.5, "BF16": 0.5, "Q6_K": 0.8, "IQ4_XS": 0.7, "IQ4_NL": 0.7, "Q3_K_L": 0.77, "Q3_K_M": 0.77,
    "Q3_K_S": 0.77, "IQ3_M": 0.27, "IQ3_S": 0.27, "IQ3_XS": 0.27, "IQ3_XXS": 0.27, "IQ2_M": 0.4, "IQ2_S": 0.4, "IQ2_XS": 0.4,
    "IQ2_XXS": 0.4, "IQ1_M": 0.4, "IQ1_S": 0.4,
}
"""Weights per second of a core against Q4_K. Measured with one core and a 1.1 B model; F16, BF16, F32 and IQ1: cautious."""


def estimate_speed(
    placement: Placement, memory: ModelMemory, label: str, hardware: HardwareReport, gpus: GpuTable,
) -> SpeedRange:
    """Tokens per second of a plan, `FILLED_TOKENS` into a conversation. Basis `unknown` where a bandwidth is not known."""
    unknown = SpeedRange(low=None, high=None, basis=SpeedBasis.UNKNOWN)
    read_per_s = _read_bandwidth(hardware)
    low_s = high_s = 0.0
    for share in placement.gpus:
        seconds = _gpu_token_s(share, memory, placement.kv_type, label, gpus, read_per_s)
        if seconds is None:
            return unknown
        low_s += seconds / (1 + GPU_SPREAD)
        high_s += seconds / (1 - GPU_SPREAD)
    if placement.host.layers:
        if read_per_s <= 0:
            return unknown
        seconds = _cpu_token_s(placement.host, memory, placement.kv_type, label, hardware.cpu, read_per_s)
        low_s += seconds / (1 + CPU_SPREAD)
        high_s += seconds / (1 - CPU_SPREAD)
    if low_s <= 0:
        return unknown
    prompt_low, prompt_high = _prompt_range(placement, memory, hardware.cpu, gpus)
    return SpeedRange(
        low=1 / high_s, high=1 / low_s, basis=SpeedBasis.FORMULA, prompt_low=prompt_low, prompt_high=prompt_high)


def bytes_read_per_token(share: Share, memory: ModelMemory, kv_type: KvType) -> int:
    """Bytes that one token reads on a device: active weights and the filled cache; input tables are only looked up."""
    experts = sum(memory.weights.layers_expert_bytes[share.start : share.stop])
    geometry = memory.geometry
    idle = experts - experts * geometry.n_expert_used // geometry.n_expert if geometry.n_expert else 0
    head = memory.weights.output_bytes if share.has_head else 0
    weights = memory.weights_between(share.start, share.stop)
    return weights - idle + head + _cache_read(share, memory, kv_type)


def _cache_read(share: Share, memory: ModelMemory, kv_type: KvType) -> int:
    """Filled cache of the share's blocks in bytes."""
    filled = min(FILLED_TOKENS, memory.geometry.ctx_train or FILLED_TOKENS)
    return memory.kv_between(share.start, share.stop, filled, kv_type)


def _gpu_token_s(
    share: Share, memory: ModelMemory, kv_type: KvType, label: str, gpus: GpuTable, read_per_s: float,
) -> float | None:
    spec = _spec_of(share, gpus)
    gpu = share.budget.gpu
    bandwidth = ASSUMED_SHARE_OF_PEAK * spec.bandwidth_bytes_per_s if spec else 0.0
    if spec is None and gpu is not None and gpu.unified and gpu.vendor is not Vendor.APPLE:
        bandwidth = read_per_s
    if bandwidth <= 0:
        return None
    overhead = _layer_overhead_s(spec, gpu, memory)
    bandwidth *= BANDWIDTH_SHARE.get(base_label(label), 1.0)
    return bytes_read_per_token(share, memory, kv_type) / bandwidth + overhead * (share.stop - share.start)


def _layer_overhead_s(spec: GpuSpec | None, gpu: Gpu | None, memory: ModelMemory) -> float:
    """Fixed cost of one block on a GPU in seconds, with what experts and recurrent states add."""
    overhead = spec.layer_overhead_s if spec else CPU_LAYER_S
    if memory.geometry.n_expert:
        is_metal = gpu is not None and gpu.vendor is Vendor.APPLE
        overhead = overhead + METAL_EXPERT_LAYER_S if is_metal else overhead * EXPERT_OVERHEAD_FACTOR
    return overhead + RECURRENT_LAYER_S if memory.geometry.recurrent_state_bytes else overhead


def _cpu_token_s(
    share: Share, memory: ModelMemory, kv_type: KvType, label: str, cpu: Cpu, read_per_s: float,
) -> float:
    """Reading or computing, whichever takes longer, plus attention and the fixed cost of each block."""
    geometry = memory.geometry
    cores = max(1, cpu.physical_cores)
    read = bytes_read_per_token(share, memory, kv_type)
    weights = (read - _cache_read(share, memory, kv_type)) / _bytes_per_weight(memory)
    rate = cores * _core_rate(cpu) * CPU_COMPUTE_SHARE.get(base_label(label), 1.0)
    blocks = share.stop - share.start
    attending = len(geometry.cache_layers) * blocks / max(1, memory.blocks)
    attention = 2 * geometry.n_head * geometry.head_dim * FILLED_TOKENS * attending / (cores * CPU_ATTENTION_PER_S)
    return max(read / read_per_s, weights / rate) + attention + blocks * CPU_LAYER_S


def _read_bandwidth(hardware: HardwareReport) -> float:
    """Bytes per second that the processor reads from main memory; 0.0 where copying was not measured."""
    copied = hardware.memory.bandwidth_bytes_per_s or 0.0
    return min(copied * READS_PER_COPY, max(1, hardware.cpu.physical_cores) * CORE_READS_PER_S)


def _core_rate(cpu: Cpu) -> float:
    sets = set(cpu.instruction_sets)
    if sets & _NEW_CORES:
        return CPU_WEIGHTS_PER_S_NEW
    is_x86 = cpu.architecture.lower() in ("x86_64", "amd64", "x86", "i686")
    return CPU_WEIGHTS_PER_S_OLD if is_x86 and sets and "avx2" not in sets else CPU_WEIGHTS_PER_S


def _bytes_per_weight(memory: ModelMemory) -> float:
    params = memory.geometry.params_total
    return max(0.1, memory.weights.file_bytes / params) if params else 0.6


def _spec_of(share: Share, gpus: GpuTable) -> GpuSpec | None:
    gpu = share.budget.gpu
    return gpus.find(gpu.name, gpu.total_bytes) if gpu is not None else None


def _prompt_range(
    placement: Placement, memory: ModelMemory, cpu: Cpu, gpus: GpuTable,
) -> tuple[float | None, float | None]:
    """Prompt tokens per second: operations per token against what each device does; None where a GPU's figure is not known.

    A core multiplies about as many weights per second as in decoding (28e9-72e9 measured on a 2024 server core).
    """
    params = memory.geometry.params_active
    if not params:
        return None, None
    has_experts = bool(memory.geometry.n_expert)
    low_s = high_s = 0.0
    for share in placement.shares:
        part = share.layers / (memory.blocks + 1)
        if part == 0:
            continue
        if share.budget.kind == "cpu":
            expert_factor = CPU_EXPERT_PROMPT_FACTOR if has_experts else 1.0
            seconds = expert_factor * part * params / (max(1, cpu.physical_cores) * _core_rate(cpu))
            spread = CPU_PROMPT_SPREAD
        else:
            spec = _spec_of(share, gpus)
            if spec is None or spec.prompt_flops is None:
                return None, None
            expert_factor = EXPERT_PROMPT_FACTOR if has_experts else 1.0
            seconds, spread = expert_factor * part * 2 * params / spec.prompt_flops, PROMPT_SPREAD
        low_s += seconds / (1 + spread)
        high_s += seconds / (1 - spread)
    return 1 / high_s, 1 / low_s

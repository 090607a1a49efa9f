"""How fast a placed model would answer: tokens per second from bandwidths, operations and fixed costs, as an honest range.

One token reads the active weights once and the cache up to its depth, so on each device
`time = weights / bandwidth + cost per layer + depth * cost per position`, and times of devices add up, since layers run one
after the other. `speed_parts` gives these terms, which a measurement on this computer can correct.
"""

from __future__ import annotations

from localai_app.fit.cpu_speed import cpu_cost, read_bandwidth
from localai_app.fit.gpu_speed import gpu_cost
from localai_app.fit.gpu_table import GpuTable
from localai_app.fit.memory import ModelMemory
from localai_app.fit.result import SpeedBasis, SpeedRange
from localai_app.fit.shares import Placement
from localai_app.fit.speed_parts import SpeedParts
from localai_app.hardware.report import HardwareReport

FILLED_TOKENS = 512
"""Positions in the cache for which the speed is given: a question and its answer."""
UNKNOWN_SPEED = SpeedRange(low=None, high=None, basis=SpeedBasis.UNKNOWN)


def speed_parts(
    placement: Placement, memory: ModelMemory, label: str, hardware: HardwareReport, gpus: GpuTable,
) -> SpeedParts | None:
    """What a token of a plan costs on each of its devices; None where a bandwidth is not known."""
    read_per_s = read_bandwidth(hardware)
    costs = [gpu_cost(share, memory, placement.kv_type, label, gpus, read_per_s) for share in placement.gpus]
    if placement.host.layers or placement.host.expert_bytes:
        costs.append(cpu_cost(placement.host, memory, placement.kv_type, label, hardware))
    known = tuple(cost for cost in costs if cost is not None)
    return SpeedParts(known) if known and len(known) == len(costs) else None


def speed_range(
    parts: SpeedParts, ctx: int, depth_tokens: int = FILLED_TOKENS, basis: SpeedBasis = SpeedBasis.FORMULA,
) -> SpeedRange:
    """The parts as tokens per second: `depth_tokens` into a conversation, and where a context of `ctx` tokens is full."""
    early, full = parts.token_range(min(depth_tokens, ctx)), parts.token_range(ctx)
    if early is None or full is None:
        return UNKNOWN_SPEED
    prompt = parts.prompt_range(max(1, min(FILLED_TOKENS, ctx))) or (None, None)
    full_prompt = parts.prompt_range(max(1, ctx)) or (None, None)
    return SpeedRange(
        low=early[0], high=early[1], basis=basis, prompt_low=prompt[0], prompt_high=prompt[1], full_low=full[0],
        full_high=full[1], full_prompt_low=full_prompt[0], full_prompt_high=full_prompt[1])

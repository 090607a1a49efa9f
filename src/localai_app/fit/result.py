"""The answer to "does it fit, and how fast?" as a value with its parts and its reasons."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from localai_app.engine.protocol import KvType, LoadOptions
from localai_app.fit.planned import PlannedMemory
from localai_app.fit.speed_parts import SpeedParts
from localai_app.gguf.geometry import Geometry, Weights
from localai_app.units import format_speed_range


class Verdict(StrEnum):
    """Where a model would run."""

    GPU = "gpu"
    GPU_PARTIAL = "gpu_partial"
    CPU = "cpu"
    NO = "no"
    UNKNOWN = "unknown"


VERDICT_WORDS: dict[Verdict, str] = {
    Verdict.GPU: "runs fully on the GPU",
    Verdict.GPU_PARTIAL: "runs partly on the GPU, slower",
    Verdict.CPU: "runs on the CPU",
    Verdict.NO: "will not run",
    Verdict.UNKNOWN: "not known whether it runs",
}
"""Every verdict as a phrase for people."""


class Basis(StrEnum):
    """Where the memory figures come from, best first."""

    DRY_RUN = "dry_run"
    HEADER = "header"
    CATALOG = "catalog"


WORTH_TELLING = 0.9
"""A full context that leaves more than this share of the speed is not worth a sentence."""


class SpeedBasis(StrEnum):
    """Where the speed comes from, best first."""

    MEASURED_HERE = "measured_here"
    CALIBRATED = "calibrated"
    FORMULA = "formula"
    UNKNOWN = "unknown"


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """A model as `fit` sees it."""

    name: str
    geometry: Geometry
    weights: Weights
    basis: Basis
    label: str = ""
    """Quantization label (Q4_K_M), which decides how much of the bandwidth decoding can use."""
    key: str = ""
    """What an installed model of this file is called (owner/repo:LABEL, or its path), by which measurements know it."""
    model_path: str = ""
    planned: PlannedMemory | None = None
    """llama.cpp's own figures, used instead of formulas."""


DRAFT_BY_LOOKUP = "lookup"
"""In a request: tokens are drafted from what stood in the conversation before."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What the user asks for; None means: choose for me."""

    ctx: int | None = None
    kv_type: KvType = KvType.F16
    gpu_layers: int | None = None
    default_ctx: int = 8192
    """Used where `ctx` is None; shrunk to 4,096 at the least where memory is short."""
    ubatch: int = 512
    credit_bytes: int = 0
    """Main memory that a model about to be unloaded gives back."""
    device_credits: tuple[tuple[str, int], ...] = ()
    """(name of a GPU or llama.cpp's name for it, bytes) that it gives back there."""
    excluded_devices: tuple[str, ...] = ()
    """GPUs not to use, by their names or by llama.cpp's names for them."""
    main_device: str = ""
    """The GPU that is used alone where a model fits on it, by its name or llama.cpp's; empty: the one with most room."""
    tensor_split: tuple[float, ...] = ()
    """In which proportion the GPUs that are used share the layers, in their order; empty: as fits best."""
    experts_on_cpu: int | None = None
    """Experts of so many blocks, from the first one, stay in main memory; None: as few as it takes."""
    draft: str = ""
    """Who drafts tokens: nobody, `lookup`, or the key of an installed model, whose memory `services.drafting` takes off."""
    with_projector: bool = False
    """Count the image or audio part, on the device of the output head, as if it were loaded."""


class DeviceNeed(msgspec.Struct, frozen=True, kw_only=True):
    """What the model takes on one device against what is free there, in bytes."""

    name: str
    kind: str
    """gpu or cpu."""
    layers: int
    weights_bytes: int
    kv_bytes: int
    compute_bytes: int
    free_bytes: int
    reserve_bytes: int
    total_bytes: int
    """Sum of the three needs and of `overhead_bytes`."""
    engine_name: str = ""
    """llama.cpp's name for it (CUDA0); empty for main memory, and where llama.cpp was not asked."""
    expert_blocks: int = 0
    """Main memory: blocks on GPUs whose experts lie here."""
    repacked_bytes: int = 0
    """Part of the weights that the processor holds rearranged; their originals in the file are not counted."""
    capacity_bytes: int = 0
    """All the memory that the device has; 0 where it is not known."""
    overhead_bytes: int = 0
    """What the process takes beyond llama.cpp's buffers: the tokenizer's tables, and what earlier loads here showed."""
    shares_host: bool = False
    """Its memory is main memory."""


class SpeedRange(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens per second early in a conversation; None where the basis is `unknown`, or nothing tells it."""

    low: float | None
    high: float | None
    basis: SpeedBasis
    prompt_low: float | None = None
    prompt_high: float | None = None
    """A prompt of 512 tokens."""
    full_low: float | None = None
    full_high: float | None = None
    """An answer that ends with the whole context in use."""
    full_prompt_low: float | None = None
    full_prompt_high: float | None = None
    """A prompt as long as the whole context, on average."""


def slowdown_words(speed: SpeedRange) -> str:
    """How fast an answer is where the whole context is in use, as a sentence; empty where that is hardly slower or unknown."""
    if speed.low is None or speed.high is None or speed.full_low is None or speed.full_high is None:
        return ""
    if speed.full_low + speed.full_high > WORTH_TELLING * (speed.low + speed.high):
        return ""
    pace = format_speed_range(speed.full_low, speed.full_high)
    return f"Answers slow down as a conversation grows: {pace} in a full context."


class FitResult(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer. `load_options` is None where the verdict is `no` or `unknown`."""

    verdict: Verdict
    basis: Basis
    ctx: int
    kv_type: KvType
    weights_bytes: int
    kv_bytes: int
    compute_bytes: int
    total_bytes: int
    devices: tuple[DeviceNeed, ...]
    max_ctx: dict[str, int]
    """Longest context that fits, per KV type (keys f16, q8_0, q4_0); 0 where none does."""
    speed: SpeedRange
    reasons: tuple[str, ...]
    """Whole sentences with their numbers."""
    remedies: tuple[str, ...] = ()
    """What would make it fit (or fit better), whole sentences."""
    load_options: LoadOptions | None = None
    overhead_bytes: int = 0
    """Part of the total on all devices that llama.cpp's buffers do not hold."""
    tokenizer_bytes: int = 0
    """The part of it that is the tokenizer's tables."""
    speed_parts: SpeedParts | None = None
    """What a token costs by the formula, before any correction; None where a bandwidth is not known."""

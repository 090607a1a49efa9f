"""What the question “why is it slow?” looks at, and what its answers are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from localai_app.engine.protocol import Loaded, LoadOptions
from localai_app.hardware.conditions import Conditions
from localai_app.hardware.report import Gpu, HardwareReport
from localai_app.services.load_settings import LoadSettings
from localai_app.units import GIB

LEAST_GPU_BYTES = 2 * GIB
"""A smaller GPU would not make models faster."""


class Cause(StrEnum):
    """What makes it slow, by a stable name."""

    CPU_ONLY_BUILD = "cpu_only_build"
    GPU_LEFT_ALONE = "gpu_left_alone"
    PARTIAL_OFFLOAD = "partial_offload"
    TOO_LARGE_FOR_GPU = "too_large_for_gpu"
    MEMORY_SPILL = "memory_spill"
    THREADS = "threads"
    OTHER_PROGRAMS = "other_programs"
    POWER_SAVING = "power_saving"
    HEAT = "heat"
    GPU_POWER_LIMIT = "gpu_power_limit"
    LONG_CONTEXT = "long_context"
    QUANTIZED_CONTEXT = "quantized_context"
    SLOW_ENGINE = "slow_engine"


class SlowRemedy(StrEnum):
    """What the button beside a finding does."""

    LOAD_WITH = "load_with"
    """Remember `load` for the model and load it again."""
    CHANGE_SETTING = "change_setting"
    """Set `setting` to `value` and load the model again."""
    NEW_CHAT = "new_chat"
    SMALLER_VARIANT = "smaller_variant"
    """Show the variants of the model."""
    UNLOAD_OTHERS = "unload_others"
    RUN_BENCHMARK = "run_benchmark"
    LOOK_AGAIN = "look_again"
    COPY_COMMAND = "copy_command"
    """Copy `command`, for a terminal."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One cause with its figures as a sentence, what helps as another one, and the button that does it."""

    cause: Cause
    words: str
    advice: str
    remedy: SlowRemedy
    button: str
    load: LoadSettings | None = None
    setting: str = ""
    value: int = 0
    command: str = ""


@dataclass(frozen=True, slots=True)
class SpeedSnapshot:
    """Everything that the rules look at. Without a loaded model only the computer is looked at."""

    report: HardwareReport
    conditions: Conditions = field(default_factory=Conditions)
    model_name: str = ""
    options: LoadOptions | None = None
    loaded: Loaded | None = None
    host_weights_bytes: int = 0
    """Of the model in main memory."""
    depth: int = 0
    """Tokens in the context."""
    tps: float | None = None
    """Of the last answer."""
    expected_tps: tuple[float, float] | None = None
    """Predicted at that depth: low, high."""
    depth_factor: float = 1.0
    """How many times as long a token takes at that depth as at the start of a chat, by the prediction."""
    threads_setting: int = 0
    """0: automatic."""
    load_settings: LoadSettings = field(default_factory=LoadSettings)
    """What is remembered for the model."""
    layers_setting: int = -1
    """The program's setting; -1: automatic."""
    full_offload: LoadSettings | None = None
    """With what the model would run on GPUs as a whole; None: with nothing, or it does."""
    exact_context_fits: bool = False
    """Whether the context would also fit in 16 bit, with as many layers on GPUs."""
    other_models: int = 0
    """Loaded beside it."""
    gpu_command: str = ""
    """What builds an engine that uses the GPU; empty where nothing can be built here."""

    @property
    def computes_on_processor(self) -> bool:
        """Whether the processor has a part in each token."""
        return self.loaded is not None and self.loaded.gpu_layers < self.loaded.n_layer

    @property
    def usable_gpus(self) -> tuple[Gpu, ...]:
        """GPUs that are large enough to help."""
        return tuple(gpu for gpu in self.report.gpus if (gpu.total_bytes or 0) >= LEAST_GPU_BYTES)

    @property
    def engine_has_gpu(self) -> bool | None:
        """Whether llama.cpp lists a GPU; None where it was not asked."""
        devices = self.report.engine_devices
        return None if devices is None else any(device.kind in ("gpu", "integrated_gpu") for device in devices)

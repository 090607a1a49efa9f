"""How far a measurement of losses, or a re-quantization, is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from localai_app.compare.loss import LossResult
from localai_app.engine.scoring import TensorFallback
from localai_app.errors import AppError


class LossStatus(StrEnum):
    """What the service is doing."""

    NONE = "none"
    LOADING = "loading"
    """The reference and the variant."""
    SCORING = "scoring"
    DONE = "done"
    """At least one variant has a result."""
    FAILED = "failed"
    STOPPED = "stopped"
    """What was measured until then is kept."""


@dataclass(frozen=True, slots=True)
class LossFailure:
    """A variant that could not be measured, and why."""

    variant_key: str
    error: AppError


@dataclass(frozen=True, slots=True)
class LossState:
    """The measurement that runs, or the last one."""

    status: LossStatus = LossStatus.NONE
    reference_key: str = ""
    variant_keys: tuple[str, ...] = ()
    variant_key: str = ""
    """The one that is being measured."""
    text_name: str = ""
    fraction: float = 0.0
    """Of all variants together."""
    left_s: float | None = None
    """For all that is left; None: not known yet."""
    results: tuple[LossResult, ...] = ()
    """Of this measurement, in the order of the variants."""
    failures: tuple[LossFailure, ...] = ()
    error: AppError | None = None
    """With FAILED: why there is no result at all."""

    @property
    def is_running(self) -> bool:
        """Whether it can be stopped."""
        return self.status in (LossStatus.LOADING, LossStatus.SCORING)


class QuantizingStatus(StrEnum):
    """What became of a re-quantization."""

    NONE = "none"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    """Nothing is left of it."""


@dataclass(frozen=True, slots=True)
class QuantizingState:
    """The re-quantization that runs, or the last one."""

    status: QuantizingStatus = QuantizingStatus.NONE
    model_key: str = ""
    label: str = ""
    """The one that is being made."""
    fraction: float = 0.0
    """By weights."""
    left_s: float | None = None
    made_key: str = ""
    """Of the new model, with DONE."""
    size_bytes: int = 0
    """Of the new file, as llama.cpp planned it or as it is."""
    fallbacks: tuple[TensorFallback, ...] = ()
    """Tensors that have another type than they should have had, because their rows do not fill its blocks."""
    error: AppError | None = None

    @property
    def is_running(self) -> bool:
        """Whether it can be stopped."""
        return self.status is QuantizingStatus.RUNNING

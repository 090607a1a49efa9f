"""Measurements for people: what was predicted, what came, and how far that was off; in rows, and in one sentence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from localai_app.fit.calibration import typical_error
from localai_app.store.records import Measurement
from localai_app.units import format_count, format_gib, format_speed

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class MeasurementRow:
    """One figure: of a load its memory, of an answer its speed or that of its prompt."""

    model: str
    where: str
    what: str
    predicted: str
    measured: str
    error: float | None
    """Predicted against measured, as a share: 0.1 is a tenth too much; None where nothing was predicted."""

    @property
    def error_words(self) -> str:
        """The error in percent with its sign; empty where there is none."""
        return "" if self.error is None else f"{self.error:+.1%}" if abs(self.error) < 0.0995 else f"{self.error:+.0%}"


def measurement_rows(measurements: Iterable[Measurement]) -> tuple[MeasurementRow, ...]:
    """One to two rows for each measurement, in their order."""
    rows: list[MeasurementRow] = []
    for one in measurements:
        model, where = one.model_name or one.model_key, _where(one)
        if one.predicted_bytes is not None and one.measured_bytes is not None:
            rows.append(MeasurementRow(
                model, where, f"Load with {format_count(one.ctx)} tokens", format_gib(one.predicted_bytes),
                format_gib(one.measured_bytes), _error(one.predicted_bytes, one.measured_bytes)))
        if one.measured_tps is not None:
            rows.append(MeasurementRow(
                model, where, f"Answer, {format_count(one.depth)} tokens in", _speed(one.predicted_tps),
                format_speed(one.measured_tps), _error(one.predicted_tps, one.measured_tps)))
        if one.measured_prompt_tps is not None:
            rows.append(MeasurementRow(
                model, where, f"Prompt of {format_count(one.prompt_tokens)} tokens", _speed(one.predicted_prompt_tps),
                format_speed(one.measured_prompt_tps), _error(one.predicted_prompt_tps, one.measured_prompt_tps)))
    return tuple(rows)


def summary_words(measurements: tuple[Measurement, ...]) -> str:
    """How far predictions were off, as one sentence; what to do where there is none."""
    memory = typical_error((one.predicted_bytes, one.measured_bytes) for one in measurements)
    speed = typical_error((one.predicted_tps, one.measured_tps) for one in measurements)
    if memory is None and speed is None:
        return "Nothing was measured yet: load a model and ask it something."
    parts = []
    if memory is not None:
        parts.append(f"{memory:.1%} for memory")
    if speed is not None:
        parts.append(f"{speed:.0%} for speed")
    return f"Predictions were typically off by {' and '.join(parts)}."


def _where(one: Measurement) -> str:
    gpus = " and ".join(dict.fromkeys(one.gpus))
    place = "Processor" if not gpus else gpus if one.place == "gpu" else f"{gpus} and processor"
    return place if one.kv_type == "f16" else f"{place}, {one.kv_type}"


def _speed(tps: float | None) -> str:
    return format_speed(tps) if tps is not None else UNKNOWN


def _error(predicted: float | None, measured: float) -> float | None:
    return predicted / measured - 1 if predicted is not None and measured > 0 else None

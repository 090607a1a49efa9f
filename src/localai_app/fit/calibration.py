"""What was measured on this computer corrects what is predicted for it: pure functions from pairs to factors.

Of the very model, in the same place with the same KV type, the measured times decide both terms of the cost of a token
(`TokenCost.fitted`). Other models on the same devices share one factor: the median of their ratios of measured to calculated
time, in the logarithm, drawn towards 1 while there are few. Memory is only ever corrected upwards: llama.cpp's plan is exact
for its own buffers, and what comes on top is the process's (libraries, the driver's context).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from localai_app.fit.result import SpeedBasis
from localai_app.fit.speed_parts import DeviceCost, SpeedParts, Spread, TokenCost
from localai_app.store.records import Measurement

OWN_ANSWERS = 40
"""Of the very model, so many of the newest answers count."""
OWN_SPREAD = 0.05
"""How far an answer may be from earlier ones like it, at the least."""
OTHERS_SPREAD = 0.1
"""How far another model may be from a corrected prediction, at the least."""
MAX_SPREAD = 0.6
NARROWING = 0.6
"""The share of the formula's range that measurements of many other models take away."""
FIRST_MODEL = 0.5
"""The weight of one model's factor is `1 / (1 + FIRST_MODEL)`: two thirds, and a third where it answered once."""
OTHER_KV_WEIGHT = 0.5
"""Measurements with another KV type count half."""
MAX_LOG_RATIO = math.log(20)
"""A measured speed that is twenty times off says that something else was measured."""
OVERHEAD_LOADS = 30
_DEPTH_STEP = 64


@dataclass(frozen=True, slots=True)
class Run:
    """What decides the speed of a plan on one computer."""

    model_key: str
    processor: str
    gpus: tuple[str, ...]
    """Names of those that hold layers, in the order of the plan."""
    place: str
    """gpu, gpu_partial or cpu."""
    gpu_layers: int
    kv_type: str
    expert_blocks: int = 0
    """Blocks on GPUs whose experts lie in main memory."""


class CorrectedSpeed(msgspec.Struct, frozen=True):
    """Parts after correction. `reason`: which measurements were used, a whole sentence; empty where none were."""

    parts: SpeedParts | None
    basis: SpeedBasis
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Factor:
    """How many times as long as calculated, from so many answers; `weight` 0 to 1, `scatter` in the logarithm."""

    value: float
    weight: float
    scatter: float
    answers: int


_Devices = tuple[str, tuple[str, ...], str]
_NO_FACTOR = Factor(1.0, 0.0, 0.0, 0)


class Calibration:
    """The measurements of this computer, newest first, ready to correct predictions; never changes."""

    def __init__(self, measurements: Iterable[Measurement] = ()) -> None:
        sound = [one for one in measurements if _is_sound(one)]
        self._answers: dict[_Devices, list[Measurement]] = {}
        self._own: dict[Run, list[Measurement]] = {}
        self._factors: dict[tuple[_Devices, str], tuple[Factor | None, Factor | None]] = {}
        for one in sound:
            if one.measured_tps is not None or one.measured_prompt_tps is not None:
                self._answers.setdefault((one.processor, one.gpus, one.place), []).append(one)
                self._own.setdefault(_run_of(one), []).append(one)
        loads = [one for one in sound if one.host_overhead_bytes is not None]
        self.has_loads = bool(loads)
        self._host_overheads = {
            has_gpu: [one.host_overhead_bytes or 0 for one in loads if bool(one.gpus) is has_gpu] for has_gpu in (False, True)}
        self._gpu_overheads: dict[str, list[int]] = {}
        for one in loads:
            for name in one.gpus if one.gpu_overhead_bytes is not None else ():
                self._gpu_overheads.setdefault(name, []).append(one.gpu_overhead_bytes or 0)

    def speed(self, run: Run, parts: SpeedParts | None) -> CorrectedSpeed:
        """The parts of a plan as corrected by what was measured in the same place; unchanged where nothing was."""
        devices = (run.processor, run.gpus, run.place)
        if devices not in self._answers:
            return CorrectedSpeed(parts, SpeedBasis.UNKNOWN if parts is None else SpeedBasis.FORMULA)
        token, prompt = self._factors_of(devices, run.kv_type)
        own = self._own.get(run, [])[:OWN_ANSWERS] if run.model_key else []
        if any(one.measured_tps is not None for one in own):
            return _by_own(own, prompt, parts)
        if parts is None or token is None:
            return CorrectedSpeed(parts, SpeedBasis.UNKNOWN if parts is None else SpeedBasis.FORMULA)
        corrected = SpeedParts(tuple(_corrected(device, token, prompt or _NO_FACTOR) for device in parts.devices))
        reason = (
            f"The speed is corrected by {_answers(token.answers)} measured on this computer: "
            f"{1 / token.value:.2f} times the formula.")
        return CorrectedSpeed(corrected, SpeedBasis.CALIBRATED, reason)

    def _factors_of(self, devices: _Devices, kv_type: str) -> tuple[Factor | None, Factor | None]:
        """Of generation and of prompts; worked out once."""
        found = self._factors.get((devices, kv_type))
        if found is None:
            answers = self._answers[devices]
            found = self._factors[(devices, kv_type)] = token_factor(answers, kv_type), prompt_factor(answers, kv_type)
        return found

    def host_overhead_bytes(self, *, has_gpu: bool) -> int:
        """Main memory that loads took here beyond what was calculated."""
        return typical_overhead(self._host_overheads[has_gpu])

    def gpu_overhead_bytes(self, name: str, expected_bytes: int = 0) -> int:
        """Memory of a GPU that loads took beyond llama.cpp's buffers: the driver's context. `expected_bytes` before any."""
        return typical_overhead(self._gpu_overheads.get(name, []), expected_bytes)


NO_CALIBRATION = Calibration()


def token_factor(answers: Sequence[Measurement], kv_type: str) -> Factor | None:
    """The factor of generation over models, those with the same KV type if there are any."""
    return _factor([(one, one.formula_tps, one.measured_tps) for one in answers], kv_type)


def prompt_factor(answers: Sequence[Measurement], kv_type: str) -> Factor | None:
    """The same of reading prompts."""
    return _factor([(one, one.formula_prompt_tps, one.measured_prompt_tps) for one in answers], kv_type)


def typical_overhead(overheads: Sequence[int], expected_bytes: int = 0) -> int:
    """The median of the newest ones in bytes, nearer to what was expected the fewer there are; never negative."""
    newest = overheads[:OVERHEAD_LOADS]
    if not newest:
        return expected_bytes
    return max(0, round((statistics.median(newest) * len(newest) + expected_bytes) / (len(newest) + 1)))


def typical_error(pairs: Iterable[tuple[float | None, float | None]]) -> float | None:
    """The median of the relative errors of (predicted, measured) pairs; None without a whole pair."""
    errors = [
        abs(predicted / measured - 1) for predicted, measured in pairs
        if predicted is not None and measured is not None and measured > 0]
    return statistics.median(errors) if errors else None


def _by_own(own: Sequence[Measurement], others: Factor | None, parts: SpeedParts | None) -> CorrectedSpeed:
    """What the very model did here: its times by depth, and between and beyond them the formula's shape."""
    points = _by_depth([(one.depth, 1 / one.measured_tps) for one in own if one.measured_tps])
    answers = sum(one.measured_tps is not None for one in own)
    depths = [depth for depth, _seconds in points]
    if parts is None:
        return CorrectedSpeed(_line_through(points), SpeedBasis.MEASURED_HERE, _own_reason(answers, depths, None))
    token, deep = parts.token, max(1.0, *depths)
    fitted = token.fitted(points)
    base, depth = _ratio(fitted.base_s, token.base_s), _ratio(fitted.depth_s(deep), token.depth_s(deep))
    spread = _own_spread(fitted, points)
    prompt, prompt_spread = _own_prompt(own, others)
    devices = tuple(
        msgspec.structs.replace(
            device, token=device.token.scaled(base, depth),
            spread=Spread(spread, spread if len(points) > 1 else device.spread.depth),
            prompt=device.prompt.scaled(prompt, prompt) if device.prompt is not None else None,
            prompt_spread=prompt_spread or device.prompt_spread)
        for device in parts.devices)
    times = token.at(statistics.median(depths)) / fitted.at(statistics.median(depths))
    return CorrectedSpeed(SpeedParts(devices), SpeedBasis.MEASURED_HERE, _own_reason(answers, depths, times))


def _line_through(points: Sequence[tuple[float, float]]) -> SpeedParts:
    """The least squares line in the depth where there is no formula; a constant where only one depth is known."""
    deepest = max(1.0, *(depth for depth, _seconds in points))
    shape = TokenCost(read_s=1.0, per_position_s=1.0 / deepest if len(points) > 1 else 0.0)
    cost = shape.fitted(points, ratio_is_known=False)
    spread = _own_spread(cost, points)
    return SpeedParts((DeviceCost("measured", "gpu", cost, Spread(spread, spread)),))


def _ratio(corrected: float, formula: float) -> float:
    return corrected / formula if formula > 0 else 1.0


def _own_prompt(own: Sequence[Measurement], others: Factor | None) -> tuple[float, float]:
    """(factor of the prompt's time, spread) of the very model, else of the others, whose spread is 0.0: the formula's."""
    logs = [
        math.log(one.formula_prompt_tps / one.measured_prompt_tps)
        for one in own if one.formula_prompt_tps and one.measured_prompt_tps]
    if not logs:
        return (others.value if others else 1.0), 0.0
    middle = statistics.median(logs)
    scatter = statistics.median(abs(value - middle) for value in logs)
    return math.exp(middle), min(MAX_SPREAD, max(OTHERS_SPREAD, scatter))


def _by_depth(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The median (depth, seconds) of each doubling of the depth, so that one busy moment does not bend the line."""
    buckets: dict[int, list[tuple[float, float]]] = {}
    for depth, seconds in points:
        buckets.setdefault(int(math.log2(depth / _DEPTH_STEP + 1)), []).append((depth, seconds))
    return [
        (statistics.median(depth for depth, _s in bucket), statistics.median(seconds for _d, seconds in bucket))
        for _number, bucket in sorted(buckets.items())]


def _own_spread(cost: TokenCost, points: Sequence[tuple[float, float]]) -> float:
    rest = [abs(math.log(cost.at(depth) / seconds)) for depth, seconds in points]
    return min(MAX_SPREAD, max(OWN_SPREAD, *rest))


def _own_reason(answers: int, depths: Sequence[float], times: float | None) -> str:
    first, last = round(min(depths)), round(max(depths))
    where = f"{first:,}" if first == last else f"{first:,} to {last:,}"
    formula = f": {times:.2f} times the formula" if times is not None else ""
    return f"The speed was measured on this computer in {_answers(answers)} of this model, {where} tokens into a chat{formula}."


def _answers(count: int) -> str:
    return "1 answer" if count == 1 else f"{count} answers"


def _factor(triples: Sequence[tuple[Measurement, float | None, float | None]], kv_type: str) -> Factor | None:
    """The median of the models' medians, drawn towards 1 by its weight."""
    ratios: dict[str, dict[str, list[float]]] = {}
    for one, formula_tps, measured_tps in triples:
        if formula_tps and measured_tps:
            ratios.setdefault(one.kv_type, {}).setdefault(one.model_key, []).append(math.log(formula_tps / measured_tps))
    same = ratios.get(kv_type)
    by_model = same or next(iter(ratios.values()), None)
    if not by_model:
        return None
    middles = [statistics.median(values) for values in by_model.values()]
    middle = statistics.median(middles)
    models = sum(len(values) / (len(values) + 1) for values in by_model.values())
    weight = models / (models + FIRST_MODEL) * (1.0 if same else OTHER_KV_WEIGHT)
    scatter = statistics.median(abs(value - middle) for value in middles)
    return Factor(math.exp(middle * weight), weight, scatter, sum(map(len, by_model.values())))


def _corrected(device: DeviceCost, token: Factor, prompt: Factor) -> DeviceCost:
    return msgspec.structs.replace(
        device, token=device.token.scaled(token.value, token.value),
        spread=Spread(_narrowed(device.spread.base, token), _narrowed(device.spread.depth, token)),
        prompt=device.prompt.scaled(prompt.value, prompt.value) if device.prompt is not None else None,
        prompt_spread=_narrowed(device.prompt_spread, prompt) if device.prompt is not None else 0.0)


def _narrowed(spread: float, factor: Factor) -> float:
    """The formula's range, narrower the more is known, but never narrower than the models scatter."""
    narrowed = max(OTHERS_SPREAD, factor.scatter, spread * (1 - NARROWING * factor.weight))
    return min(max(spread, factor.scatter), narrowed, MAX_SPREAD) if spread > 0 else 0.0


def _run_of(one: Measurement) -> Run:
    return Run(one.model_key, one.processor, one.gpus, one.place, one.gpu_layers, one.kv_type, one.expert_blocks)


def _is_sound(one: Measurement) -> bool:
    """Whether its figures can be true: positive, and not so far off that something else must have been measured."""
    for formula, measured in ((one.formula_tps, one.measured_tps), (one.formula_prompt_tps, one.measured_prompt_tps)):
        if measured is not None and not 0 < measured < math.inf:
            return False
        if formula is not None and not 0 < formula < math.inf:
            return False
        if formula is not None and measured is not None and abs(math.log(formula) - math.log(measured)) > MAX_LOG_RATIO:
            return False
    return one.depth >= 0

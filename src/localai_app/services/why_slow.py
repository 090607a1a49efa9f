"""Looks at the computer and the model in use, says what makes it slow, and does what helps."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from localai_app.engine.protocol import KvType
from localai_app.errors import AppError
from localai_app.fit.result import FitResult, Verdict
from localai_app.fit.speed_parts import SpeedParts
from localai_app.hardware.conditions import Conditions, read_conditions
from localai_app.hardware.report import HardwareReport, Vendor
from localai_app.services.benchmarks import BenchmarkService
from localai_app.services.calibration import CalibrationService
from localai_app.services.engine_service import EngineService
from localai_app.services.hardware_service import HardwareService
from localai_app.services.load_previews import LoadPreview, LoadPreviews
from localai_app.services.load_settings import LoadSettings, LoadSettingsService
from localai_app.services.measuring import run_of
from localai_app.services.settings_service import SettingsService
from localai_app.services.slowness import why_slow
from localai_app.services.speed_snapshot import Finding, SlowRemedy, SpeedSnapshot
from localai_app.services.views import EngineState
from localai_app.units import format_speed, format_speed_range

SHORTER_CTX = (8192, 4096)
CUDA_COMMAND = "LOCALAI_CUDA=1 python3 dev.py run"
"""What builds llama.cpp for NVIDIA GPUs in a checkout (docs/contributing.md)."""


@dataclass(frozen=True, slots=True)
class SlowReport:
    """What was found, and how fast it is against what was predicted."""

    headline: str
    findings: tuple[Finding, ...]
    model_key: str = ""


@dataclass(frozen=True, slots=True)
class LoadParts:
    """The services around a load, which decide how a model could be loaded instead."""

    previews: LoadPreviews
    settings: LoadSettingsService


class WhySlowService:
    """`look` takes about a second, in the caller's thread; `apply` returns at once."""

    def __init__(
        self, engine: EngineService, hardware: HardwareService, settings: SettingsService, load: LoadParts,
        calibration: CalibrationService, benchmarks: BenchmarkService,
        read: Callable[[Sequence[int]], Conditions] = read_conditions,
    ) -> None:
        self._engine = engine
        self._hardware = hardware
        self._settings = settings
        self._load = load
        self._calibration = calibration
        self._benchmarks = benchmarks
        self._read = read
        self._told: tuple[str, tuple[float, float] | None] = ("", None)

    def look(self) -> SlowReport:
        """Every cause that holds now for the model in use, or without one for the computer."""
        snapshot = self.snapshot()
        return SlowReport(headline(snapshot), why_slow(snapshot), self._engine.state.model_key)

    def expected_tps(self, state: EngineState, depth: int) -> tuple[float, float] | None:
        """What is predicted for the model in use at a depth, with what was measured before: low, high; None where unknown."""
        parts = self._parts(state)
        return parts.token_range(depth) if parts is not None else None

    def tell(self, depth: int) -> tuple[float, float] | None:
        """The same for the answer that ends now, remembered: once it was measured, the prediction follows it."""
        state = self._engine.state
        expected = self.expected_tps(state, depth)
        self._told = (state.model_key, expected)
        return expected

    def apply(self, finding: Finding) -> bool:
        """Do what a finding advises; false for what only the window can do. AppError where it cannot be done."""
        state = self._engine.state
        match finding.remedy:
            case SlowRemedy.LOAD_WITH if finding.load is not None and state.model_key:
                self._load.settings.set(state.model_key, finding.load)
                self._engine.load(state.model_key, keep_others=True)
            case SlowRemedy.CHANGE_SETTING:
                self._settings.set(finding.setting, finding.value)
                if state.loaded is not None:
                    self._engine.load(state.model_key, keep_others=True)
            case SlowRemedy.UNLOAD_OTHERS:
                for model in self._engine.loaded():
                    if model.key != state.model_key:
                        self._engine.unload(model.key)
                if state.model_key:
                    self._engine.load(state.model_key, keep_others=True)
            case SlowRemedy.RUN_BENCHMARK if state.model_key:
                self._benchmarks.start(state.model_key)
            case _:
                return False
        return True

    def snapshot(self) -> SpeedSnapshot:
        """Everything that the rules look at, as it is now."""
        state, loaded = self._engine.state, self._engine.loaded()
        conditions = self._read([model.pid for model in loaded if model.pid is not None])
        report = self._hardware.report_now()
        plain = SpeedSnapshot(
            report, conditions, threads_setting=self._settings.integer("threads"),
            layers_setting=self._settings.integer("gpu_layers"), gpu_command=gpu_command(report))
        if state.loaded is None or state.options is None:
            return plain
        full_offload, exact_fits = self._alternatives(state)
        told_key, told = self._told
        expected = told if told_key == state.model_key else self.expected_tps(state, state.context_used)
        host = [device.weights_bytes for device in (state.fit.devices if state.fit is not None else ()) if device.kind == "cpu"]
        return SpeedSnapshot(
            report, conditions, model_name=state.model_name, options=state.options, loaded=state.loaded,
            host_weights_bytes=sum(host), depth=state.context_used, tps=state.tps,
            expected_tps=expected, depth_factor=self._depth_factor(state),
            threads_setting=plain.threads_setting, load_settings=self._load.settings.get(state.model_key),
            layers_setting=plain.layers_setting, full_offload=full_offload, exact_context_fits=exact_fits,
            other_models=sum(model.key != state.model_key for model in loaded), gpu_command=plain.gpu_command)

    def _parts(self, state: EngineState) -> SpeedParts | None:
        report = self._hardware.report
        if state.fit is None or report is None:
            return None
        return self._calibration.calibration.speed(run_of(state.fit, state.model_key, report), state.fit.speed_parts).parts

    def _depth_factor(self, state: EngineState) -> float:
        parts = self._parts(state)
        start_s = parts.token.at(0) if parts is not None else 0.0
        return parts.token.at(state.context_used) / start_s if parts is not None and start_s > 0 else 1.0

    def _alternatives(self, state: EngineState) -> tuple[LoadSettings | None, bool]:
        """With what the model would run fully on GPUs, and whether its context fits in 16 bit."""
        loaded, options = state.loaded, state.options
        if loaded is None or options is None:
            return None, False
        try:
            preview = self._load.previews.open(state.model_key)
            own = self._load.settings.get(state.model_key)
        except AppError:
            return None, False
        full = None
        if 0 < loaded.gpu_layers < loaded.n_layer:
            full = next((wish for wish in _smaller(own, loaded.ctx) if preview.fit(wish).verdict is Verdict.GPU), None)
        return full, options.kv_type is not KvType.F16 and _keeps_its_place(preview, own, state.fit)


def _smaller(own: LoadSettings, ctx: int) -> list[LoadSettings]:
    """Settings that need less of the GPU, the gentlest first."""
    base = msgspec.structs.replace(own, gpu_layers=None, experts_on_cpu=None)
    eight = [msgspec.structs.replace(base, kv_type=KvType.Q8_0)]
    shorter = [msgspec.structs.replace(base, ctx=length) for length in SHORTER_CTX if length < ctx]
    both = [msgspec.structs.replace(base, ctx=length, kv_type=KvType.Q8_0) for length in SHORTER_CTX[-1:] if length < ctx]
    return [*eight, *shorter, *both]


def _keeps_its_place(preview: LoadPreview, own: LoadSettings, fit: FitResult | None) -> bool:
    exact = preview.fit(msgspec.structs.replace(own, kv_type=KvType.F16))
    return fit is not None and exact.verdict is fit.verdict and exact.ctx >= fit.ctx


def gpu_command(report: HardwareReport) -> str:
    """What builds an engine that uses this computer's GPU; empty in an installed edition, which builds nothing."""
    is_checkout = not getattr(sys, "frozen", False)
    return CUDA_COMMAND if is_checkout and any(gpu.vendor is Vendor.NVIDIA for gpu in report.gpus) else ""


def headline(snapshot: SpeedSnapshot) -> str:
    """How fast the last answer was, against what was predicted."""
    if snapshot.loaded is None:
        return "No model is loaded: only the computer was looked at."
    if snapshot.tps is None:
        return f"{snapshot.model_name} has not answered yet: only its load and the computer were looked at."
    speed = f"{snapshot.model_name} answered at {format_speed(snapshot.tps)}"
    if snapshot.expected_tps is None:
        return f"{speed}."
    low, high = snapshot.expected_tps
    where = "less than" if snapshot.tps < low else "more than" if snapshot.tps > high else "as fast as"
    return f"{speed}, {where} predicted ({format_speed_range(low, high)})."

"""Compares each load and each answer with what was predicted, off the engine's threads; nothing here can fail an answer."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePath

import msgspec
import psutil

from localai_app.engine.protocol import GenerationStats, Loaded, PlannedBuffer
from localai_app.fit.calibration import Calibration, Run
from localai_app.fit.result import FitResult
from localai_app.fit.speed_parts import SpeedParts
from localai_app.gguf.label import label_of_name
from localai_app.hardware.report import HardwareReport
from localai_app.services.calibration import CalibrationService
from localai_app.services.engine_service import EngineService
from localai_app.services.events import AnswerTimed, Event, EventBus, ModelLoaded
from localai_app.services.hardware_service import HardwareService
from localai_app.services.views import EngineState
from localai_app.store.records import Measurement

log = logging.getLogger(__name__)

LEAST_TOKENS = 16
"""A shorter answer says little about the speed of generation."""
LEAST_PROMPT_TOKENS = 128
"""A shorter prompt is mostly the cost of starting it."""


class MeasurementRecorder:
    """Listens to the engine and adds to the calibration, in a thread of its own."""

    def __init__(
        self, events: EventBus, engine: EngineService, hardware: HardwareService, calibration: CalibrationService,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._engine = engine
        self._hardware = hardware
        self._calibration = calibration
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="measuring")
        self._unsubscribe = events.subscribe(self._on_event)

    def close(self) -> None:
        """Measure no more; what is being kept is kept."""
        self._unsubscribe()
        self._thread.shutdown(wait=True)

    def _on_event(self, event: Event) -> None:
        """In the engine's reader thread: only what passes is taken here."""
        match event:
            case ModelLoaded(model_key=key, info=info) if info.buffers:
                self._submit(key, lambda fit, blank: self._load(fit, blank, info))
            case AnswerTimed(model_key=key, stats=stats):
                self._submit(key, lambda fit, blank: answer_measured(fit, blank, stats, self._calibration.calibration))
            case _:
                pass

    def _submit(self, model_key: str, measure: Callable[[FitResult, Measurement], Measurement | None]) -> None:
        model, report = self._engine.find(model_key), self._hardware.report
        if model is None or report is None:
            return
        state, fit = model.state, model.state.fit
        if fit is None or fit.load_options is None or state.loaded is None:
            return
        blank = self._blank(state, fit, state.loaded, report)
        # After the end of the program's services nobody asks for a prediction.
        with contextlib.suppress(RuntimeError):
            self._thread.submit(self._guarded, lambda: measure(fit, blank))

    def _guarded(self, measure: Callable[[], Measurement | None]) -> None:
        try:
            found = measure()
            if found is not None:
                self._calibration.add(found)
        except Exception:
            log.exception("a load or an answer could not be measured")

    def _blank(self, state: EngineState, fit: FitResult, loaded: Loaded, report: HardwareReport) -> Measurement:
        run = run_of(fit, state.model_key, report)
        return Measurement(
            time_s=self._clock(), model_key=run.model_key, model_name=state.model_name,
            label=label_of_name(PurePath(state.model_key).name), description=loaded.description,
            engine_build=self._calibration.build, processor=run.processor, gpus=run.gpus, place=run.place,
            gpu_layers=run.gpu_layers, expert_blocks=run.expert_blocks, kv_type=run.kv_type, ctx=loaded.ctx)

    def _load(self, fit: FitResult, blank: Measurement, info: Loaded) -> Measurement | None:
        """None where that model is no longer the one that is loaded: what is held now is another one's."""
        model = self._engine.find(blank.model_key)
        if model is None:
            return None
        rss_bytes = _rss_bytes(model.pid)
        gpu_taken = _taken_on_gpus(fit, self._hardware.report_now())
        after = self._engine.find(blank.model_key)
        if after is None or after.state.loaded is not info:
            return None
        return load_measured(fit, blank, info, rss_bytes, gpu_taken)


def run_of(fit: FitResult, model_key: str, report: HardwareReport) -> Run:
    """What decides the speed of a fit that is loaded on a computer."""
    options = fit.load_options
    return Run(
        model_key=model_key, processor=report.cpu.model, gpus=tuple(
            device.name for device in fit.devices if device.kind == "gpu" and device.layers),
        place=fit.verdict.value, gpu_layers=options.gpu_layers if options is not None else 0,
        expert_blocks=options.cpu_expert_blocks if options is not None else 0, kv_type=fit.kv_type.value)


def load_measured(
    fit: FitResult, blank: Measurement, info: Loaded, rss_bytes: int, gpu_taken_bytes: int | None,
) -> Measurement:
    """What a load took: llama.cpp's buffers, and what the process took beyond them.

    `rss_bytes`: main memory of the worker now; its compute buffers are not touched before the first prompt.
    `gpu_taken_bytes`: what vanished of the used GPUs' free memory; None where nothing reports it.
    """
    host = [buffer for buffer in info.buffers if buffer.kind == "cpu"]
    allocated = sum(_buffer_bytes(buffer) for buffer in info.buffers)
    is_measured = rss_bytes > 0 and info.rss_before_bytes > 0
    grown = rss_bytes - info.rss_before_bytes
    beyond = max(0, grown - sum(buffer.weights_bytes + buffer.kv_bytes for buffer in host)) if is_measured else 0
    gpu_beyond = None
    if gpu_taken_bytes is not None and blank.gpus:
        on_gpus = allocated - sum(_buffer_bytes(buffer) for buffer in host)
        gpu_beyond = max(0, gpu_taken_bytes - on_gpus) // len(blank.gpus)
    copied = sum(buffer.repacked_bytes for buffer in info.buffers)
    return msgspec.structs.replace(
        blank, predicted_bytes=fit.total_bytes + copied,
        measured_bytes=allocated + beyond + (gpu_beyond or 0) * len(blank.gpus),
        host_overhead_bytes=beyond - fit.tokenizer_bytes if is_measured else None, gpu_overhead_bytes=gpu_beyond)


def answer_measured(
    fit: FitResult, blank: Measurement, stats: GenerationStats, calibration: Calibration,
) -> Measurement | None:
    """How fast an answer was; None where it is too short to tell."""
    evaluated = stats.prompt_tokens - stats.reused_tokens
    says_speed = stats.completion_tokens >= LEAST_TOKENS and stats.tps > 0
    says_prompt = evaluated >= LEAST_PROMPT_TOKENS and stats.prompt_tps > 0
    if not says_speed and not says_prompt:
        return None
    depth = max(0, stats.context_used - stats.completion_tokens // 2)
    run = Run(
        blank.model_key, blank.processor, blank.gpus, blank.place, blank.gpu_layers, blank.kv_type, blank.expert_blocks)
    formula, told = fit.speed_parts, calibration.speed(run, fit.speed_parts).parts
    found = msgspec.structs.replace(blank, depth=depth)
    if says_speed:
        found = msgspec.structs.replace(
            found, tokens=stats.completion_tokens, measured_tps=stats.tps, formula_tps=_token_tps(formula, depth),
            predicted_tps=_token_tps(told, depth))
    if says_prompt:
        span = (stats.reused_tokens, stats.prompt_tokens)
        found = msgspec.structs.replace(
            found, prompt_tokens=evaluated, measured_prompt_tps=stats.prompt_tps,
            formula_prompt_tps=_prompt_tps(formula, *span), predicted_prompt_tps=_prompt_tps(told, *span))
    return found


def _token_tps(parts: SpeedParts | None, depth: int) -> float | None:
    seconds = parts.token.at(depth) if parts is not None else 0.0
    return 1 / seconds if seconds > 0 else None


def _prompt_tps(parts: SpeedParts | None, start: int, stop: int) -> float | None:
    cost = parts.prompt if parts is not None else None
    seconds = cost.total_s(start, stop) if cost is not None else 0.0
    return (stop - start) / seconds if seconds > 0 else None


def _buffer_bytes(buffer: PlannedBuffer) -> int:
    return buffer.weights_bytes + buffer.kv_bytes + buffer.compute_bytes + buffer.output_bytes


def _taken_on_gpus(fit: FitResult, report: HardwareReport) -> int | None:
    """What is free less than before the load on the GPUs in use; None for one that shares main memory or is not reported."""
    taken = 0
    for device in fit.devices:
        if device.kind != "gpu" or not device.layers:
            continue
        free = [gpu.free_bytes for gpu in report.gpus if gpu.name == device.name and not gpu.unified]
        if len(free) != 1 or free[0] is None:
            return None
        taken += device.free_bytes - free[0]
    return max(0, taken)


def _rss_bytes(pid: int | None) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss) if pid is not None else 0
    except psutil.Error:
        return 0

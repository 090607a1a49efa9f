"""What is kept of a load and of an answer: bytes beyond the buffers, speeds beside the formula's, and nothing of too little."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from localai_app import errors
from localai_app.engine.protocol import GenerationStats, Loaded, PlannedBuffer
from localai_app.errors import AppError
from localai_app.fit.calibration import Calibration
from localai_app.fit.decide import decide
from localai_app.fit.result import FitResult, Request, Verdict
from localai_app.services.calibration import CalibrationService
from localai_app.services.events import AnswerTimed, EventBus, ModelLoaded
from localai_app.services.measuring import (
    LEAST_PROMPT_TOKENS,
    LEAST_TOKENS,
    MeasurementRecorder,
    answer_measured,
    load_measured,
    run_of,
)
from localai_app.services.views import EngineState, EngineStatus, LoadedModel
from localai_app.store.database import Store, open_store
from tests.helpers.fit_subjects import QWEN3_8B, computer, gpu_table, nvidia, subject
from tests.helpers.measurements import MEASUREMENT

MIB = 1024 * 1024
RTX = "NVIDIA GeForce RTX 4070"
HOST = PlannedBuffer(device="CPU", kind="cpu", weights_bytes=300 * MIB, kv_bytes=0, compute_bytes=20 * MIB, output_bytes=MIB)
GPU = PlannedBuffer(device="CUDA0", kind="gpu", weights_bytes=4000 * MIB, kv_bytes=500 * MIB, compute_bytes=200 * MIB)


def fit_of(*, gpu: bool) -> FitResult:
    hardware = computer(32, gpus=(nvidia(RTX.removeprefix("NVIDIA GeForce "), 12),) if gpu else ())
    return decide(hardware, subject(QWEN3_8B), Request(ctx=4096), gpu_table())


def loaded(*buffers: PlannedBuffer, before_mib: int = 50) -> Loaded:
    return Loaded(
        id=1, description="d", ctx=4096, ctx_train=8192, n_layer=33, gpu_layers=0, threads=8, model_bytes=1, load_s=1.0,
        has_chat_template=True, buffers=buffers, rss_before_bytes=before_mib * MIB)


def stats(**fields: object) -> GenerationStats:
    return msgspec.structs.replace(
        GenerationStats(
            prompt_tokens=1000, completion_tokens=101, prompt_s=2.0, completion_s=5.0, context_used=1101), **fields)


def test_a_load_on_the_processor() -> None:
    fit = fit_of(gpu=False)
    host = msgspec.structs.replace(HOST, repacked_bytes=100 * MIB)
    found = load_measured(fit, MEASUREMENT, loaded(host), rss_bytes=(50 + 300 + 33) * MIB, gpu_taken_bytes=None)
    assert found.predicted_bytes == fit.total_bytes + 100 * MIB
    assert found.measured_bytes == (300 + 20 + 1 + 33) * MIB
    assert found.host_overhead_bytes == 33 * MIB - fit.tokenizer_bytes
    assert found.gpu_overhead_bytes is None


def test_a_load_on_a_gpu() -> None:
    fit = fit_of(gpu=True)
    assert fit.verdict is Verdict.GPU
    blank = msgspec.structs.replace(MEASUREMENT, gpus=(RTX,), place="gpu")
    found = load_measured(fit, blank, loaded(HOST, GPU), rss_bytes=(50 + 300 + 200) * MIB, gpu_taken_bytes=5000 * MIB)
    assert found.gpu_overhead_bytes == 300 * MIB
    assert found.measured_bytes == (300 + 20 + 1 + 200 + 4700 + 300) * MIB
    assert found.host_overhead_bytes == 200 * MIB - fit.tokenizer_bytes


def test_a_process_that_could_not_be_measured_says_nothing_beyond_the_buffers() -> None:
    found = load_measured(fit_of(gpu=False), MEASUREMENT, loaded(HOST), rss_bytes=0, gpu_taken_bytes=None)
    assert found.measured_bytes == 321 * MIB
    assert found.host_overhead_bytes is None


def test_an_answer_stands_beside_the_formula_at_its_depth() -> None:
    fit = fit_of(gpu=False)
    assert fit.speed_parts is not None
    found = answer_measured(fit, MEASUREMENT, stats(), Calibration())
    assert found is not None
    assert (found.depth, found.tokens, found.prompt_tokens) == (1051, 101, 1000)
    assert found.measured_tps == 20.0
    assert found.measured_prompt_tps == 500.0
    assert found.formula_tps == found.predicted_tps == pytest.approx(1 / fit.speed_parts.token.at(1051))
    assert fit.speed_parts.prompt is not None
    assert found.formula_prompt_tps == pytest.approx(1000 / fit.speed_parts.prompt.total_s(0, 1000))


def test_what_is_told_is_corrected_and_the_formula_is_not() -> None:
    fit = fit_of(gpu=False)
    first = answer_measured(fit, MEASUREMENT, stats(), Calibration())
    assert first is not None
    second = answer_measured(fit, MEASUREMENT, stats(), Calibration([first]))
    assert second is not None
    assert second.formula_tps == first.formula_tps
    assert second.predicted_tps == pytest.approx(second.measured_tps, rel=0.001)
    assert second.predicted_prompt_tps == pytest.approx(second.measured_prompt_tps, rel=0.001)


def test_too_little_tells_nothing() -> None:
    fit = fit_of(gpu=False)
    short = stats(completion_tokens=LEAST_TOKENS - 1, prompt_tokens=1000, reused_tokens=1001 - LEAST_PROMPT_TOKENS)
    assert answer_measured(fit, MEASUREMENT, short, Calibration()) is None
    prompt_only = answer_measured(fit, MEASUREMENT, stats(completion_tokens=1), Calibration())
    assert prompt_only is not None
    assert (prompt_only.measured_tps, prompt_only.measured_prompt_tps) == (None, 500.0)


def test_without_a_formula_the_measured_speed_is_kept_alone() -> None:
    fit = msgspec.structs.replace(fit_of(gpu=False), speed_parts=None)
    found = answer_measured(fit, MEASUREMENT, stats(), Calibration())
    assert found is not None
    assert (found.measured_tps, found.formula_tps, found.predicted_tps) == (20.0, None, None)


def test_a_run_is_named_by_what_holds_its_layers() -> None:
    fit = fit_of(gpu=True)
    run = run_of(fit, "a/b:Q4_K_M", computer(32))
    assert (run.gpus, run.place, run.gpu_layers, run.kv_type) == ((RTX,), "gpu", 37, "f16")
    assert run_of(fit_of(gpu=False), "a/b:Q4_K_M", computer(32)).gpus == ()


class Computer:
    """An engine with one loaded model, its calibration, and probes that answer when they are let."""

    def __init__(self, store: Store) -> None:
        self.info = loaded(HOST)
        self.state = EngineState(EngineStatus.READY, "a/b:Q4_K_M", "Tiny", fit=fit_of(gpu=False), loaded=self.info)
        self.pid = None
        self.report = computer(32)
        self.may_answer = threading.Event()
        self.events = EventBus()
        self.calibration = CalibrationService(self.events, store, "test")
        self.recorder = MeasurementRecorder(self.events, self, self, self.calibration)  # type: ignore[arg-type]

    def find(self, model_key: str) -> LoadedModel | None:
        """As of EngineService."""
        return LoadedModel(self.state, self.pid, 0.0) if self.state.model_key == model_key else None

    def report_now(self) -> object:
        """As of HardwareService."""
        self.may_answer.wait(5)
        return self.report

    def measure(self) -> int:
        """How many measurements there are once all that was told is worked through."""
        self.may_answer.set()
        self.recorder.close()
        return len(self.calibration.measurements())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "store.db")
    yield opened
    opened.close()


def test_a_load_and_an_answer_are_kept(store: Store) -> None:
    here = Computer(store)
    here.events.publish(ModelLoaded("a/b:Q4_K_M", here.info))
    here.events.publish(AnswerTimed("a/b:Q4_K_M", stats()))
    assert here.measure() == len(store.measurements.list()) == 2


def test_a_model_that_was_replaced_before_it_was_measured_is_not_measured(store: Store) -> None:
    here = Computer(store)
    here.events.publish(ModelLoaded("a/b:Q4_K_M", here.info))
    here.state = EngineState(EngineStatus.LOADING, "a/c:Q4_K_M", "Other")
    assert here.measure() == 0


def test_a_store_that_fails_costs_what_it_would_have_kept_and_nothing_else(store: Store) -> None:
    here = Computer(store)

    def add(_measurement: object) -> None:
        raise AppError(errors.STORE_BUSY)

    here.calibration._store = SimpleNamespace(measurements=SimpleNamespace(add=add, list=tuple))  # type: ignore[assignment]
    for _answer in range(2):
        here.events.publish(AnswerTimed("a/b:Q4_K_M", stats()))
    assert here.measure() == 2

"""Why is it slow? What is looked at for the model in use: how it could be loaded instead, and what was predicted for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest

from localai_app.engine.protocol import KvType
from localai_app.hardware.conditions import Conditions
from localai_app.hardware.report import Cpu, EngineDevice, Gpu, HardwareReport, Memory, Vendor
from localai_app.services.app_services import AppServices
from localai_app.services.load_settings import LoadSettings
from localai_app.services.slowness import why_slow
from localai_app.services.speed_snapshot import Cause
from localai_app.services.views import EngineState, EngineStatus, LoadedModel
from localai_app.services.why_slow import LoadParts, WhySlowService
from tests.helpers.measurements import answer_of
from tests.helpers.services_fixture import TINY_KEY, install_tiny_model, open_services, wait_until

GIB = 1024**3
REPORT = HardwareReport(
    system="linux", cpu=Cpu(model="Test", architecture="x86_64", physical_cores=8, logical_cores=16),
    memory=Memory(total_bytes=32 * GIB, available_bytes=20 * GIB, bandwidth_bytes_per_s=60e9),
    gpus=(Gpu(index=0, name="RTX 4070", vendor=Vendor.NVIDIA, total_bytes=12 * GIB, free_bytes=10 * GIB),),
    engine_devices=(
        EngineDevice(name="CUDA0", description="RTX 4070", kind="gpu", total_bytes=12 * GIB, free_bytes=10 * GIB),))


@dataclass
class Engine:
    """The state of an engine that loaded a model in another way than the echo can."""

    state: EngineState

    def loaded(self) -> tuple[LoadedModel, ...]:
        return (LoadedModel(self.state, None, 0.0),)


@pytest.fixture
def services(tmp_path: Path) -> Iterator[AppServices]:
    install_tiny_model(tmp_path)
    with open_services(tmp_path) as opened:
        yield opened


def looked_at(services: AppServices, **changes: object) -> tuple[WhySlowService, EngineState]:
    """The service over a model that was loaded as told by `changes` of its Loaded."""
    services.engine.load(TINY_KEY)
    wait_until(lambda: services.engine.state.status is EngineStatus.READY)
    state = services.engine.state
    assert state.loaded is not None
    state = replace(state, loaded=msgspec.structs.replace(state.loaded, **changes))
    services.hardware._report = REPORT
    services.hardware.report_now = lambda: REPORT  # type: ignore[method-assign]
    service = WhySlowService(
        Engine(state), services.hardware, services.settings,  # type: ignore[arg-type]
        LoadParts(services.load_previews, services.load_settings), services.calibration, services.benchmarks,
        lambda _pids: Conditions())
    return service, state


def test_what_would_bring_the_whole_model_onto_the_gpu_is_found(services: AppServices) -> None:
    service, state = looked_at(services, gpu_layers=1, n_layer=3)
    snapshot = service.snapshot()
    assert snapshot.full_offload == LoadSettings(kv_type=KvType.Q8_0)
    (finding,) = [one for one in why_slow(snapshot) if one.cause is Cause.PARTIAL_OFFLOAD]
    assert finding.load == snapshot.full_offload
    assert snapshot.model_name == state.model_name


def test_a_model_that_is_on_the_gpu_needs_nothing(services: AppServices) -> None:
    service, _state = looked_at(services, gpu_layers=3, n_layer=3)
    snapshot = service.snapshot()
    assert snapshot.full_offload is None
    assert not snapshot.exact_context_fits
    assert why_slow(snapshot) == ()


def test_a_compressed_context_is_told_where_the_exact_one_fits(services: AppServices) -> None:
    services.load_settings.set(TINY_KEY, LoadSettings(kv_type=KvType.Q8_0, gpu_layers=0))
    service, state = looked_at(services, gpu_layers=0, n_layer=3)
    assert state.options is not None
    assert state.options.kv_type is KvType.Q8_0
    assert service.snapshot().exact_context_fits
    causes = [finding.cause for finding in why_slow(service.snapshot())]
    assert causes == [Cause.GPU_LEFT_ALONE, Cause.QUANTIZED_CONTEXT]


def test_the_prediction_falls_with_the_depth(services: AppServices) -> None:
    service, state = looked_at(services)
    early, late = service.expected_tps(state, 0), service.expected_tps(state, 4000)
    assert early is not None
    assert late is not None
    assert late[0] <= early[0] <= early[1]
    assert service.expected_tps(replace(state, fit=None), 0) is None


def test_an_answer_is_held_against_what_was_told_before_it_was_measured(services: AppServices) -> None:
    service, _state = looked_at(services)
    told = service.tell(100)
    assert told is not None
    services.calibration.add(answer_of(
        TINY_KEY, processor="Test", depth=100,
        formula_tps=told[0], predicted_tps=told[0], measured_tps=told[0] / 10))
    assert service.snapshot().expected_tps == told

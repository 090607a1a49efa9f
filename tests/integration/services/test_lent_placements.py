"""Placements on devices that are not main memory: what is planned for them, and what llama.cpp then allocates there.

The devices are lent over loopback, and a report says how much of them is free. For each model the whole need on one of them
is asked for first; then so much is free that all of it fits, that half of it does, or that it takes two.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from localai_app.bootstrap import LaunchOptions, build_services
from localai_app.engine.protocol import KvType
from localai_app.fit.result import Basis, FitResult, Request, Verdict
from localai_app.hardware.report import EngineDevice, HardwareReport
from localai_app.services.app_services import AppServices
from localai_app.units import GIB, MIB
from tests.helpers.fit_errors import source_rows
from tests.helpers.fit_subjects import computer
from tests.helpers.gguf_architectures import write_architecture
from tests.helpers.lent_devices import Comparison, compare, lent_devices, library_folder
from tests.helpers.real_models import gemma_path, smollm2_path
from tests.helpers.synthetic import synthesise
from tests.helpers.synthetic.model import write_sparse

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(library_folder() is None, reason="this llama.cpp cannot lend devices"),
]
RESERVE_BYTES = 1 * GIB
REQUESTS = (Request(ctx=6000), Request(ctx=8192, kv_type=KvType.Q8_0))


def mixture(folder: Path) -> Path:
    return write_architecture(folder / "moe.gguf", "llama-moe")


MODELS: dict[str, Callable[[Path], Path]] = {
    "SmolLM2 135M": lambda _folder: smollm2_path(), "Gemma 3 270M": lambda _folder: gemma_path(), "mixture": mixture}


def report(*free_bytes: int) -> HardwareReport:
    """A computer whose engine lists lent devices with so much free memory, as `--hardware FILE` would give it."""
    devices = tuple(
        EngineDevice(name=f"RPC{number}", description=f"lent {number}", kind="gpu", total_bytes=free + GIB, free_bytes=free)
        for number, free in enumerate(free_bytes))
    hardware = msgspec.structs.replace(computer(96, 90), engine_devices=devices)
    return msgspec.json.decode(msgspec.json.encode(hardware), type=HardwareReport)


def ask(services: AppServices, path: Path, request: Request, *usable_bytes: int) -> FitResult:
    return services.estimate.fit_installed(str(path), request, report(*(size + RESERVE_BYTES for size in usable_bytes)))


def assert_loaded_as_planned(fit: FitResult, line: Comparison) -> None:
    assert fit.basis is Basis.DRY_RUN
    for device in fit.devices:
        name = device.engine_name or "CPU"
        loaded = line.loaded[name]
        assert device.layers == line.layers.get(name, 0), name
        assert device.kv_bytes == loaded.kv_bytes, name
        assert device.compute_bytes == pytest.approx(loaded.compute_bytes + loaded.output_bytes, rel=0.01, abs=6 * MIB), name
        assert device.weights_bytes == pytest.approx(loaded.weights_bytes, rel=0.001, abs=64 * 1024), name
        assert device.total_bytes <= device.free_bytes - device.reserve_bytes


@pytest.mark.parametrize("name", MODELS)
def test_layers_caches_and_buffers_are_those_of_the_real_load(name: str, tmp_path: Path) -> None:
    path = MODELS[name](tmp_path)
    with lent_devices(2) as ports:
        options = LaunchOptions(data_dir=tmp_path / "data", lent=[f"127.0.0.1:{port}" for port in ports])
        services = build_services(options)
        try:
            fits = [fit for request in REQUESTS for fit in three_fits(services, path, request)]
        finally:
            services.close()
        loads = [fit.load_options for fit in fits if fit.load_options is not None]
        assert len(loads) == len(fits)
        lines = compare(ports, loads)
    for fit, line in zip(fits, lines, strict=True):
        assert_loaded_as_planned(fit, line)


def three_fits(services: AppServices, path: Path, request: Request) -> list[FitResult]:
    """All on one device, a part on one, and split over two."""
    whole = ask(services, path, request, 4 * GIB)
    (need,) = (device.total_bytes for device in whole.devices if device.kind == "gpu")
    tight = ask(services, path, request, need)
    partial = ask(services, path, request, need * 7 // 10)
    split = ask(services, path, request, need * 7 // 10, need * 7 // 10)
    assert [fit.verdict for fit in (whole, tight, partial)] == [Verdict.GPU, Verdict.GPU, Verdict.GPU_PARTIAL]
    assert sum(device.layers > 0 for device in split.devices if device.kind == "gpu") == 2
    return [tight, partial, split]


def test_experts_leave_the_device_before_layers_do(tmp_path: Path) -> None:
    path = mixture(tmp_path)
    with lent_devices(1) as ports:
        services = build_services(LaunchOptions(data_dir=tmp_path / "data", lent=[f"127.0.0.1:{ports[0]}"]))
        try:
            whole = ask(services, path, Request(ctx=4096), 4 * GIB)
            fit = ask(services, path, Request(ctx=4096), whole.devices[0].total_bytes - 10 * MIB)
        finally:
            services.close()
        assert fit.load_options is not None
        (line,) = compare(ports, [fit.load_options])
    assert_loaded_as_planned(fit, line)
    assert (fit.verdict, fit.devices[0].layers, fit.load_options.cpu_expert_blocks) == (Verdict.GPU_PARTIAL, 7, 2)
    assert fit.devices[-1].expert_blocks == 2
    assert "all 7 layers on lent 0" in fit.reasons[0]
    assert "the experts of 2 of them in main memory" in fit.reasons[0]


def test_blocks_for_next_token_prediction_keep_no_layer_from_the_device(tmp_path: Path) -> None:
    """GLM 4.5 Air has one behind its 46 blocks; llama.cpp counts it among the layers and does not load it."""
    facts = next(row for row in source_rows() if row["id"] == "glm-4.5-air")
    path = write_sparse(tmp_path / "glm.gguf", synthesise(facts))
    with lent_devices(1) as ports:
        services = build_services(LaunchOptions(data_dir=tmp_path / "data", lent=[f"127.0.0.1:{ports[0]}"]))
        try:
            whole, fewer = (
                ask(services, path, Request(ctx=4096, gpu_layers=layers, experts_on_cpu=0), 200 * GIB) for layers in (None, 40))
        finally:
            services.close()
    assert (whole.verdict, whole.basis, whole.devices[0].layers) == (Verdict.GPU, Basis.DRY_RUN, 47)
    assert whole.devices[-1].kv_bytes == 0
    assert (fewer.basis, fewer.devices[0].layers, fewer.devices[-1].layers) == (Basis.DRY_RUN, 40, 7)
    assert fewer.devices[-1].kv_bytes == pytest.approx(whole.kv_bytes * 7 / 46, rel=0.001)


def test_devices_that_are_not_here_are_not_planned(tmp_path: Path) -> None:
    services = build_services(LaunchOptions(data_dir=tmp_path / "data"))
    try:
        fit = ask(services, mixture(tmp_path), Request(ctx=4096), 4 * GIB)
    finally:
        services.close()
    assert (fit.verdict, fit.basis) == (Verdict.GPU, Basis.HEADER)

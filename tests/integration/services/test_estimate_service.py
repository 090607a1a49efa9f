"""Fits of installed models, of variants on the Hub, and what the settings and measured speeds change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from localai_app.engine.protocol import KvType
from localai_app.errors import AppError
from localai_app.fit.calibration import NO_CALIBRATION
from localai_app.fit.result import SpeedBasis
from localai_app.hardware.report import Gpu, Vendor
from localai_app.services.app_services import AppServices
from localai_app.services.calibration import CalibrationService
from localai_app.services.events import AnswerEnded, MeasurementsChanged
from localai_app.services.measuring import run_of
from localai_app.units import GIB
from tests.helpers.fit_subjects import nvidia
from tests.helpers.gguf_files import TinyModel, Typed, encode_gguf, tiny_metadata, tiny_tensors, write_tiny_gguf
from tests.helpers.hub_server import HubServer, RepoFixture
from tests.helpers.measurements import answer_of
from tests.helpers.services_fixture import TINY_KEY, EventRecorder, install_tiny_model, open_services

REPO = "tester/Split-GGUF"
PART_NAMES = tuple(f"big-Q4_K_M-{number:05d}-of-00002.gguf" for number in (1, 2))


def split_model() -> tuple[bytes, bytes]:
    """A tiny model in two files, as llama.cpp's splitter makes them: the second one names nothing but its place."""
    model = TinyModel()
    tensors = tiny_tensors(model)
    half = len(tensors) // 2

    def place(number: int) -> dict[str, Typed]:
        return {"split.no": Typed("u16", number), "split.count": Typed("u16", 2),
                "split.tensors.count": Typed("i32", len(tensors))}

    return encode_gguf(tiny_metadata(model) | place(0), tensors[:half]), encode_gguf(place(1), tensors[half:])


@pytest.fixture
def services(tmp_path: Path) -> Iterator[AppServices]:
    install_tiny_model(tmp_path)
    with open_services(tmp_path, echo=("--tokens-per-s", "200", "--tokens", "30")) as opened:
        opened.hardware.detect_now(with_engine=False)
        yield opened


def measured(services: AppServices, tps: float, **fields: object) -> None:
    """An answer of the tiny model at this speed, where it would run by the settings."""
    report = services.hardware.report
    fit = services.estimate.fit_installed(TINY_KEY)
    assert report is not None
    run = run_of(fit, TINY_KEY, report)
    services.calibration.add(answer_of(
        TINY_KEY, **{
            "processor": run.processor, "gpus": run.gpus, "place": run.place, "gpu_layers": run.gpu_layers,
            "kv_type": run.kv_type, "depth": 512, "measured_tps": tps, "formula_tps": 1.25 * tps,
            "engine_build": services.calibration.build, **fields}))


def test_a_speed_measured_here_counts_more_than_the_formula(services: AppServices) -> None:
    assert services.estimate.fit_installed(TINY_KEY).speed.basis is SpeedBasis.FORMULA
    measured(services, 40.0)
    fit = services.estimate.fit_installed(TINY_KEY)
    assert fit.speed.basis is SpeedBasis.MEASURED_HERE
    assert fit.speed.low is not None
    assert fit.speed.high is not None
    assert 20 < fit.speed.low < 40.0 < fit.speed.high < 80
    assert "measured on this computer in 1 answer of this model" in fit.reasons[-1]
    services.calibration.forget()
    assert services.estimate.fit_installed(TINY_KEY).speed.basis is SpeedBasis.FORMULA


def test_another_engine_says_nothing_of_this_one(services: AppServices) -> None:
    measured(services, 40.0, engine_build="an older one")
    assert services.estimate.fit_installed(TINY_KEY).speed.basis is SpeedBasis.FORMULA
    assert len(services.calibration.measurements()) == 1


def test_an_answer_is_such_a_measurement(services: AppServices) -> None:
    recorder = EventRecorder(services)
    services.chat.send(services.chat.create().id, "question", TINY_KEY)
    ended = recorder.wait_for(AnswerEnded)
    assert ended.message.stats is not None
    recorder.wait_for(MeasurementsChanged)
    speed = services.estimate.fit_installed(TINY_KEY).speed
    assert speed.basis is SpeedBasis.MEASURED_HERE
    assert speed.low is not None
    assert speed.high is not None
    # Measured a few tokens into the chat, told for 512.
    assert 0.5 < (speed.low + speed.high) / 2 / ended.message.stats.tps < 1.05


def test_it_does_not_count_for_another_machine_or_another_placement(services: AppServices) -> None:
    measured(services, 40.0)
    estimate, report = services.estimate, services.hardware.report
    default = estimate.default_request()
    assert report is not None
    small_cache = msgspec.structs.replace(default, kv_type=KvType.Q4_0)
    longer = msgspec.structs.replace(default, ctx=1024)
    other = msgspec.structs.replace(report, cpu=msgspec.structs.replace(report.cpu, model="Other CPU"))
    assert estimate.fit_installed(TINY_KEY, small_cache).speed.basis is SpeedBasis.CALIBRATED
    with_card = msgspec.structs.replace(report, gpus=(nvidia("RTX 4090", 24),), engine_devices=None)
    assert estimate.fit_installed(TINY_KEY, default, other).speed.basis is SpeedBasis.FORMULA
    on_processor = msgspec.structs.replace(default, gpu_layers=0)
    assert estimate.fit_installed(TINY_KEY, on_processor).speed.basis is SpeedBasis.MEASURED_HERE
    assert estimate.fit_installed(TINY_KEY, on_processor, with_card).speed.basis is SpeedBasis.FORMULA
    assert estimate.fit_installed(TINY_KEY, longer).speed.basis is SpeedBasis.MEASURED_HERE


def test_it_counts_for_this_machine_as_it_was_before_llama_cpp_was_asked(services: AppServices) -> None:
    before = services.hardware.report
    assert before is not None
    assert before.engine_devices is None
    measured(services, 40.0)
    services.hardware._report = msgspec.structs.replace(before, engine_devices=())
    estimate = services.estimate
    with_gpu = msgspec.structs.replace(before, gpus=(
        Gpu(index=0, name="Another GPU", vendor=Vendor.NVIDIA, total_bytes=24 * GIB, free_bytes=24 * GIB),))
    assert estimate.fit_installed(TINY_KEY, estimate.default_request(), before).speed.basis is SpeedBasis.MEASURED_HERE
    assert estimate._machine(with_gpu, estimate.default_request()).calibration is NO_CALIBRATION


def test_measurements_outlive_the_program(services: AppServices, tmp_path: Path) -> None:
    measured(services, 40.0)
    again = CalibrationService(services.events, services.store, services.calibration.build)
    assert again.measurements() == services.calibration.measurements()
    assert len(again.measurements()) == 1


def test_loading_follows_the_settings(services: AppServices) -> None:
    for key, value in (("context_tokens", 1024), ("kv_type", "q8_0"), ("gpu_layers", 0), ("threads", 3)):
        services.settings.set(key, value)
    options = services.load_planner.plan(TINY_KEY).options
    assert (options.ctx, options.kv_type, options.gpu_layers, options.threads) == (1024, KvType.Q8_0, 0, 3)
    assert options.model_path == str(services.library.get(TINY_KEY).paths[0])


def test_a_plan_uses_the_memory_that_a_model_has_just_given_back(services: AppServices) -> None:
    report = services.hardware.report
    assert report is not None
    full = msgspec.structs.replace(report.memory, available_bytes=1)
    services.hardware._report = msgspec.structs.replace(report, memory=full, gpus=())
    assert services.load_planner.plan(TINY_KEY).options.ctx >= 512


def test_a_missing_part_is_named_with_the_number_of_parts(services: AppServices) -> None:
    folder = services.settings.models_folder / REPO
    folder.mkdir(parents=True)
    for number in (1, 3):
        write_tiny_gguf(folder / f"big-Q4_K_M-{number:05d}-of-00003.gguf")
    with pytest.raises(AppError) as caught:
        services.estimate.fit_installed(f"{REPO}:Q4_K_M")
    assert caught.value.code == "model_parts_missing"
    assert "3 files" in caught.value.message
    assert "big-Q4_K_M-00002-of-00003.gguf is missing" in caught.value.message


def test_a_split_model_on_the_hub_is_one_variant_of_its_whole_size(
    services: AppServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    parts = split_model()
    files = dict(zip(PART_NAMES, parts, strict=True)) | {"mmproj-F16.gguf": parts[0]}
    whole = write_tiny_gguf(tmp_path / "whole-Q4_K_M.gguf")
    with HubServer({REPO: RepoFixture(files)}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        rows = services.variants.read(services.variants.find(REPO))
        one = services.estimate.fit_repo_variant(REPO, None)
    assert [(row.label, row.size_bytes) for row in rows] == [("Q4_K_M", sum(map(len, parts)))]
    assert rows[0].fit is not None
    expected = services.estimate.fit_installed(str(whole)).weights_bytes
    assert one.weights_bytes == rows[0].fit.weights_bytes == expected


def test_a_split_model_on_this_disk_is_one_model_of_its_whole_size(services: AppServices, tmp_path: Path) -> None:
    folder = services.settings.models_folder / REPO
    folder.mkdir(parents=True)
    for name, part in zip(PART_NAMES, split_model(), strict=True):
        (folder / name).write_bytes(part)
    model = services.library.get(f"{REPO}:Q4_K_M")
    assert [path.name for path in model.paths] == list(PART_NAMES)
    whole = write_tiny_gguf(tmp_path / "whole-Q4_K_M.gguf")
    expected = services.estimate.fit_installed(str(whole)).weights_bytes
    assert services.estimate.fit_installed(model.key).weights_bytes == expected
    assert services.load_planner.plan(model.key).options.model_path == str(folder / PART_NAMES[0])


def test_files_beside_a_model_are_no_models(services: AppServices) -> None:
    folder = services.library.get(TINY_KEY).paths[0].parent
    for name in ("mmproj-F16.gguf", "tiny-mmproj-F16.gguf", "tiny.imatrix.gguf", ".hidden.gguf"):
        write_tiny_gguf(folder / name)
    (folder / "folder.gguf").mkdir()
    assert [model.key for model in services.library.models()] == [TINY_KEY]

"""Models that planning holds back, loaded in spite of it: the outcome is in words whatever the file does to the engine."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from localai_app.engine.protocol import KvType
from localai_app.errors import AppError, Remedy
from localai_app.fit.result import Request, Verdict
from localai_app.hardware.report import HardwareReport, Memory
from localai_app.services.app_services import AppServices
from localai_app.services.events import EngineFailed, ModelLoaded
from localai_app.services.load_settings import LoadSettings
from localai_app.services.memory_credit import credited
from tests.helpers.fit_subjects import computer
from tests.helpers.gguf_files import Typed, encode_gguf, text_bytes, write_tiny_gguf
from tests.helpers.services_fixture import TINY_KEY, EventRecorder, install_tiny_model, open_services

FULL = Memory(total_bytes=8 * 1024**3, available_bytes=1024**2)


@pytest.fixture
def services(tmp_path: Path) -> Iterator[AppServices]:
    with open_services(tmp_path / "data") as opened:
        yield opened


@pytest.fixture
def with_engine(tmp_path: Path) -> Iterator[AppServices]:
    pytest.importorskip("llama_cpp")
    with open_services(tmp_path / "data", echo=None) as opened:
        yield opened


def truncated(path: Path) -> Path:
    write_tiny_gguf(path)
    path.write_bytes(path.read_bytes()[:4000])
    return path


def hostile(path: Path) -> Path:
    """A list of strings that claims to have a million million entries."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_gguf([], n_keys=3) + text_bytes("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 10**12))
    return path


def unknown_architecture(path: Path) -> Path:
    return write_tiny_gguf(path, metadata={"general.architecture": Typed("str", "martian")})


def without_layers(path: Path) -> Path:
    return write_tiny_gguf(path, metadata={"llama.block_count": Typed("u32", 0)})


OUTCOMES = [
    (truncated, "gguf_truncated"), (hostile, "gguf_truncated"), (unknown_architecture, "architecture_unknown"),
    (without_layers, "engine_crashed"),
]


def set_computer(services: AppServices, monkeypatch: pytest.MonkeyPatch, memory: Memory) -> HardwareReport:
    """As if this computer had that much memory."""
    monkeypatch.setattr("localai_app.services.hardware_service.measure_memory", lambda: memory)
    report = msgspec.structs.replace(computer(), memory=memory, engine_devices=())
    services.hardware._report = report
    return report


# --- plans -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("damage", [truncated, hostile])
def test_a_damaged_header_is_held_back_and_planned_blindly(services: AppServices, tmp_path: Path, damage) -> None:
    path = damage(tmp_path / "damaged-Q8_0.gguf")
    with pytest.raises(AppError) as refused:
        services.load_planner.plan(str(path))
    assert refused.value.code in ("gguf_truncated", "gguf_refused")
    services.load_settings.set(str(path), LoadSettings(ctx=1024, kv_type=KvType.Q8_0, gpu_layers=3))
    options = services.load_planner.plan(str(path), anyway=True).options
    assert (options.ctx, options.kv_type, options.gpu_layers) == (1024, KvType.Q8_0, 3)
    assert options.model_path == str(path)
    services.load_settings.set(str(path), LoadSettings())
    options = services.load_planner.plan(str(path), anyway=True).options
    assert (options.ctx, options.gpu_layers) == (services.settings.integer("context_tokens"), 0)


def test_a_model_that_is_too_large_is_planned_as_asked(services: AppServices, tmp_path: Path, monkeypatch) -> None:
    install_tiny_model(services.paths.data)
    set_computer(services, monkeypatch, FULL)
    with pytest.raises(AppError, match="needs"):
        services.load_planner.plan(TINY_KEY)
    assert services.load_planner.plan(TINY_KEY, anyway=True).options.ctx == services.settings.integer("context_tokens")


def test_what_was_set_is_named_where_it_is_what_does_not_fit(services: AppServices, monkeypatch) -> None:
    write_tiny_gguf(services.paths.data / "models" / "long-F32.gguf", ctx_train=1_000_000, n_embd=128, n_head=2, n_head_kv=2)
    key = services.library.models()[0].key
    set_computer(services, monkeypatch, Memory(total_bytes=4 * 1024**3, available_bytes=2 * 1024**3 + 100 * 1024**2))
    assert services.load_planner.plan(key).options.ctx >= 4096
    services.load_settings.set(key, LoadSettings(ctx=1_000_000))
    with pytest.raises(AppError, match=r"^long-F32 cannot be loaded as it is set: too large .* tokens") as refused:
        services.load_planner.plan(key)
    assert refused.value.remedy is Remedy.CHANGE_LOAD_SETTINGS
    services.load_settings.set(key, LoadSettings(kv_type=KvType.Q8_0))
    assert services.load_planner.plan(key).options.kv_type is KvType.Q8_0


@pytest.mark.parametrize("name", ["text.gguf", "absent.gguf"])
def test_what_is_no_model_at_all_is_not_tried(services: AppServices, tmp_path: Path, name: str) -> None:
    (tmp_path / "text.gguf").write_text("just some text and more of it")
    with pytest.raises(AppError) as refused:
        services.load_planner.plan(str(tmp_path / name), anyway=True)
    assert refused.value.code in ("not_a_gguf", "model_file_missing")


def test_a_model_that_fits_is_planned_with_its_advice_anyway_or_not(services: AppServices) -> None:
    install_tiny_model(services.paths.data)
    plain, anyway = services.load_planner.plan(TINY_KEY), services.load_planner.plan(TINY_KEY, anyway=True)
    assert plain.options == anyway.options
    assert plain.fit is not None
    assert anyway.fit is not None


# --- remembered ------------------------------------------------------------------------------------
def test_a_load_by_any_path_is_as_remembered_and_an_explicit_request_wins(services: AppServices) -> None:
    install_tiny_model(services.paths.data)
    services.load_settings.set(TINY_KEY, LoadSettings(ctx=512, kv_type=KvType.Q8_0))
    recorder = EventRecorder(services)
    services.engine.load(TINY_KEY)
    assert recorder.wait_for(ModelLoaded).info.ctx == 512
    options = services.engine.state.options
    assert options is not None
    assert options.kv_type is KvType.Q8_0
    asked = msgspec.structs.replace(services.load_planner.request_for(TINY_KEY), ctx=768)
    services.engine.load(TINY_KEY, asked)
    assert recorder.wait_for(ModelLoaded, 2).info.ctx == 768


def test_previews_follow_what_is_remembered_and_what_is_tried(services: AppServices) -> None:
    install_tiny_model(services.paths.data)
    preview = services.load_previews.open(TINY_KEY)
    assert preview.facts.problem is None
    assert preview.facts.layers > 1
    before = preview.fit()
    services.load_settings.set(TINY_KEY, LoadSettings(ctx=256))
    assert preview.fit().ctx == 256
    assert preview.fit(LoadSettings(ctx=512)).kv_bytes == 2 * preview.fit().kv_bytes
    assert preview.fit(LoadSettings()).ctx == before.ctx


@pytest.mark.parametrize("damage", [truncated, hostile])
def test_a_preview_of_a_damaged_header_is_unknown_with_the_reason(services: AppServices, tmp_path: Path, damage) -> None:
    preview = services.load_previews.open(str(damage(tmp_path / "damaged.gguf")))
    fit = preview.fit()
    assert fit.verdict is Verdict.UNKNOWN
    assert preview.facts.problem is not None
    assert fit.reasons == (preview.facts.problem.message,)
    assert preview.fit_as_planned().verdict is Verdict.UNKNOWN


def test_the_memory_of_the_loaded_model_counts_as_free(services: AppServices) -> None:
    install_tiny_model(services.paths.data)
    preview = services.load_previews.open(TINY_KEY)
    assert credited(Request(), services.engine.loaded()) == Request()
    recorder = EventRecorder(services)
    services.engine.load(TINY_KEY)
    recorder.wait_for(ModelLoaded)
    pid = services.engine.pid
    assert pid is not None
    credit = credited(Request(), services.engine.loaded()).credit_bytes
    assert 1_000_000 < credit <= psutil.Process(pid).memory_info().rss
    report = services.hardware.report
    assert report is not None
    (host,) = [device for device in preview.fit().devices if device.kind == "cpu"]
    limit = report.memory.container_limit_bytes or report.memory.total_bytes
    assert host.free_bytes > report.memory.available_bytes or host.free_bytes >= limit


# --- the engine ------------------------------------------------------------------------------------
@pytest.mark.parametrize(("damage", "code"), OUTCOMES)
def test_whatever_the_file_does_to_the_engine_is_told_in_words(
        with_engine: AppServices, tmp_path: Path, expect_log, damage, code: str) -> None:
    if code == "engine_crashed":
        expect_log("the engine ended")
    path = damage(tmp_path / "bad-Q8_0.gguf")
    recorder = EventRecorder(with_engine)
    with_engine.engine.load(str(path), anyway=True)
    failed = recorder.wait_for(EngineFailed, timeout_s=60)
    assert failed.error.code == code
    assert not with_engine.engine.state.may_be_tried
    install_tiny_model(with_engine.paths.data)
    with_engine.engine.load(TINY_KEY)
    recorder.wait_for(ModelLoaded, timeout_s=60)


def test_a_model_that_seemed_too_large_runs_where_it_does_after_all(with_engine: AppServices, monkeypatch) -> None:
    install_tiny_model(with_engine.paths.data)
    set_computer(with_engine, monkeypatch, FULL)
    recorder = EventRecorder(with_engine)
    with_engine.engine.load(TINY_KEY)
    recorder.wait_for(EngineFailed, timeout_s=60)
    assert with_engine.engine.state.may_be_tried
    with_engine.engine.load(TINY_KEY, anyway=True)
    loaded = recorder.wait_for(ModelLoaded, timeout_s=60)
    assert loaded.info.ctx > 0
    assert with_engine.engine.state.fit is None

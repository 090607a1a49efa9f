"""Dry runs against real loads: the same caches and buffers, without a byte of weights."""

from __future__ import annotations

import os
import signal
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from localai_app import errors
from localai_app.engine.launch import planner_command
from localai_app.engine.protocol import KvType, LoadOptions, Planned, PlannedBuffer
from localai_app.errors import AppError
from localai_app.fit.planned import PlannedMemory, PlannedPoint
from localai_app.gguf.header import GgufHeader, ValueType
from localai_app.gguf.plan_header import plan_header, write_plan_file
from localai_app.gguf.reader import read_header_file
from localai_app.services.dry_run import DryRun, DryRunService
from localai_app.services.planner import Planner
from tests.helpers.gguf_architectures import ARCHITECTURES, write_architecture
from tests.helpers.gguf_files import write_tiny_gguf
from tests.helpers.real_load import allocated
from tests.helpers.real_models import gemma_path, smollm2_path

pytestmark = pytest.mark.model

CONTEXTS = (4096, 6144)
KV_TYPES = (KvType.F16, KvType.Q8_0)
ROUNDING_BYTES = 32 * 1024
"""llama.cpp logs each buffer in MiB with two decimals."""


@pytest.fixture
def dry_runs(tmp_path: Path) -> Iterator[DryRunService]:
    service = make_service(tmp_path)
    yield service
    service.close()


def make_service(folder: Path, planner: Planner | None = None) -> DryRunService:
    return DryRunService(planner_command(), folder / "cache" / "worker", folder / "cache", planner)


def model_file(name: str, folder: Path) -> Path:
    if name in ARCHITECTURES:
        return write_architecture(folder / f"{name}.gguf", name)
    return gemma_path() if name == "gemma" else smollm2_path()


def run(service: DryRunService, headers: Sequence[GgufHeader], ctx: int = 4096, kv_type: KvType = KvType.F16) -> PlannedMemory:
    result = service.run(headers, ctx=ctx, kv_type=kv_type)
    assert result.planned is not None, result.refusal and (result.refusal.message, result.refusal.detail)
    return result.planned


def point_at(planned: PlannedMemory, ctx: int, kv_type: KvType) -> PlannedPoint:
    (point,) = [point for point in planned.on_cpu if (point.ctx, point.kv_type) == (ctx, kv_type)]
    return point


@pytest.mark.parametrize("name", ["smollm2", "gemma", *ARCHITECTURES])
def test_a_dry_run_says_what_a_real_load_allocates(name: str, tmp_path: Path, dry_runs: DryRunService) -> None:
    path = model_file(name, tmp_path)
    headers = [read_header_file(path)]
    cases = [(ctx, kv_type) for ctx in CONTEXTS for kv_type in KV_TYPES]
    planned = [point_at(run(dry_runs, headers, *case), *case) for case in cases]
    real = allocated([(path, ctx, kv_type.value) for ctx, kv_type in cases])
    for case, plan, load in zip(cases, planned, real, strict=True):
        assert plan.kv_bytes == pytest.approx(load["kv"], rel=0.01, abs=ROUNDING_BYTES), case
        assert plan.repacked_bytes == pytest.approx(load["repacked"], abs=ROUNDING_BYTES), case
        assert plan.host_bytes == pytest.approx(load["compute"] + load["output"], rel=0.01, abs=ROUNDING_BYTES), case


@pytest.mark.parametrize("name", ["smollm2", "gemma", *ARCHITECTURES])
def test_caches_and_buffers_grow_on_a_line(name: str, tmp_path: Path, dry_runs: DryRunService) -> None:
    headers = [read_header_file(model_file(name, tmp_path))]
    for kv_type in KvType:
        start, between, end = (point_at(run(dry_runs, headers, ctx, kv_type), ctx, kv_type) for ctx in (4096, 6144, 8192))
        for field in ("kv_bytes", "host_bytes"):
            middle = (getattr(start, field) + getattr(end, field)) / 2
            assert getattr(between, field) == pytest.approx(middle, abs=ROUNDING_BYTES), (kv_type, field)


def test_a_large_vocabulary_costs_no_time(tmp_path: Path) -> None:
    header = plan_header([read_header_file(gemma_path())])
    path = tmp_path / "plan.gguf"
    write_plan_file(path, header)
    assert len(header.data) < 100_000
    planner = Planner(planner_command(), tmp_path / "worker")
    try:
        options = LoadOptions(model_path="", ctx=4096)
        times = [planner.plan(path, msgspec.structs.replace(options, ctx=ctx)).plan_s for ctx in (4096, 8192, 16384)]
    finally:
        planner.close()
    assert min(times) < 0.05, times


def test_the_full_header_is_planned_alike(tmp_path: Path) -> None:
    planner = Planner(planner_command(), tmp_path / "worker")
    try:
        for path in (smollm2_path(), gemma_path()):
            short = tmp_path / path.name
            write_plan_file(short, plan_header([read_header_file(path)]))
            options = LoadOptions(model_path="", ctx=8192)
            assert planner.plan(short, options).buffers == planner.plan(path, options).buffers
    finally:
        planner.close()


def test_what_is_known_is_not_asked_again(tmp_path: Path) -> None:
    headers = [read_header_file(write_tiny_gguf(tmp_path / "tiny.gguf"))]
    service = make_service(tmp_path)
    assert service.known(headers) is None
    first = run(service, headers)
    assert service.known(headers) == first
    service.close()
    again = make_service(tmp_path, Planner(["no-such-program"], tmp_path))
    assert run(again, headers) == first
    assert list((tmp_path / "cache" / "plans").glob("*.gguf")) == []
    again.close()


def test_a_damaged_cache_file_is_planned_anew(tmp_path: Path, dry_runs: DryRunService) -> None:
    headers = [read_header_file(write_tiny_gguf(tmp_path / "tiny.gguf"))]
    first = run(dry_runs, headers)
    (file,) = (tmp_path / "cache" / "plans").glob("*.json")
    for content in (b"", b"{}", b"\xff\xfe", file.read_bytes()[:-20], file.read_bytes().replace(b'"ctx":', b'"ctx":-')):
        file.write_bytes(content)
        other = make_service(tmp_path)
        assert run(other, headers) == first
        other.close()


def damaged(header: GgufHeader, key: str, value: int, value_type: ValueType | None = None) -> GgufHeader:
    """The header with a value that our own reader would have refused."""
    types = dict(header.value_types)
    types[key] = value_type or types[key]
    return replace(header, metadata=header.metadata | {key: value}, value_types=types)


def refused(service: DryRunService, header: GgufHeader) -> DryRun:
    result = service.run([header], ctx=4096, kv_type=KvType.F16)
    assert result.planned is None
    assert result.refusal is not None
    assert result.refusal.message
    return result


@pytest.mark.parametrize(("key", "value", "code"), [
    ("llama.block_count", 600, "engine_crashed"), ("llama.feed_forward_length", 77, "model_load_failed"),
    ("llama.attention.head_count", 0, "model_load_failed"),
])
def test_a_header_that_aborts_llama_cpp_ends_in_words(
    key: str, value: int, code: str, tmp_path: Path, dry_runs: DryRunService,
) -> None:
    good = read_header_file(write_tiny_gguf(tmp_path / "tiny.gguf"))
    result = refused(dry_runs, damaged(good, key, value))
    assert result.refusal is not None
    assert result.refusal.code == code
    assert result.is_final == (code == "engine_crashed")
    assert code == "engine_crashed" or "tiny.gguf" in result.refusal.message
    assert run(dry_runs, [good]).on_cpu


def test_an_unknown_architecture_is_named(tmp_path: Path, dry_runs: DryRunService) -> None:
    path = write_tiny_gguf(tmp_path / "tiny.gguf")
    data = path.read_bytes().replace(b"llama.", b"wombt.").replace(
        struct.pack("<Q", 5) + b"llama" + struct.pack("<Q", 12) + b"general.name",
        struct.pack("<Q", 5) + b"wombt" + struct.pack("<Q", 12) + b"general.name")
    path.write_bytes(data)
    result = refused(dry_runs, read_header_file(path))
    assert result.refusal is not None
    assert result.refusal.code == "architecture_unknown"
    assert "wombt" in result.refusal.message
    assert result.is_final


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_planner_that_is_killed_is_started_again(tmp_path: Path) -> None:
    planner = Planner(planner_command(), tmp_path / "worker")
    service = make_service(tmp_path, planner)
    try:
        run(service, [read_header_file(write_tiny_gguf(tmp_path / "one.gguf"))])
        pid = planner.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        run(service, [read_header_file(write_tiny_gguf(tmp_path / "two.gguf", n_layer=3))])
        assert planner.pid not in (None, pid)
    finally:
        service.close()


def test_an_idle_planner_ends(tmp_path: Path) -> None:
    planner = Planner(planner_command(), tmp_path / "worker", idle_s=0.2)
    service = make_service(tmp_path, planner)
    try:
        run(service, [read_header_file(write_tiny_gguf(tmp_path / "one.gguf"))])
        assert planner.pid is not None
        end_s = time.monotonic() + 10
        while planner.pid is not None and time.monotonic() < end_s:
            time.sleep(0.02)
        assert planner.pid is None
        run(service, [read_header_file(write_tiny_gguf(tmp_path / "two.gguf", n_layer=3))])
    finally:
        service.close()


def test_a_planner_that_takes_too_much_memory_is_ended(tmp_path: Path) -> None:
    planner = Planner(planner_command(), tmp_path / "worker", memory_bytes=1024**2)
    service = make_service(tmp_path, planner)
    try:
        result = service.run([read_header_file(gemma_path())], ctx=4096, kv_type=KvType.F16)
    finally:
        service.close()
    assert result.refusal is not None
    assert result.refusal.code == "engine_out_of_memory"


def test_many_callers_get_the_same_answer(tmp_path: Path, dry_runs: DryRunService) -> None:
    headers = [read_header_file(write_tiny_gguf(tmp_path / "tiny.gguf"))]
    answers: list[PlannedMemory] = []
    threads = [threading.Thread(target=lambda: answers.append(run(dry_runs, headers))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [answers[0]] * 6


class FullGpuPlanner:
    """Stands for a worker that ends when it is to plan for a GPU."""

    def plan(self, _path: Path, options: LoadOptions) -> Planned:
        """Of the processor only."""
        if options.devices:
            raise AppError(errors.ENGINE_CRASHED, cause="the GPU is full")
        host = PlannedBuffer(device="CPU", kind="cpu", compute_bytes=1 << 20)
        return Planned(id=1, buffers=(host,), n_layer=5, gpu_layers=0, plan_s=0.0, engine_build="test")

    def rest(self) -> None:
        """Nothing runs."""

    close = rest


def test_a_gpu_that_cannot_be_planned_for_says_nothing_against_the_header(tmp_path: Path) -> None:
    service = make_service(tmp_path, FullGpuPlanner())  # type: ignore[arg-type]
    headers = [read_header_file(write_tiny_gguf(tmp_path / "tiny.gguf"))]
    for _again in range(2):
        found = service.run(headers, ctx=4096, kv_type=KvType.F16, gpu="CUDA0")
        assert found.refusal is None
        assert found.planned is not None
        assert found.planned.covers(KvType.F16, on_gpu=False)
        assert not found.planned.covers(KvType.F16, on_gpu=True)
    service.close()


def test_without_an_engine_there_is_no_dry_run(tmp_path: Path) -> None:
    service = DryRunService(None, tmp_path / "worker", tmp_path)
    headers = [read_header_file(write_tiny_gguf(tmp_path / "tiny.gguf"))]
    assert service.run(headers, ctx=4096, kv_type=KvType.F16) == DryRun()
    assert service.known(headers) is None
    service.close()

"""Planned memory in place of formulas: exact where llama.cpp was asked, on a line between, in proportion beyond."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app.engine.protocol import KvType
from localai_app.fit.decide import decide
from localai_app.fit.kv_cache import kv_cache_bytes
from localai_app.fit.memory import ModelMemory
from localai_app.fit.planned import Correction, PlannedMemory, PlannedPoint
from localai_app.fit.result import Basis, FitResult, Request, Verdict
from localai_app.gguf.geometry import Geometry
from localai_app.hardware.report import Gpu
from localai_app.units import GIB, MIB
from tests.helpers import fit_subjects as models
from tests.helpers.fit_subjects import computer, gpu_table, nvidia, subject

TABLE = gpu_table()
GPU_BYTES = 777 * MIB


def planned_memory(kv_factor: float = 1.0, *, on_gpu: bool = False, ubatch: int = 512) -> PlannedMemory:
    """Plans of Qwen3 8B at 4k and 32k, `kv_factor` times what the formula says; its buffers are 300 MiB and 1 kB a position."""

    def points(gpu_bytes: int) -> tuple[PlannedPoint, ...]:
        return tuple(
            PlannedPoint(
                ctx=ctx, kv_type=kv_type, kv_bytes=int(kv_factor * kv_cache_bytes(models.QWEN3_8B, ctx, kv_type)),
                host_bytes=300 * MIB + ctx * 1024, gpu_bytes=gpu_bytes)
            for ctx in (4096, 32768) for kv_type in (KvType.F16, KvType.Q8_0))

    return PlannedMemory(
        ubatch=ubatch, on_cpu=points(0), on_gpu=points(GPU_BYTES) if on_gpu else (), refused=(KvType.Q4_0,))


def fit(planned: PlannedMemory | None, request: Request, *, ram_gib: float = 64, gpus: tuple[Gpu, ...] = ()) -> FitResult:
    asked = msgspec.structs.replace(subject(models.QWEN3_8B), planned=planned)
    return decide(computer(ram_gib, gpus=gpus), asked, request, TABLE)


@pytest.mark.parametrize("kv_type", [KvType.F16, KvType.Q8_0])
def test_a_planned_context_takes_what_was_planned(kv_type: KvType) -> None:
    planned = planned_memory(kv_factor=1.5)
    result = fit(planned, Request(ctx=4096, kv_type=kv_type))
    (point,) = [point for point in planned.on_cpu if (point.ctx, point.kv_type) == (4096, kv_type)]
    assert (result.kv_bytes, result.compute_bytes) == (point.kv_bytes, point.host_bytes)
    assert result.basis is Basis.DRY_RUN


def test_a_context_between_two_plans_lies_on_their_line() -> None:
    result = fit(planned_memory(kv_factor=1.5), Request(ctx=20480))
    assert result.kv_bytes == pytest.approx(1.5 * kv_cache_bytes(models.QWEN3_8B, 20480, KvType.F16), rel=1e-6)
    assert result.compute_bytes == pytest.approx(300 * MIB + 20480 * 1024, rel=1e-6)


def test_where_formula_and_plan_agree_nothing_changes() -> None:
    request = Request(ctx=10_000)
    with_plan, without = fit(planned_memory(), request), fit(None, request)
    assert with_plan.kv_bytes == without.kv_bytes
    assert without.basis is Basis.HEADER


def test_a_difference_is_told_with_its_size() -> None:
    reasons = fit(planned_memory(kv_factor=2.0), Request(ctx=4096)).reasons
    (told,) = [reason for reason in reasons if "by llama.cpp's own plan" in reason]
    # 2 x 576 MiB of cache and 304 MiB of buffers are planned; the formula knows half of the cache.
    assert told.startswith("Context and buffers take 1.4 GiB")
    assert told.endswith("% less.")


def test_rearranged_weights_are_told_and_counted_once() -> None:
    planned = planned_memory()
    points = tuple(msgspec.structs.replace(point, repacked_bytes=3 * GIB) for point in planned.on_cpu)
    request = Request(ctx=4096)
    plain, repacked = fit(planned, request), fit(msgspec.structs.replace(planned, on_cpu=points), request)
    assert repacked.total_bytes == plain.total_bytes
    assert any("rearranges 3.0 GiB of the weights" in reason for reason in repacked.reasons)
    assert not any("rearranges" in reason for reason in plain.reasons)


def test_parts_without_a_formula_are_counted_by_the_plan() -> None:
    unknown = msgspec.structs.replace(models.QWEN3_8B, unknown_parts=("the cache of the indexer",))
    asked = msgspec.structs.replace(subject(unknown), planned=planned_memory(kv_factor=1.2))
    planned = decide(computer(64), asked, Request(ctx=4096), TABLE)
    formula = decide(computer(64), subject(unknown), Request(ctx=4096), TABLE)
    assert planned.verdict is Verdict.CPU
    assert not any("the cache of the indexer" in reason for reason in planned.reasons)
    assert formula.verdict is Verdict.UNKNOWN
    assert "the cache of the indexer" in formula.reasons[0]


def test_a_model_whose_caches_are_unknown_takes_the_planned_ones() -> None:
    blank: Geometry = msgspec.structs.replace(models.QWEN3_8B, cache_layers=())
    planned = planned_memory(kv_factor=1.0)
    memory = ModelMemory(blank, models.weights(blank), 512, planned)
    whole = memory.at(4096, KvType.F16).kv(0, memory.blocks)
    assert whole == planned.on_cpu[0].kv_bytes
    half = memory.blocks // 2
    parts = memory.at(4096, KvType.F16).kv(0, half) + memory.at(4096, KvType.F16).kv(half, memory.blocks)
    assert parts == whole


def test_a_refused_cache_type_is_told_and_has_no_longest_context() -> None:
    planned = planned_memory()
    assert fit(planned, Request(ctx=4096)).max_ctx["q4_0"] == 0
    asked = fit(planned, Request(ctx=4096, kv_type=KvType.Q4_0))
    assert asked.verdict is Verdict.UNKNOWN
    assert "q4_0" in asked.reasons[0]


def test_a_plan_for_another_ubatch_is_not_used() -> None:
    assert fit(planned_memory(ubatch=256), Request(ctx=4096)).basis is Basis.HEADER


def test_a_gpu_is_planned_only_where_one_was_asked() -> None:
    card = (nvidia("RTX 4090", 24),)
    without = fit(planned_memory(), Request(ctx=4096), gpus=card)
    with_plan = fit(planned_memory(on_gpu=True), Request(ctx=4096), gpus=card)
    assert (without.verdict, without.basis) == (Verdict.GPU, Basis.HEADER)
    assert (with_plan.verdict, with_plan.basis) == (Verdict.GPU, Basis.DRY_RUN)
    assert with_plan.devices[0].compute_bytes == GPU_BYTES
    host = with_plan.devices[-1]
    assert host.compute_bytes == 300 * MIB + 4096 * 1024


@given(
    st.lists(st.tuples(st.integers(1, 512), st.integers(1, 10**12)), max_size=5, unique_by=lambda sample: sample[0]),
    st.lists(st.integers(1, 4096), min_size=2, max_size=2).map(sorted),
)
def test_more_context_never_takes_less(samples: list[tuple[int, int]], contexts: list[int]) -> None:
    planned = sorted(size for _cells, size in samples)
    rising = [(cells * 256, size) for (cells, _), size in zip(sorted(samples), planned, strict=True)]
    correction = Correction(rising, lambda ctx: 1000 * ctx)
    smaller, larger = (correction.apply(1000 * ctx * 256, ctx * 256) for ctx in contexts)
    assert 0 <= smaller <= larger


@given(st.integers(256, 131_072), st.integers(256, 131_072), st.floats(0.2, 5.0))
def test_a_fit_with_any_plan_has_sound_figures(ctx: int, other: int, factor: float) -> None:
    shorter, longer = sorted((ctx, other))
    planned = planned_memory(factor)
    first, second = fit(planned, Request(ctx=shorter)), fit(planned, Request(ctx=longer))
    assert first.kv_bytes <= second.kv_bytes
    assert first.total_bytes <= second.total_bytes
    assert first.total_bytes == sum(device.total_bytes for device in first.devices)

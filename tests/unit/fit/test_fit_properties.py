"""What holds for every model, computer and wish."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from localai_app.engine.protocol import KvType
from localai_app.fit.decide import decide
from localai_app.fit.kv_cache import kv_cache_bytes
from localai_app.fit.result import Basis, FitResult, Request, Subject, Verdict
from localai_app.gguf.geometry import CacheLayer, Geometry, Weights
from localai_app.hardware.report import Gpu, HardwareReport, Vendor
from localai_app.units import GIB
from tests.helpers.fit_subjects import computer, gpu_table
from tests.helpers.torture import rounds

GPUS = gpu_table()
RANKS = {Verdict.NO: 0, Verdict.CPU: 1, Verdict.GPU_PARTIAL: 2, Verdict.GPU: 3}
NAMES = ("NVIDIA GeForce RTX 4090", "AMD Radeon 780M Graphics", "Apple M2", "Unknown")


@st.composite
def subjects(draw: st.DrawFn) -> Subject:
    blocks = draw(st.integers(1, 40))
    elements = draw(st.sampled_from((64, 512, 1000, 4096)))
    owners = draw(st.integers(0, blocks))
    cache_layers = tuple(
        CacheLayer(k_elements=elements, v_elements=draw(st.sampled_from((0, elements))), sliding=draw(st.booleans()),
            block=block)
        for block in range(owners))
    n_expert = draw(st.sampled_from((0, 8)))
    geometry = Geometry(
        architecture="any", n_layer=blocks, n_embd=draw(st.integers(64, 8192)), n_vocab=draw(st.integers(100, 262_144)),
        n_ff=draw(st.integers(64, 32_768)), n_head=draw(st.integers(1, 64)), head_dim=draw(st.integers(16, 512)),
        ctx_train=draw(st.sampled_from((0, 100, 2048, 8192, 131_072, 131_000))), cache_layers=cache_layers,
        sliding_window=draw(st.sampled_from((0, 512, 4096))), recurrent_state_bytes=draw(st.sampled_from((0, 10_000_001))),
        recurrent_blocks=tuple(range(draw(st.integers(0, blocks)))),
        n_expert=n_expert, n_expert_used=2 if n_expert else 0, params_total=draw(st.integers(0, 10**11)),
        params_active=draw(st.integers(0, 10**10)))
    layer_bytes = tuple(draw(st.lists(st.integers(1, 2 * GIB), min_size=blocks, max_size=blocks)))
    weights = Weights(
        layers_bytes=layer_bytes, layers_expert_bytes=tuple(size // 2 if n_expert else 0 for size in layer_bytes),
        output_bytes=draw(st.integers(0, GIB)), input_bytes=draw(st.integers(0, GIB)), tied_embeddings=draw(st.booleans()),
        projector_bytes=draw(st.sampled_from((0, GIB))))
    label = draw(st.sampled_from(("", "Q4_K_M", "IQ2_S")))
    return Subject(name="any", geometry=geometry, weights=weights, basis=Basis.HEADER, label=label)


@st.composite
def computers(draw: st.DrawFn) -> HardwareReport:
    gpus = []
    for index in range(draw(st.integers(0, 3))):
        total = draw(st.one_of(st.none(), st.integers(0, 80 * GIB)))
        free = draw(st.one_of(st.none(), st.integers(0, total or 80 * GIB)))
        gpus.append(Gpu(
            index=index, name=draw(st.sampled_from(NAMES)), vendor=draw(st.sampled_from(list(Vendor))), total_bytes=total,
            free_bytes=free, unified=draw(st.booleans())))
    total_gib = draw(st.integers(1, 256))
    return computer(
        total_gib, draw(st.floats(0, 1)) * total_gib, tuple(gpus), cores=draw(st.integers(0, 64)),
        bandwidth_gb_s=draw(st.one_of(st.none(), st.floats(1, 400))))


requests = st.builds(
    Request, ctx=st.one_of(st.none(), st.integers(1, 2_000_000)), kv_type=st.sampled_from(list(KvType)),
    gpu_layers=st.one_of(st.none(), st.integers(0, 60)), ubatch=st.sampled_from((1, 256, 512)),
    credit_bytes=st.sampled_from((0, GIB)), experts_on_cpu=st.one_of(st.none(), st.integers(0, 60)),
    excluded_devices=st.sampled_from(((), NAMES[:1], NAMES)), device_credits=st.sampled_from(((), ((NAMES[0], GIB),))))


def answer(hardware: HardwareReport, subject: Subject, request: Request) -> FitResult:
    return decide(hardware, subject, request, GPUS)


@settings(max_examples=rounds(100, 2500), deadline=None)
@given(computers(), subjects(), requests)
def test_totals_add_up_and_stay_within_the_budgets(hardware: HardwareReport, subject: Subject, request: Request) -> None:
    result = answer(hardware, subject, request)
    assert result.total_bytes == result.weights_bytes + result.kv_bytes + result.compute_bytes + result.overhead_bytes
    assert result.total_bytes == sum(device.total_bytes for device in result.devices)
    for device in result.devices:
        assert device.total_bytes == device.weights_bytes + device.kv_bytes + device.compute_bytes + device.overhead_bytes
    assert sum(device.layers for device in result.devices) == len(subject.weights.layers_bytes) + 1
    assert (result.load_options is None) == (result.verdict is Verdict.NO)
    if result.load_options is not None:
        assert result.load_options.gpu_layers == sum(device.layers for device in result.devices if device.kind == "gpu")
        assert result.load_options.ctx == result.ctx
        for device in result.devices:
            assert device.total_bytes <= max(0, device.free_bytes - device.reserve_bytes)
        host = result.devices[-1]
        in_host = host.total_bytes + sum(device.total_bytes for device in result.devices[:-1] if device.shares_host)
        kept_bytes = result.load_options.kept_bytes
        assert kept_bytes == 0 or in_host + 2 * kept_bytes <= host.free_bytes - host.reserve_bytes
    assert result.reasons
    assert (result.speed.low is None) == (result.speed.high is None)
    if result.speed.low is not None and result.speed.high is not None:
        assert 0 < result.speed.low < result.speed.high


@settings(max_examples=rounds(60, 1500), deadline=None)
@given(computers(), subjects(), requests, st.integers(0, 60), st.integers(0, 60))
def test_less_memory_never_improves_the_verdict(
    hardware: HardwareReport, subject: Subject, request: Request, gpu_gib: int, ram_gib: int
) -> None:
    smaller = msgspec.structs.replace(
        hardware,
        memory=msgspec.structs.replace(
            hardware.memory, available_bytes=max(0, hardware.memory.available_bytes - ram_gib * GIB)),
        gpus=tuple(
            gpu if gpu.free_bytes is None else msgspec.structs.replace(gpu, free_bytes=max(0, gpu.free_bytes - gpu_gib * GIB))
            for gpu in hardware.gpus))
    before, after = answer(hardware, subject, request), answer(smaller, subject, request)
    assert RANKS[after.verdict] <= RANKS[before.verdict]


@settings(max_examples=rounds(60, 1500), deadline=None)
@given(computers(), subjects(), requests, st.integers(101, 400))
def test_more_bits_never_improve_the_verdict(
    hardware: HardwareReport, subject: Subject, request: Request, percent: int
) -> None:
    weights = subject.weights
    larger = msgspec.structs.replace(subject, weights=msgspec.structs.replace(
        weights, layers_bytes=tuple(size * percent // 100 for size in weights.layers_bytes),
        layers_expert_bytes=tuple(size * percent // 100 for size in weights.layers_expert_bytes),
        output_bytes=weights.output_bytes * percent // 100, input_bytes=weights.input_bytes * percent // 100))
    assert RANKS[answer(hardware, larger, request).verdict] <= RANKS[answer(hardware, subject, request).verdict]


@settings(max_examples=rounds(60, 1500), deadline=None)
@given(computers(), subjects(), st.integers(1, 200_000), st.integers(1, 200_000), st.sampled_from(list(KvType)))
def test_a_longer_context_never_improves_the_verdict(
    hardware: HardwareReport, subject: Subject, one: int, other: int, kv_type: KvType
) -> None:
    shorter, longer = sorted((one, other))
    assert kv_cache_bytes(subject.geometry, shorter, kv_type) <= kv_cache_bytes(subject.geometry, longer, kv_type)
    small = answer(hardware, subject, Request(ctx=shorter, kv_type=kv_type))
    large = answer(hardware, subject, Request(ctx=longer, kv_type=kv_type))
    assert RANKS[large.verdict] <= RANKS[small.verdict]


@settings(max_examples=rounds(60, 1500), deadline=None)
@given(computers(), subjects(), st.sampled_from(list(KvType)))
def test_the_verdict_flips_at_the_longest_context(hardware: HardwareReport, subject: Subject, kv_type: KvType) -> None:
    result = answer(hardware, subject, Request(kv_type=kv_type))
    limit = result.max_ctx[kv_type.value]
    if limit == 0:
        assert result.verdict is Verdict.NO
        return
    at_limit = answer(hardware, subject, Request(ctx=limit, kv_type=kv_type))
    assert RANKS[at_limit.verdict] >= max(1, RANKS[result.verdict])
    beyond = limit // 256 * 256 + 257
    if not subject.geometry.ctx_train or beyond <= subject.geometry.ctx_train:
        after = answer(hardware, subject, Request(ctx=beyond, kv_type=kv_type))
        assert subject.geometry.ctx_train == 0 or RANKS[after.verdict] < max(1, RANKS[result.verdict])


@given(subjects(), st.integers(1, 500_000))
def test_smaller_cache_types_need_less(subject: Subject, ctx: int) -> None:
    geometry = msgspec.structs.replace(subject.geometry, recurrent_state_bytes=0)
    f16, q8, q4 = (kv_cache_bytes(geometry, ctx, kv_type) for kv_type in KvType)
    assert q4 <= q8 <= f16
    if f16:
        assert 0.53 <= q8 / f16 <= 0.56

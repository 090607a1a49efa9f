"""What holds for the speed of every model on every computer, at every depth."""

from __future__ import annotations

import math
from itertools import pairwise

import msgspec
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from localai_app.engine.protocol import KvType
from localai_app.fit.decide import decide
from localai_app.fit.result import Basis, Request, SpeedBasis, SpeedRange, Subject
from localai_app.gguf.geometry import CacheLayer, Geometry, Weights
from localai_app.hardware.report import Gpu, HardwareReport, Vendor
from localai_app.units import GIB
from tests.helpers.fit_subjects import computer, gpu_table
from tests.helpers.torture import rounds

GPUS = gpu_table()
NAMES = (
    ("NVIDIA GeForce RTX 4090", Vendor.NVIDIA), ("NVIDIA H100 NVL", Vendor.NVIDIA), ("AMD Radeon 780M Graphics", Vendor.AMD),
    ("Apple M3 Max (40-core GPU)", Vendor.APPLE), ("Intel(R) Arc(TM) B580 Graphics", Vendor.INTEL), ("Unknown", Vendor.OTHER))


@st.composite
def subjects(draw: st.DrawFn) -> Subject:
    """Any mixture of full, sliding, compressed and recurrent layers, with and without experts."""
    blocks = draw(st.integers(1, 24))
    elements = draw(st.sampled_from((64, 512, 4096)))
    kinds = draw(st.lists(st.sampled_from(("full", "sliding", "compressed", "none")), min_size=blocks, max_size=blocks))
    cache_layers = tuple(
        CacheLayer(
            k_elements=elements, v_elements=0 if kind == "compressed" else elements, sliding=kind == "sliding", block=block)
        for block, kind in enumerate(kinds) if kind != "none")
    recurrent = tuple(block for block, kind in enumerate(kinds) if kind == "none")
    n_expert = draw(st.sampled_from((0, 8)))
    params = draw(st.sampled_from((0, 10**6, 10**9, 10**11)))
    geometry = Geometry(
        architecture="any", n_layer=blocks, n_embd=draw(st.integers(64, 8192)), n_vocab=draw(st.integers(100, 262_144)),
        n_ff=draw(st.integers(64, 32_768)), n_head=draw(st.integers(1, 128)), head_dim=draw(st.integers(16, 576)),
        ctx_train=draw(st.sampled_from((0, 100, 8192, 131_072))), cache_layers=cache_layers,
        sliding_window=draw(st.sampled_from((0, 128, 4096))),
        recurrent_state_bytes=draw(st.sampled_from((0, 10_000_001))) if recurrent else 0, recurrent_blocks=recurrent,
        n_expert=n_expert, n_expert_used=draw(st.integers(1, 8)) if n_expert else 0, params_total=params,
        params_active=draw(st.integers(0, params)))
    size = draw(st.integers(1, GIB))
    weights = Weights(
        layers_bytes=(size,) * blocks, layers_expert_bytes=(size // 2 if n_expert else 0,) * blocks,
        output_bytes=draw(st.integers(0, GIB)), input_bytes=draw(st.integers(0, GIB)), tied_embeddings=draw(st.booleans()))
    return Subject(
        name="any", geometry=geometry, weights=weights, basis=Basis.HEADER,
        label=draw(st.sampled_from(("", "Q4_K_M", "IQ2_S", "F16"))))


@st.composite
def computers(draw: st.DrawFn) -> HardwareReport:
    """None to two GPUs beside a processor whose memory was measured, or not."""
    gpus = []
    for index in range(draw(st.integers(0, 2))):
        name, vendor = draw(st.sampled_from(NAMES))
        total = draw(st.integers(0, 96)) * GIB
        gpus.append(Gpu(
            index=index, name=name, vendor=vendor, total_bytes=total, free_bytes=total, unified=draw(st.booleans())))
    return computer(
        draw(st.integers(1, 1024)), None, tuple(gpus), cores=draw(st.integers(0, 128)),
        bandwidth_gb_s=draw(st.one_of(st.none(), st.just(0.0), st.floats(0.01, 1000))),
        instruction_sets=draw(st.sampled_from((("sse2",), ("avx2",), ("avx512f",), ()))))


kv_types = st.sampled_from(list(KvType))


def speed_of(hardware: HardwareReport, subject: Subject, request: Request) -> SpeedRange:
    return decide(hardware, subject, request, GPUS).speed


@settings(max_examples=rounds(120, 3000), deadline=None)
@given(
    computers(), subjects(), kv_types, st.one_of(st.none(), st.integers(1, 2_000_000)),
    st.one_of(st.none(), st.integers(0, 40)))
def test_speeds_are_positive_numbers_in_order(
    hardware: HardwareReport, subject: Subject, kv_type: KvType, ctx: int | None, gpu_layers: int | None,
) -> None:
    speed = speed_of(hardware, subject, Request(ctx=ctx, kv_type=kv_type, gpu_layers=gpu_layers))
    pairs = [
        (speed.low, speed.high), (speed.full_low, speed.full_high), (speed.prompt_low, speed.prompt_high),
        (speed.full_prompt_low, speed.full_prompt_high)]
    for low, high in pairs:
        assert (low is None) == (high is None)
        if low is not None and high is not None:
            assert 0 < low <= high < math.inf
    assert (speed.basis is SpeedBasis.UNKNOWN) == (speed.low is None)
    if speed.low is None:
        assert speed.prompt_low is None
    else:
        assert speed.full_high is not None
        assert speed.high is not None
        assert speed.full_high <= speed.high
    assert (speed.prompt_low is None) == (speed.full_prompt_low is None)


@settings(max_examples=rounds(60, 1500), deadline=None)
@given(computers(), subjects(), kv_types, st.lists(st.integers(1, 200_000), min_size=2, max_size=4))
def test_answers_and_prompts_never_get_faster_with_a_fuller_context(
    hardware: HardwareReport, subject: Subject, kv_type: KvType, contexts: list[int],
) -> None:
    # No layers on GPUs, so that every context is placed alike.
    speeds = [speed_of(hardware, subject, Request(ctx=ctx, kv_type=kv_type, gpu_layers=0)) for ctx in sorted(contexts)]
    assume(all(speed.full_low is not None for speed in speeds))
    answers = [speed.full_low or 0.0 for speed in speeds]
    prompts = [speed.full_prompt_low or 0.0 for speed in speeds]
    assert answers == sorted(answers, reverse=True)
    assert all(later <= earlier * (1 + 1e-9) for earlier, later in pairwise(prompts))


@settings(max_examples=rounds(60, 1500), deadline=None)
@given(computers(), subjects(), kv_types, st.integers(101, 400))
def test_answers_never_get_faster_with_more_bits(
    hardware: HardwareReport, subject: Subject, kv_type: KvType, percent: int,
) -> None:
    weights = subject.weights
    larger = msgspec.structs.replace(subject, weights=msgspec.structs.replace(
        weights, layers_bytes=tuple(size * percent // 100 for size in weights.layers_bytes),
        layers_expert_bytes=tuple(size * percent // 100 for size in weights.layers_expert_bytes),
        output_bytes=weights.output_bytes * percent // 100, input_bytes=weights.input_bytes * percent // 100))
    smaller_speed, larger_speed = (
        speed_of(hardware, one, Request(ctx=256, kv_type=kv_type, gpu_layers=0)) for one in (subject, larger))
    assume(smaller_speed.low is not None and larger_speed.low is not None)
    assert (larger_speed.low or 0.0) <= (smaller_speed.low or 0.0) * 1.02

"""Predicted speeds against measured ones."""

from __future__ import annotations

import json

import msgspec
import pytest

from localai_app.engine.protocol import KvType
from localai_app.fit.decide import decide
from localai_app.fit.result import FitResult, Request, SpeedBasis, Subject, slowdown_words
from localai_app.gguf.geometry import Geometry
from localai_app.hardware.report import Gpu, HardwareReport, Vendor
from localai_app.units import GIB
from tests.helpers import fit_subjects as models
from tests.helpers.fit_subjects import computer, integrated, nvidia, subject

GPUS = models.gpu_table()
BENCH_DEPTH = 64
"""Mean depth of the 128 tokens that llama-bench generates."""
LLAMA2_7B = Geometry(
    architecture="llama", n_layer=32, n_embd=4096, n_vocab=32_000, n_ff=11_008, n_head=32, head_dim=128, ctx_train=4096,
    cache_layers=models.full(4096, 32), params_total=6_738_415_616, params_active=6_738_415_616)
LLAMA2_7B_Q4_0 = subject(LLAMA2_7B, label="Q4_0", bits_per_weight=4.54)


def measured_cards() -> list[tuple[str, str, float, float]]:
    """(name, vendor, GiB, tokens per second) of every card with a scoreboard row for Llama-2-7B Q4_0 and a known bandwidth."""
    rows = json.loads(models.GPU_TABLE_FILE.read_text())
    return [
        (row["name"], row["vendor"], max(row["vram_gib"]), bench["tg128"])
        for row in rows
        if row["bandwidth_gbs"] and row["bench"] and row["bench"][0]["model"] == "llama-2-7b Q4_0"
        for bench in row["bench"][:1]
    ]


def ask(hardware: HardwareReport, model: Subject, **wishes: object) -> FitResult:
    return decide(hardware, model, Request(**wishes), GPUS)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "vendor", "gib", "measured"), measured_cards())
def test_scoreboards_lie_within_the_range(name: str, vendor: str, gib: float, measured: float) -> None:
    total = round(gib * GIB)
    gpu = Gpu(
        index=0, name=name, vendor=Vendor(vendor), total_bytes=total, free_bytes=total,
        unified=vendor == "apple" or "GB10" in name)
    speed = ask(computer(256, 250, (gpu,)), LLAMA2_7B_Q4_0, ctx=BENCH_DEPTH).speed
    assert speed.low is not None
    assert speed.high is not None
    assert speed.low <= measured <= speed.high


LLAMA3_8B = Geometry(
    architecture="llama", n_layer=32, n_embd=4096, n_vocab=128_256, n_ff=14_336, n_head=32, head_dim=128, ctx_train=131_072,
    cache_layers=models.full(1024, 32), params_total=8_030_261_248, params_active=8_030_261_248)
RTX_4090 = computer(64, 60, (nvidia("RTX 4090", 24, 24),))
RTX_5090 = computer(64, 60, (nvidia("RTX 5090", 32, 32),))
RADEON_8060S = computer(128, 124, (integrated("AMD Radeon 8060S Graphics", 100),))
LLAMA3_8B_Q4_0 = subject(LLAMA3_8B, label="Q4_0", bits_per_weight=4.64)
QWEN35_27B_Q4 = subject(models.QWEN35_27B, bits_per_weight=5.01)
QWEN3_30B_Q6 = subject(models.QWEN3_30B_A3B, label="Q6_K", bits_per_weight=6.9, expert_share=0.95)


@pytest.mark.parametrize(("hardware", "model", "kv_type", "depth", "measured"), [
    # llama-bench with flash attention: tokens generated per second with so many tokens in the cache.
    (RTX_4090, LLAMA3_8B_Q4_0, KvType.F16, 32_768, 102.8),  # llama.cpp's pull request 17505
    (RTX_5090, QWEN35_27B_Q4, KvType.F16, BENCH_DEPTH, 76.8), (RTX_5090, QWEN35_27B_Q4, KvType.F16, 8192, 74.6),
    (RTX_5090, QWEN35_27B_Q4, KvType.F16, 32_768, 68.4),
    (RADEON_8060S, QWEN3_30B_Q6, KvType.Q8_0, BENCH_DEPTH, 66.5), (RADEON_8060S, QWEN3_30B_Q6, KvType.Q8_0, 4096, 61.1),
    (RADEON_8060S, QWEN3_30B_Q6, KvType.Q8_0, 16_384, 51.0), (RADEON_8060S, QWEN3_30B_Q6, KvType.Q8_0, 32_768, 42.5),
    (RADEON_8060S, QWEN3_30B_Q6, KvType.Q4_0, BENCH_DEPTH, 66.8), (RADEON_8060S, QWEN3_30B_Q6, KvType.Q4_0, 32_768, 42.7)])
def test_published_speeds_at_depth_lie_within_the_range(
    hardware: HardwareReport, model: Subject, kv_type: KvType, depth: int, measured: float,
) -> None:
    speed = ask(hardware, model, ctx=depth, kv_type=kv_type).speed
    assert speed.full_low is not None
    assert speed.full_high is not None
    assert speed.full_low <= measured <= speed.full_high


@pytest.mark.parametrize(("hardware", "model", "measured"), [
    (RTX_5090, QWEN35_27B_Q4, 3561), (RADEON_8060S, QWEN3_30B_Q6, 1150)])
def test_published_prompt_speeds_lie_within_the_range(hardware: HardwareReport, model: Subject, measured: float) -> None:
    speed = ask(hardware, model, ctx=512).speed
    assert speed.prompt_low is not None
    assert speed.prompt_high is not None
    assert speed.prompt_low <= measured <= speed.prompt_high


def two_cores() -> HardwareReport:
    """A 2024 server processor with two cores, where the figures below were measured."""
    return computer(24, 22, cores=2, bandwidth_gb_s=38.0, instruction_sets=("avx2", "avx512f", "avx_vnni"))


def one_billion(bits_per_weight: float, label: str) -> Subject:
    geometry = Geometry(
        architecture="llama", n_layer=16, n_embd=2048, n_vocab=32_768, n_ff=8192, n_head=32, head_dim=64, ctx_train=8192,
        cache_layers=models.full(8 * 64, 16), params_total=1_107_363_840, params_active=1_107_363_840)
    return subject(geometry, label=label, bits_per_weight=bits_per_weight)


@pytest.mark.parametrize(("model", "measured"), [
    (subject(models.SMOLLM2_135M, label="Q4_1", bits_per_weight=5.74, tied=True), 136.5),
    (one_billion(4.5, "Q4_K_M"), 69.2), (one_billion(8.5, "Q8_0"), 38.4), (one_billion(6.5625, "Q6_K"), 48.1),
    (one_billion(3.4375, "Q3_K_M"), 45.1), (one_billion(3.4375, "IQ3_S"), 17.2), (one_billion(2.3125, "IQ2_XS"), 26.0)])
def test_two_cores_reach_what_was_measured(model: Subject, measured: float) -> None:
    speed = ask(two_cores(), model, ctx=BENCH_DEPTH).speed
    assert speed.low is not None
    assert speed.high is not None
    assert speed.low <= measured <= speed.high


def test_bandwidth_alone_does_not_promise_speed_to_tiny_models() -> None:
    model = subject(models.SMOLLM2_135M, label="Q4_1", bits_per_weight=5.74, tied=True)
    fast_memory = ask(computer(24, 22, cores=2, bandwidth_gb_s=400), model).speed
    assert fast_memory.high is not None
    assert fast_memory.high < 200


def test_old_processors_are_slower() -> None:
    model = subject(models.SMOLLM2_135M, label="Q4_1", bits_per_weight=5.74, tied=True)
    old = ask(computer(24, 22, cores=2, instruction_sets=("sse2", "ssse3")), model).speed
    new = ask(computer(24, 22, cores=2), model).speed
    assert old.high is not None
    assert new.low is not None
    assert old.high < new.low * 1.1


def test_without_a_bandwidth_nothing_is_promised() -> None:
    result = ask(computer(32, bandwidth_gb_s=None), subject(models.QWEN3_8B))
    assert (result.speed.low, result.speed.high, result.speed.basis) == (None, None, SpeedBasis.UNKNOWN)
    assert any(reason.startswith("The speed is unknown until the first run") for reason in result.reasons)


@pytest.mark.parametrize("name", [
    "NVIDIA GeForce RTX 9999", "Navi 31 [Radeon RX 7900 XT/7900 XTX/7900 GRE/7900M]", "NVIDIA GeForce RTX 5090 Laptop GPU"])
def test_unknown_and_ambiguous_cards_promise_nothing(name: str) -> None:
    card = Gpu(index=0, name=name, vendor=Vendor.OTHER, total_bytes=24 * GIB, free_bytes=24 * GIB)
    result = ask(computer(32, 26, (card,)), subject(models.QWEN3_8B))
    assert (result.speed.low, result.speed.basis) == (None, SpeedBasis.UNKNOWN)
    assert f"The speed is unknown until the first run: there is no figure for the bandwidth of {name}." in result.reasons


def test_every_device_that_may_be_the_unknown_one_is_named() -> None:
    hardware = computer(32, 26, (nvidia("RTX 9999", 4),))
    reasons = ask(hardware, subject(models.QWEN3_8B), gpu_layers=10).reasons
    assert any(reason.endswith("the bandwidth of NVIDIA GeForce RTX 9999 or main memory.") for reason in reasons)


def test_layers_on_the_processor_cost_most() -> None:
    model = subject(models.QWEN3_8B)
    card = computer(32, 26, (nvidia("RTX 4070", 12),))
    speeds = [ask(card, model, gpu_layers=layers).speed.high or 0.0 for layers in (0, 10, 20, 30, 36, 37)]
    assert speeds == sorted(speeds)
    assert speeds[-1] > 4 * speeds[0]


def test_experts_read_only_their_share() -> None:
    card = computer(64, 56, (nvidia("RTX 4090", 24),))
    mixture = ask(card, subject(models.QWEN3_30B_A3B, expert_share=0.96)).speed
    dense = ask(card, subject(models.QWEN3_32B)).speed
    assert mixture.low is not None
    assert dense.high is not None
    assert mixture.low > 2 * dense.high


def test_going_under_four_bits_gains_hardly_any_speed() -> None:
    card = computer(64, 56, (nvidia("RTX 4090", 24),))
    at_q4 = ask(card, subject(models.QWEN3_8B)).speed.high or 0.0
    at_q2 = ask(card, subject(models.QWEN3_8B, label="Q2_K", bits_per_weight=3.16)).speed.high or 0.0
    assert at_q4 < at_q2 < 1.25 * at_q4


def test_an_integrated_gpu_without_a_figure_reads_at_the_speed_of_main_memory() -> None:
    hardware = computer(64, 56, (integrated("AMD Radeon Graphics", 32),), bandwidth_gb_s=30)
    gpu, cpu = ask(hardware, subject(models.QWEN3_8B)).speed, ask(hardware, subject(models.QWEN3_8B), gpu_layers=0).speed
    assert gpu.low is not None
    assert cpu.low is not None
    assert gpu.low == pytest.approx(cpu.low, rel=0.5)


def test_prompts_are_read_faster_than_answers_are_written() -> None:
    speed = ask(computer(64, 56, (nvidia("RTX 4090", 24),)), subject(models.QWEN3_8B)).speed
    assert speed.high is not None
    assert speed.prompt_low is not None
    assert speed.prompt_low > 10 * speed.high


def test_a_full_speed_range_is_in_json() -> None:
    result = ask(two_cores(), subject(models.SMOLLM2_135M))
    assert set(msgspec.json.decode(msgspec.json.encode(result.speed))) >= {
        "low", "high", "basis", "full_low", "full_high", "full_prompt_low", "full_prompt_high"}


def test_answers_are_slower_where_the_context_is_full() -> None:
    short, long = (ask(two_cores(), subject(models.SMOLLM2_135M), ctx=ctx).speed for ctx in (1024, 8192))
    assert short.low == long.low
    assert short.full_high is not None
    assert long.full_high is not None
    assert long.high is not None
    assert 2 * long.full_high < short.full_high < long.high


def test_a_full_context_is_told_of_where_it_slows_answers_down() -> None:
    slow, fast = (ask(two_cores(), subject(models.SMOLLM2_135M), ctx=ctx).speed for ctx in (8192, 512))
    assert slowdown_words(slow).startswith("Answers slow down as a conversation grows: ")
    assert slowdown_words(slow).endswith(" tok/s in a full context.")
    assert slowdown_words(fast) == ""
    assert slowdown_words(ask(computer(32, bandwidth_gb_s=None), subject(models.QWEN3_8B)).speed) == ""


def test_compressed_caches_cost_more_than_reading_them() -> None:
    node = computer(1024, 1000, tuple(
        Gpu(index=index, name="NVIDIA H100", vendor=Vendor.NVIDIA, total_bytes=80 * GIB, free_bytes=80 * GIB)
        for index in range(8)))
    model = subject(models.DEEPSEEK_R1, bits_per_weight=4.89, expert_share=0.95)
    short, long = (ask(node, model, ctx=ctx).speed for ctx in (512, 65_536))
    assert short.full_high is not None
    assert long.full_high is not None
    added_s = 1 / long.full_high - 1 / short.full_high
    read_s = 65_536 * 70_272 / (0.85 * 3350e9)
    assert added_s > 2 * read_s

"""Verdicts on a table of computers, and what each kind of device may be used for."""

from __future__ import annotations

import msgspec
import pytest

from localai_app.engine.protocol import KvType
from localai_app.fit.decide import decide, unknown_result
from localai_app.fit.planned import PlannedMemory, PlannedPoint
from localai_app.fit.result import Basis, FitResult, Request, Subject, Verdict
from localai_app.gguf.geometry import Weights
from localai_app.hardware.report import EngineDevice, Gpu, HardwareReport, Vendor
from localai_app.units import GIB
from tests.helpers import fit_subjects as models
from tests.helpers.fit_subjects import apple, computer, integrated, nvidia, subject

GPUS = models.gpu_table()
SUBJECTS: dict[str, Subject] = {
    "SmolLM2 135M": subject(models.SMOLLM2_135M, tied=True, label="Q4_1", bits_per_weight=5.8),
    "Qwen3 8B": subject(models.QWEN3_8B),
    "Gemma 3 12B": subject(models.GEMMA3_12B, tied=True),
    "gpt-oss 20B": subject(models.GPT_OSS_20B, label="MXFP4", bits_per_weight=4.6, expert_share=0.95),
    "Qwen3 30B-A3B": subject(models.QWEN3_30B_A3B, expert_share=0.96),
    "Qwen3 32B": subject(models.QWEN3_32B),
    "Llama 70B": subject(models.LLAMA_70B),
    "DeepSeek R1": subject(models.DEEPSEEK_R1, expert_share=0.97),
}
TWO_EQUAL = (nvidia("RTX 4060", 8), nvidia("RTX 4060", 8, index=1))
LARGE_AND_SMALL = (nvidia("RTX 4090", 24), nvidia("RTX 4060", 8, index=1))
COMPUTERS: dict[str, HardwareReport] = {
    "no GPU, 8 GiB": computer(8, 5),
    "no GPU, 32 GiB": computer(32),
    "4 GiB": computer(16, 11, (nvidia("GTX 1050 Ti", 4),)),
    "6 GiB": computer(16, 11, (nvidia("RTX 2060", 6),)),
    "8 GiB": computer(32, 26, (nvidia("RTX 4060", 8),)),
    "12 GiB": computer(32, 26, (nvidia("RTX 4070", 12),)),
    "24 GiB": computer(64, 56, (nvidia("RTX 4090", 24),)),
    "2 x 8 GiB": computer(32, 26, TWO_EQUAL),
    "24 + 8 GiB": computer(32, 26, LARGE_AND_SMALL),
    "8 GiB and an integrated GPU": computer(32, 26, (nvidia("RTX 4060", 8), integrated("AMD Radeon 780M Graphics", 16))),
    "Apple 8 GiB": computer(8, 5, (apple("Apple M1", 5.3),)),
    "Apple 16 GiB": computer(16, 11.5, (apple("Apple M2", 10.7),)),
    "Apple 64 GiB": computer(64, 54, (apple("Apple M4 Max (40-core GPU)", 48),)),
    "integrated GPU, 128 GiB": computer(128, 118, (integrated("AMD Radeon 8060S Graphics", 96),)),
}
EXPECTED = {
    "no GPU, 8 GiB": "cpu no no no no no no no",
    "no GPU, 32 GiB": "cpu cpu cpu cpu cpu cpu no no",
    "4 GiB": "gpu gpu_partial gpu_partial no no no no no",
    "6 GiB": "gpu gpu_partial gpu_partial gpu_partial no no no no",
    "8 GiB": "gpu gpu gpu_partial gpu_partial gpu_partial gpu_partial no no",
    "12 GiB": "gpu gpu gpu gpu_partial gpu_partial gpu_partial no no",
    "24 GiB": "gpu gpu gpu gpu gpu gpu gpu_partial no",
    "2 x 8 GiB": "gpu gpu gpu gpu gpu_partial gpu_partial no no",
    "24 + 8 GiB": "gpu gpu gpu gpu gpu gpu gpu_partial no",
    "8 GiB and an integrated GPU": "gpu gpu gpu_partial gpu_partial gpu_partial gpu_partial no no",
    "Apple 8 GiB": "gpu no no no no no no no",
    "Apple 16 GiB": "gpu gpu gpu no no no no no",
    "Apple 64 GiB": "gpu gpu gpu gpu gpu gpu gpu no",
    "integrated GPU, 128 GiB": "gpu gpu gpu gpu gpu gpu gpu no",
}


def ask(hardware: HardwareReport, model: Subject, **wishes: object) -> FitResult:
    return decide(hardware, model, Request(**wishes), GPUS)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", COMPUTERS)
def test_verdicts_of_all_models_on_a_computer(name: str) -> None:
    verdicts = [ask(COMPUTERS[name], model).verdict.value for model in SUBJECTS.values()]
    assert " ".join(verdicts) == EXPECTED[name]


def test_two_equal_cards_split_what_one_cannot_hold() -> None:
    result = ask(COMPUTERS["2 x 8 GiB"], SUBJECTS["gpt-oss 20B"])
    cards = [device for device in result.devices if device.kind == "gpu"]
    assert all(card.layers > 0 for card in cards)
    assert sum(card.layers for card in cards) == 25
    assert abs(cards[0].layers - cards[1].layers) <= 2
    assert result.load_options is not None
    assert result.load_options.tensor_split == tuple(float(card.layers) for card in cards)
    assert "split over" in result.reasons[0]


def test_an_integrated_gpu_is_not_pooled_with_a_card() -> None:
    result = ask(COMPUTERS["8 GiB and an integrated GPU"], SUBJECTS["gpt-oss 20B"])
    assert result.verdict is Verdict.GPU_PARTIAL
    assert [device.name for device in result.devices] == ["NVIDIA GeForce RTX 4060", "Main memory"]


def test_a_model_that_fits_on_one_card_uses_the_one_with_most_room() -> None:
    result = ask(COMPUTERS["24 + 8 GiB"], SUBJECTS["Qwen3 8B"])
    assert [device.layers for device in result.devices] == [37, 0, 0]
    assert result.load_options is not None
    assert result.load_options.tensor_split == (37.0, 0.0)


def test_cards_of_two_makers_are_not_pooled() -> None:
    radeon = Gpu(index=1, name="AMD Radeon RX 7600", vendor=Vendor.AMD, total_bytes=8 * GIB, free_bytes=round(7.6 * GIB))
    result = ask(computer(32, 26, (nvidia("RTX 4060", 8), radeon)), SUBJECTS["gpt-oss 20B"])
    assert result.verdict is Verdict.GPU_PARTIAL
    assert sum(device.layers > 0 for device in result.devices if device.kind == "gpu") == 1


def test_partial_offload_keeps_the_first_blocks_on_the_processor() -> None:
    result = ask(COMPUTERS["24 GiB"], SUBJECTS["Llama 70B"])
    card, host = result.devices
    assert card.layers + host.layers == 81
    assert result.load_options is not None
    assert result.load_options.gpu_layers == card.layers
    assert card.total_bytes <= card.free_bytes - card.reserve_bytes
    next_layer_bytes = SUBJECTS["Llama 70B"].weights.layers_bytes[0] + 8192 * 2 * 8 * 128 * 2
    assert card.total_bytes + next_layer_bytes > card.free_bytes - card.reserve_bytes


def test_shared_memory_is_not_counted_twice() -> None:
    """The GPU's own limit would hold 10.7 GiB, but other programs left only 6 GiB of the memory that both share."""
    full_mac = computer(16, 6, (apple("Apple M2", 10.7),))
    result = ask(full_mac, SUBJECTS["Qwen3 8B"])
    assert result.verdict is Verdict.NO
    assert ask(COMPUTERS["Apple 16 GiB"], SUBJECTS["Qwen3 8B"]).verdict is Verdict.GPU


def test_an_integrated_gpu_leaves_four_gib_of_main_memory() -> None:
    model = SUBJECTS["Qwen3 8B"]
    need = ask(computer(64, 60), model).total_bytes / GIB
    gpu = (integrated("AMD Radeon 780M Graphics", None),)
    assert ask(computer(32, need + 4.3, gpu), model, ctx=8192).verdict is Verdict.GPU
    assert ask(computer(32, need + 3.5, gpu), model, ctx=8192).verdict is not Verdict.GPU


def test_a_processor_only_engine_never_promises_the_gpu() -> None:
    hardware = msgspec.structs.replace(
        COMPUTERS["24 GiB"], engine_devices=(
            EngineDevice(name="CPU", description="AMD Ryzen", kind="cpu", total_bytes=64 * GIB, free_bytes=64 * GIB),))
    for model in SUBJECTS.values():
        result = ask(hardware, model)
        assert result.verdict in (Verdict.CPU, Verdict.NO)
        assert "The installed engine can use the processor only, so NVIDIA GeForce RTX 4090 stays unused." in result.reasons
        assert result.load_options is None or result.load_options.gpu_layers == 0


def test_the_engine_names_the_devices_to_use() -> None:
    hardware = msgspec.structs.replace(
        COMPUTERS["24 + 8 GiB"], engine_devices=tuple(
            EngineDevice(name=f"CUDA{index}", description=gpu.name, kind="gpu", total_bytes=1, free_bytes=1)
            for index, gpu in enumerate(LARGE_AND_SMALL)))
    one = ask(hardware, SUBJECTS["Qwen3 8B"])
    assert one.load_options is not None
    assert (one.load_options.devices, one.load_options.tensor_split) == (("CUDA0",), ())
    both = ask(hardware, SUBJECTS["Llama 70B"])
    assert both.load_options is not None
    assert both.load_options.devices == ("CUDA0", "CUDA1")
    assert sum(both.load_options.tensor_split) == both.load_options.gpu_layers


def test_a_gpu_that_only_the_engine_knows_is_used() -> None:
    seen = EngineDevice(name="Vulkan0", description="Some GPU", kind="gpu", total_bytes=12 * GIB, free_bytes=11 * GIB)
    result = ask(msgspec.structs.replace(computer(32), engine_devices=(seen,)), SUBJECTS["Qwen3 8B"])
    assert result.verdict is Verdict.GPU
    assert result.speed.low is None


def test_a_gpu_that_the_engine_does_not_see_is_left_out() -> None:
    seen = EngineDevice(name="CUDA0", description="NVIDIA GeForce RTX 4060", kind="gpu", total_bytes=1, free_bytes=1)
    result = ask(msgspec.structs.replace(COMPUTERS["24 + 8 GiB"], engine_devices=(seen,)), SUBJECTS["Qwen3 8B"])
    assert result.devices[0].name == "NVIDIA GeForce RTX 4060"
    assert "The engine does not see NVIDIA GeForce RTX 4090, so it stays unused." in result.reasons


def test_a_card_without_figures_is_not_used() -> None:
    silent = Gpu(index=0, name="NVIDIA GeForce RTX 4090", vendor=Vendor.NVIDIA, total_bytes=None, free_bytes=None)
    result = ask(computer(32, 26, (silent,)), SUBJECTS["Qwen3 8B"])
    assert result.verdict is Verdict.CPU
    assert "Nothing reports how much memory NVIDIA GeForce RTX 4090 has, so it stays unused." in result.reasons


def test_a_card_that_reports_only_its_size_is_used_with_a_warning() -> None:
    half_silent = Gpu(
        index=0, name="AMD Radeon RX 7600", vendor=Vendor.AMD, total_bytes=8 * GIB, free_bytes=None, used_by_others_bytes=GIB)
    result = ask(computer(32, 26, (half_silent,)), SUBJECTS["Qwen3 8B"])
    assert result.devices[0].free_bytes == 7 * GIB
    assert any("does not say how much of its memory is free" in reason for reason in result.reasons)


def test_memory_of_a_model_about_to_be_unloaded_counts_as_free() -> None:
    model = SUBJECTS["Qwen3 8B"]
    hardware = computer(16, 6)
    assert ask(hardware, model).verdict is Verdict.NO
    assert ask(hardware, model, credit_bytes=4 * GIB).verdict is Verdict.CPU


def test_the_context_is_shortened_before_layers_leave_the_gpu() -> None:
    card = computer(32, 26, (nvidia("RTX 4060", 8, free_gib=6.5),))
    result = ask(card, SUBJECTS["Qwen3 8B"])
    assert result.verdict is Verdict.GPU
    assert 4096 <= result.ctx < 8192
    assert any("instead of 8,192 tokens" in reason for reason in result.reasons)
    fixed = ask(card, SUBJECTS["Qwen3 8B"], ctx=16_384)
    assert (fixed.verdict, fixed.ctx) == (Verdict.GPU_PARTIAL, 16_384)


def test_shorter_steps_are_the_last_resort_before_the_verdict_gets_worse() -> None:
    card = computer(32, 26, (nvidia("RTX 4060", 8, free_gib=6.5),))
    result = ask(card, SUBJECTS["Qwen3 8B"], ctx=8192)
    assert (result.verdict, result.ctx) == (Verdict.GPU, 8192)
    assert result.load_options is not None
    assert result.load_options.ubatch == 256
    assert "Prompts are read in steps of 256 instead of 512 tokens, so that everything fits on the GPU." in result.reasons
    roomier = ask(COMPUTERS["12 GiB"], SUBJECTS["Qwen3 8B"], ctx=8192)
    assert roomier.load_options is not None
    assert roomier.load_options.ubatch == 512


def test_no_context_beyond_what_the_model_was_made_for() -> None:
    result = ask(COMPUTERS["24 GiB"], SUBJECTS["SmolLM2 135M"], ctx=32_768)
    assert result.ctx == 8192
    assert max(result.max_ctx.values()) == 8192
    assert "The model was made for contexts of up to 8,192 tokens, so no more is reserved." in result.reasons


@pytest.mark.parametrize("layers", [1, 10, 36])
def test_a_fixed_number_of_layers_is_honoured(layers: int) -> None:
    result = ask(COMPUTERS["24 GiB"], SUBJECTS["Qwen3 8B"], gpu_layers=layers)
    assert result.verdict is Verdict.GPU_PARTIAL
    assert result.load_options is not None
    assert result.load_options.gpu_layers == layers


def test_more_layers_than_there_are_mean_all() -> None:
    result = ask(COMPUTERS["24 GiB"], SUBJECTS["Qwen3 8B"], gpu_layers=999)
    assert result.verdict is Verdict.GPU
    assert result.load_options is not None
    assert result.load_options.gpu_layers == 37


def test_no_layers_mean_the_processor() -> None:
    result = ask(COMPUTERS["24 GiB"], SUBJECTS["Qwen3 8B"], gpu_layers=0)
    assert result.verdict is Verdict.CPU
    assert "Layers on the GPU are set to 0." in result.reasons


def test_a_fixed_number_of_layers_still_shortens_the_context() -> None:
    card = computer(32, 26, (nvidia("RTX 4060", 8, free_gib=6.5),))
    result = ask(card, SUBJECTS["Qwen3 8B"], gpu_layers=37)
    assert result.verdict is Verdict.GPU
    assert 4096 <= result.ctx < 8192


def test_layers_that_do_not_fit_are_refused_with_a_remedy() -> None:
    result = ask(COMPUTERS["8 GiB"], SUBJECTS["Qwen3 32B"], gpu_layers=65)
    assert result.verdict is Verdict.NO
    assert result.load_options is None
    assert "Let the number of layers on the GPU be chosen automatically." in result.remedies


def test_a_model_that_is_too_large_says_so_with_numbers() -> None:
    result = ask(COMPUTERS["2 x 8 GiB"], SUBJECTS["Llama 70B"])
    assert result.verdict is Verdict.NO
    assert result.reasons[0].startswith("Too large for this computer right now: needs 41.")
    assert "24.0 GiB of main memory" in result.reasons[0]
    assert "Choose a smaller variant or a smaller model." in result.remedies


def test_a_smaller_context_is_offered_where_it_helps() -> None:
    result = ask(computer(16, 10), SUBJECTS["Qwen3 8B"], ctx=40_960)
    assert result.verdict is Verdict.NO
    longest = result.max_ctx["f16"]
    assert f"Use a context of {longest:,} tokens or less." in result.remedies
    assert ask(computer(16, 10), SUBJECTS["Qwen3 8B"], ctx=longest).verdict is Verdict.CPU


def test_programs_that_hold_enough_memory_are_named_as_a_remedy() -> None:
    busy = computer(32, 26, (nvidia("RTX 4070", 12, free_gib=5),))
    result = ask(busy, SUBJECTS["Qwen3 8B"])
    assert result.verdict is Verdict.GPU_PARTIAL
    close = next(remedy for remedy in result.remedies if remedy.startswith("Close programs that hold"))
    short_gib = float(close.split()[4])
    freed = computer(32, 26, (nvidia("RTX 4070", 12, free_gib=5 + short_gib + 0.05),))
    assert ask(freed, SUBJECTS["Qwen3 8B"]).verdict is Verdict.GPU


def test_a_model_with_parts_that_only_llama_cpp_knows_is_not_promised() -> None:
    part = "the cache of the sparse-attention indexer"
    sparse = subject(msgspec.structs.replace(models.QWEN3_8B, unknown_parts=(part,)))
    fits = ask(COMPUTERS["24 GiB"], sparse)
    assert (fits.verdict, fits.load_options) == (Verdict.UNKNOWN, None)
    assert part in fits.reasons[0]
    assert "At least 5." in fits.reasons[0]
    too_large = ask(computer(8, 6), sparse)
    assert too_large.verdict is Verdict.NO
    assert any(part in reason for reason in too_large.reasons)
    point = PlannedPoint(ctx=8192, kv_type=KvType.F16, kv_bytes=2 * GIB, host_bytes=GIB // 4, gpu_bytes=GIB // 4)
    planned = PlannedMemory(ubatch=512, on_cpu=(point,), on_gpu=(point,))
    assert ask(COMPUTERS["24 GiB"], msgspec.structs.replace(sparse, planned=planned)).verdict is Verdict.GPU


def test_nothing_is_known_without_sizes() -> None:
    empty = Weights(layers_bytes=(), layers_expert_bytes=(), output_bytes=0, input_bytes=0, tied_embeddings=False)
    result = ask(COMPUTERS["24 GiB"], msgspec.structs.replace(SUBJECTS["Qwen3 8B"], weights=empty))
    assert (result.verdict, result.load_options) == (Verdict.UNKNOWN, None)
    assert result.reasons


def test_a_refused_header_gives_an_unknown_verdict_with_its_reason() -> None:
    result = unknown_result("The header is damaged.", Request(), Basis.HEADER)
    assert (result.verdict, result.reasons) == (Verdict.UNKNOWN, ("The header is damaged.",))
    assert msgspec.json.decode(msgspec.json.encode(result), type=FitResult) == result


def test_estimates_from_the_catalog_say_so() -> None:
    result = ask(COMPUTERS["24 GiB"], msgspec.structs.replace(SUBJECTS["Qwen3 8B"], basis=Basis.CATALOG))
    assert any("not from its file" in reason for reason in result.reasons)


def test_reasons_are_whole_sentences() -> None:
    for hardware in COMPUTERS.values():
        for model in SUBJECTS.values():
            for sentence in (*ask(hardware, model).reasons, *ask(hardware, model).remedies):
                assert sentence[0].isupper()
                assert sentence.endswith(".")


def test_longer_contexts_need_more_until_the_verdict_flips_at_the_limit() -> None:
    card = computer(64, 56, (nvidia("RTX 4070", 12),))
    model = msgspec.structs.replace(
        SUBJECTS["Qwen3 8B"], geometry=msgspec.structs.replace(models.QWEN3_8B, ctx_train=131_072))
    contexts = (2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072)
    for kv_type in (KvType.F16, KvType.Q8_0):
        totals = [ask(card, model, ctx=ctx, kv_type=kv_type).kv_bytes for ctx in contexts]
        assert totals == sorted(totals)
        limit = ask(card, model, ctx=2048, kv_type=kv_type).max_ctx[kv_type.value]
        assert ask(card, model, ctx=limit, kv_type=kv_type).verdict is Verdict.GPU
        assert ask(card, model, ctx=limit + 256, kv_type=kv_type).verdict is Verdict.GPU_PARTIAL
    f16, q8 = (ask(card, model, ctx=32_768, kv_type=kv_type).kv_bytes for kv_type in (KvType.F16, KvType.Q8_0))
    assert q8 / f16 == pytest.approx(34 / 64, abs=0.001)

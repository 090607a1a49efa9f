"""Needs, room and placements worked out by hand; sums in GiB at a context of 8,192 tokens unless they say otherwise.

Activations: one ubatch of 512 tokens at 4 bytes, so 1,000 elements per token are 1.95 MiB; the mask is 2 bytes per position and
token, 8 MiB for 8,192 positions. In main memory beside a GPU lie the token table, the mask and two rows of embeddings. The
tokenizer's tables are 154 bytes per entry of the vocabulary, always in main memory: 0.01 to 0.04.
"""

from __future__ import annotations

import msgspec
import pytest

from localai_app.fit.decide import decide
from localai_app.fit.result import FitResult, Request, Subject, Verdict
from localai_app.hardware.report import EngineDevice, Gpu, Vendor
from localai_app.units import GIB
from tests.helpers import fit_subjects as models
from tests.helpers.fit_subjects import computer, gpu_table, integrated, nvidia, subject
from tests.unit.fit.test_machines import COMPUTERS, SUBJECTS

GPUS = gpu_table()
CLOSE_GIB = 0.02

NEEDS = {
    # 134.5 M weights at 5.8 bits: 0.09. Cache 30 layers x 2 x 192 x 2 bytes = 23,040 x 8,192: 0.18. Activations (3 x 1,536 +
    # 4 x 576) elements: 13.5 MiB, mask 8: 0.02. The head is the table, so a GPU holds a copy of it.
    "SmolLM2 135M": (0.30, 0.29, 0.04),
    # 8.19 B at 4.89 bits: 4.66, of it 0.35 of table. Cache 36 x 2 x 1,024 x 2 = 147,456 x 8,192: 1.125. Activations
    # (3 x 12,288 + 4 x 4,096): 104 MiB, mask 8: 0.11. Processor 4.66 + 1.125 + 0.11 + 0.02; GPU less the table.
    "Qwen3 8B": (5.92, 5.54, 0.40),
    # 11.77 B: 6.70, table 0.57. Cache 8 full layers x 8,192 bytes x 8,192 = 0.50, 40 sliding ones x 8,192 x 1,536 = 0.47.
    # Activations (3 x 15,360 + 4,096 + 3 x 3,840): 120 MiB, two masks 9.5: 0.13. Tied, so the GPU takes as much.
    "Gemma 3 12B": (7.83, 7.79, 0.64),
    # 20.9 B at 4.6 bits: 11.20, table 0.31. Cache 12 x 2,048 bytes x (8,192 + 768) = 0.21. Activations (3 x 11,520 + 4,096 +
    # 3 x 2,880): 92 MiB, masks 9: 0.10.
    "gpt-oss 20B": (11.53, 11.19, 0.36),
    # 30.5 B: 17.38, table 0.18. Cache 48 x 2 x 512 x 2 = 98,304 x 8,192: 0.75. Activations (3 x 6,144 + 8 x 2,048 that come out
    # of the experts + 4,096 + 3 x 2,048): 88 MiB, mask 8: 0.09.
    "Qwen3 30B-A3B": (18.24, 18.05, 0.21),
    # 32.8 B: 18.65, table 0.44. Cache 64 x 4,096 bytes = 262,144 x 8,192: 2.0. Activations (3 x 25,600 + 8,192 + 3 x 5,120):
    # 196 MiB, mask 8: 0.20.
    "Qwen3 32B": (20.87, 20.41, 0.49),
    # 70.6 B: 40.16, table 0.60. Cache 80 x 4,096 = 327,680 x 8,192: 2.5. Activations (3 x 28,672 + 4 x 8,192): 232 MiB, mask 8.
    "Llama 70B": (42.92, 42.30, 0.66),
    # 671 B: 382.0, table 0.53. Cache 61 x 576 x 2 = 70,272 x 8,192: 0.54. Activations (2.5 x 128 x 576 + 3 x 7,168): 402 MiB.
    "DeepSeek R1": (382.95, 382.40, 0.58),
}
"""(on the processor, on a GPU, in main memory beside it)"""


@pytest.mark.parametrize("name", NEEDS)
def test_needs_are_those_of_the_sum(name: str) -> None:
    on_cpu, on_gpu, beside = NEEDS[name]
    model, request = SUBJECTS[name], Request(ctx=8192)
    alone = decide(computer(1024, 1000), model, request, GPUS)
    card = decide(computer(1024, 1000, (nvidia("RTX 4090", 1000),)), model, request, GPUS)
    assert alone.total_bytes / GIB == pytest.approx(on_cpu, abs=CLOSE_GIB)
    assert [device.total_bytes / GIB for device in card.devices] == pytest.approx([on_gpu, beside], abs=CLOSE_GIB)


ROOM = {
    # Main memory: what is available less 2.
    "no GPU, 8 GiB": [5 - 2.0], "no GPU, 32 GiB": [28 - 2.0],
    # Cards: 0.4 are in use, 1 is kept.
    "4 GiB": [2.6, 9.0], "6 GiB": [4.6, 9.0], "8 GiB": [6.6, 24.0], "12 GiB": [10.6, 24.0], "24 GiB": [22.6, 54.0],
    "2 x 8 GiB": [6.6, 6.6, 24.0], "24 + 8 GiB": [22.6, 6.6, 24.0],
    # Beside a card the GPU in the processor is left alone.
    "8 GiB and an integrated GPU": [6.6, 24.0],
    # Apple: the limit of the working set less 1; main memory as everywhere.
    "Apple 8 GiB": [4.3, 3.0], "Apple 16 GiB": [9.7, 9.5], "Apple 64 GiB": [47.0, 52.0],
    # 96 are reported as free for the GPU, which is less than 118 available less 4.
    "integrated GPU, 128 GiB": [96.0, 116.0],
}


@pytest.mark.parametrize("name", ROOM)
def test_room_is_what_is_free_less_the_reserve(name: str) -> None:
    fit = decide(COMPUTERS[name], SUBJECTS["SmolLM2 135M"], Request(), GPUS)
    rooms = {device.name + str(device.free_bytes): (device.free_bytes - device.reserve_bytes) / GIB for device in fit.devices}
    assert sorted(rooms.values()) == pytest.approx(sorted(set(ROOM[name])), abs=0.001)


def placement(fit: FitResult) -> tuple[str, int, int]:
    options = fit.load_options
    return fit.verdict.value, options.gpu_layers if options else 0, options.cpu_expert_blocks if options else 0


@pytest.mark.parametrize(("machine", "model", "expected"), [
    # 5.92 of 3.0; 5.35 at 4,096 tokens (0.56 of cache less).
    ("no GPU, 8 GiB", "Qwen3 8B", ("no", 0, 0)),
    ("no GPU, 32 GiB", "Qwen3 32B", ("cpu", 0, 0)),
    # Card 2.6: head 0.35 + buffer 0.11 + copy of a tensor 0.04 (2/5 of 0.11) leave 2.10; a block is 0.11 + 0.03 of cache:
    # 14 blocks and the head. The other 22: 3.10 + table and buffer 0.46 = 3.57 of 9.0.
    ("4 GiB", "Qwen3 8B", ("gpu_partial", 15, 0)),
    # 11.19 of 10.6; the copy of a tensor adds 0.21 (half of 0.42 of experts), so 0.80 must leave: experts of 2 blocks, 0.84.
    ("12 GiB", "gpt-oss 20B", ("gpu_partial", 25, 2)),
    # 18.05 of 10.6; with the copy (0.17) 7.62 must leave: 0.3405 each, 22.4: 23 blocks; 7.83 + 0.18 + buffer 0.09 of 24.
    ("12 GiB", "Qwen3 30B-A3B", ("gpu_partial", 49, 23)),
    # 18.05 + 0.17 - 6.6 = 11.62: 34.1, so 35 blocks.
    ("8 GiB", "Qwen3 30B-A3B", ("gpu_partial", 49, 35)),
    # 18.05 + 0.17 - 4.6 = 13.62: 40 blocks, 13.62 + 0.28 beside them; of 9.0.
    ("6 GiB", "Qwen3 30B-A3B", ("no", 0, 0)),
    # 42.30 of 22.6. Head 0.60 + buffer 0.23 + copy 0.19 leave 21.58; a block is 0.487 + 0.031 of cache: 41 and the head.
    ("24 GiB", "Llama 70B", ("gpu_partial", 42, 0)),
    # 11.19 over two cards with 6.6 each, and 0.04 of copies of the inputs on both: 5.6 and 5.6.
    ("2 x 8 GiB", "gpt-oss 20B", ("gpu", 25, 0)),
    ("Apple 16 GiB", "Qwen3 8B", ("gpu", 37, 0)),
    # 11.19 beyond 9.7 at the GPU, and 11.5 beyond 9.5 of the memory that both share.
    ("Apple 16 GiB", "gpt-oss 20B", ("no", 0, 0)),
    ("Apple 64 GiB", "Llama 70B", ("gpu", 81, 0)),
    ("integrated GPU, 128 GiB", "Llama 70B", ("gpu", 81, 0)),
])
def test_placements_are_those_of_the_sum(machine: str, model: str, expected: tuple[str, int, int]) -> None:
    assert placement(decide(COMPUTERS[machine], SUBJECTS[model], Request(), GPUS)) == expected


FOURTEEN_GB = subject(models.QWEN3_8B, label="F16", bits_per_weight=12.8)
"""12.21 of weights, 0.93 of table in it; 1.125 of cache, 0.11 of buffer: 12.51 on GPUs, 13.44 = 14.4 GB altogether."""


def test_fourteen_gb_are_split_over_two_cards_and_partial_on_one_beside_an_integrated_gpu() -> None:
    # Two cards hold 13.2: 12.51, and once more the buffer (0.11) and copies of the inputs (0.05 each). One holds 6.6, of which
    # head 0.93, buffer 0.11 and copy 0.12 leave 5.44: blocks of 0.288 + 0.031, so 17 of them.
    split = decide(COMPUTERS["2 x 8 GiB"], FOURTEEN_GB, Request(ctx=8192), GPUS)
    assert split.verdict is Verdict.GPU
    assert [device.layers > 0 for device in split.devices] == [True, True, False]
    partial = decide(COMPUTERS["8 GiB and an integrated GPU"], FOURTEEN_GB, Request(ctx=8192), GPUS)
    assert placement(partial) == ("gpu_partial", 18, 0)


def test_the_verdict_flips_at_the_computed_context() -> None:
    # 10.6 on the card. Steps of 256 tokens are the last resort: buffer (3 x 12,288 + 4 x 4,096) x 256 x 4 bytes = 52 MiB, and
    # 512 bytes of mask per position. 10.6 - 4.306 of weights - 0.051 = 6.243, at 147,456 + 512 bytes per position:
    # 45,304 positions, 176 steps of 256: 45,056.
    model = msgspec.structs.replace(
        SUBJECTS["Qwen3 8B"], geometry=msgspec.structs.replace(models.QWEN3_8B, ctx_train=131_072))
    fits = {ctx: decide(COMPUTERS["12 GiB"], model, Request(ctx=ctx), GPUS).verdict for ctx in (2048, 45_056, 45_057, 131_072)}
    assert list(fits.values()) == [Verdict.GPU, Verdict.GPU, Verdict.GPU_PARTIAL, Verdict.GPU_PARTIAL]
    assert decide(COMPUTERS["12 GiB"], model, Request(), GPUS).max_ctx["f16"] == 45_056


def test_a_driver_that_fails_at_the_second_card_leaves_the_first() -> None:
    silent = Gpu(index=1, name="NVIDIA GeForce RTX 4060", vendor=Vendor.NVIDIA, total_bytes=None, free_bytes=None)
    fit = decide(computer(32, 26, (nvidia("RTX 4070", 12), silent)), SUBJECTS["Qwen3 8B"], Request(), GPUS)
    assert [device.layers for device in fit.devices] == [37, 0]
    assert "Nothing reports how much memory NVIDIA GeForce RTX 4060 has, so it stays unused." in fit.reasons


def test_a_driver_that_is_too_old_for_the_engine_means_the_processor() -> None:
    # The card is there, but llama.cpp lists the processor alone.
    alone = (EngineDevice(name="CPU", description="AMD Ryzen", kind="cpu", total_bytes=32 * GIB, free_bytes=32 * GIB),)
    fit = decide(msgspec.structs.replace(COMPUTERS["12 GiB"], engine_devices=alone), SUBJECTS["Qwen3 8B"], Request(), GPUS)
    assert placement(fit) == ("cpu", 0, 0)


FIXED: list[tuple[dict[str, object], tuple[str, int, int]]] = [
    # gpt-oss 20B on 6.6: by itself experts of 12 blocks leave (11.19 + 0.21 - 6.6 = 4.80 at 0.419 each).
    ({}, ("gpu_partial", 25, 12)),
    # Experts of 20 blocks are more than needed, and all layers stay.
    ({"experts_on_cpu": 20}, ("gpu_partial", 25, 20)),
    # None may leave: head 0.31, buffer 0.10, copy 0.21 leave 5.98; blocks are 0.441 and up to 0.016 of cache: 13.
    ({"experts_on_cpu": 0}, ("gpu_partial", 14, 0)),
    # 16 layers: 15 blocks of 0.441 are 6.6, more than 5.98 hold: experts of 2 of them leave, counted from block 0 to 10.
    ({"gpu_layers": 16}, ("gpu_partial", 16, 11)),
    ({"gpu_layers": 0}, ("cpu", 0, 0)),
    ({"excluded_devices": ("NVIDIA GeForce RTX 4060",)}, ("cpu", 0, 0)),
]


@pytest.mark.parametrize(("wishes", "expected"), FIXED)
def test_what_is_fixed_is_kept_and_the_rest_is_planned(wishes: dict[str, object], expected: tuple[str, int, int]) -> None:
    fit = decide(COMPUTERS["8 GiB"], SUBJECTS["gpt-oss 20B"], Request(**wishes), GPUS)  # type: ignore[arg-type]
    assert placement(fit) == expected


def test_an_excluded_card_makes_room_for_the_gpu_in_the_processor() -> None:
    gpus = (nvidia("RTX 4060", 8), integrated("AMD Radeon 780M Graphics", 16))
    fit = decide(computer(32, 26, gpus), SUBJECTS["Qwen3 8B"], Request(excluded_devices=(gpus[0].name,)), GPUS)
    assert [device.name for device in fit.devices] == ["AMD Radeon 780M Graphics", "Main memory"]
    assert "NVIDIA GeForce RTX 4060 is left out, as asked." in fit.reasons


def test_memory_of_the_replaced_model_counts_on_the_device_that_holds_it() -> None:
    # 7.6 of 12 are free, so 6.6 can be used; the model that is loaded holds 3 there, which makes 9.6.
    def ask(model: Subject, *credits: tuple[str, int]) -> Verdict:
        card = nvidia("RTX 4070", 12, free_gib=7.6)
        return decide(computer(32, 26, (card,)), model, Request(ctx=8192, device_credits=credits), GPUS).verdict

    gemma = SUBJECTS["Gemma 3 12B"]
    assert ask(gemma) is Verdict.GPU_PARTIAL
    assert ask(gemma, ("NVIDIA GeForce RTX 4070", 3 * GIB)) is Verdict.GPU
    assert ask(gemma, ("AMD Radeon", 3 * GIB)) is Verdict.GPU_PARTIAL


def test_memory_that_is_listed_once_is_not_given_back_twice() -> None:
    # 8 of 12 were free when llama.cpp listed the lent device, and that figure does not fall while a model lies there.
    lent = EngineDevice(name="RPC0", description="127.0.0.1:1", kind="gpu", total_bytes=12 * GIB, free_bytes=8 * GIB)
    here = msgspec.structs.replace(computer(32, 26), engine_devices=(lent,))
    request = Request(ctx=8192, device_credits=(("RPC0", 3 * GIB),))
    fit = decide(here, SUBJECTS["Qwen3 8B"], request, GPUS)
    assert [(device.engine_name, device.free_bytes) for device in fit.devices if device.kind == "gpu"] == [("RPC0", 8 * GIB)]


def test_blocks_that_are_not_loaded_count_among_the_layers_to_offload() -> None:
    # 42 layers of Llama 70B on the card; llama.cpp counts its blocks for next-token prediction between them and the head.
    model = SUBJECTS["Llama 70B"]
    with_one = msgspec.structs.replace(model, geometry=msgspec.structs.replace(model.geometry, n_layer_unused=1))
    fit = decide(COMPUTERS["24 GiB"], with_one, Request(), GPUS)
    assert fit.devices[0].layers == 42
    assert placement(fit) == ("gpu_partial", 43, 0)
    split = decide(COMPUTERS["24 + 8 GiB"], with_one, Request(), GPUS)
    assert split.load_options is not None
    assert split.load_options.tensor_split == (split.devices[0].layers, split.devices[1].layers + 1)

"""The way down after a failed load: what gives way, in which order, and that it always ends."""

from __future__ import annotations

import signal
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app import errors
from localai_app.engine.load_options import KvType, LoadOptions
from localai_app.engine.outcome import classify
from localai_app.errors import AppError
from localai_app.services.load_ladder import (
    MOST_STEPS,
    SHORTEST_CTX,
    Ladder,
    LadderFacts,
    LoadFailure,
    difference_words,
    failure_of_error,
    failure_of_outcome,
    safe_options,
)

GPU = LoadOptions(model_path="m.gguf", ctx=8192, gpu_layers=33, tensor_split=(20.0, 13.0), devices=("CUDA0", "CUDA1"))
CPU = LoadOptions(model_path="m.gguf", ctx=8192)
MOE = LadderFacts(ctx_train=131_072, blocks_with_experts=32)


def way_down(ladder: Ladder, failure: LoadFailure) -> list[tuple[LoadOptions, str]]:
    """Every step until none is left."""
    steps = []
    while (step := ladder.next(failure)) is not None:
        steps.append((step.options, step.sentence))
        ladder = ladder.after(step)
    return steps


def changes(start: LoadOptions, steps: list[tuple[LoadOptions, str]]) -> list[set[str]]:
    """Which fields each step changed."""
    found, before = [], start
    for options, _sentence in steps:
        found.append({name for name in options.__struct_fields__ if getattr(options, name) != getattr(before, name)})
        before = options
    return found


def test_short_memory_takes_context_precision_steps_experts_layers_and_the_gpu_in_that_order() -> None:
    steps = way_down(Ladder(GPU, MOE), LoadFailure.OUT_OF_MEMORY)
    order = changes(GPU, steps)
    assert order[:5] == [{"ctx"}, {"kv_type"}, {"ubatch"}, {"cpu_expert_blocks"}, {"gpu_layers", "tensor_split"}]
    assert [options.gpu_layers for options, _ in steps] == [33, 33, 33, 33, 16, 8, 0, 0, 0, 0]
    assert steps[-1][0].ctx < 4096
    assert steps[0][1] == "The memory did not suffice. Trying a context of 4,096 tokens instead of 8,192."


def test_a_context_beyond_the_models_own_falls_to_that_at_once_and_a_long_one_in_quarters() -> None:
    huge = msgspec.structs.replace(CPU, ctx=1_048_576)
    steps = way_down(Ladder(huge, LadderFacts(ctx_train=32_768)), LoadFailure.OUT_OF_MEMORY)
    assert [options.ctx for options, _ in steps[:3]] == [32_768, 8192, 4096]


def test_what_was_chosen_for_the_model_gives_way_last_and_that_is_said() -> None:
    facts = LadderFacts(fixed=frozenset({"ctx", "gpu_layers"}))
    steps = way_down(Ladder(GPU, facts), LoadFailure.OUT_OF_MEMORY)
    first_fixed = next(index for index, (_, sentence) in enumerate(steps) if "although" in sentence)
    assert first_fixed > 0
    assert all(options.ctx == 8192 and options.gpu_layers == 33 for options, _ in steps[:first_fixed])
    assert all("although another value was chosen" in sentence for _, sentence in steps[first_fixed:])


def test_a_crash_tries_the_known_causes_and_then_the_processor() -> None:
    quantized = msgspec.structs.replace(GPU, kv_type=KvType.Q8_0)
    order = changes(quantized, way_down(Ladder(quantized), LoadFailure.CRASH))
    assert order[0] == {"kv_type"}
    assert order[1:3] == [{"use_repack"}, {"ubatch"}]
    assert "gpu_layers" in order[3]


def test_a_model_that_drafts_leaves_first_and_lookup_only_after_a_crash() -> None:
    drafting = msgspec.structs.replace(CPU, draft_path="d.gguf", draft_tokens=8, draft_gain=1.4)
    looking = msgspec.structs.replace(CPU, lookup=True, draft_tokens=8, kept_bytes=99)
    for options, failure, is_first in (
        (drafting, LoadFailure.OUT_OF_MEMORY, True), (looking, LoadFailure.OUT_OF_MEMORY, False),
        (looking, LoadFailure.CRASH, True),
    ):
        step = Ladder(options).next(failure)
        assert step is not None
        assert (step.options.draft_tokens == 0) is is_first
        assert not step.options.draft_path
    safe = safe_options(looking)
    assert (safe.lookup, safe.draft_tokens, safe.kept_bytes) == (False, 0, 0)


def test_a_model_that_drafts_leaves_a_lost_device_as_well() -> None:
    step = Ladder(msgspec.structs.replace(GPU, draft_path="d.gguf", draft_tokens=8, draft_gpu_layers=12)).next(
        LoadFailure.DEVICE_LOST)
    assert step is not None
    assert (step.options.gpu_layers, step.options.draft_gpu_layers, step.options.draft_path) == (0, 0, "d.gguf")


def test_a_crash_after_short_memory_does_not_bring_the_larger_context_back() -> None:
    ladder = Ladder(msgspec.structs.replace(CPU, ctx=4096))
    step = ladder.next(LoadFailure.OUT_OF_MEMORY)
    assert step is not None
    assert step.options.kv_type is KvType.Q8_0
    assert all(options.kv_type is KvType.Q8_0 for options, _ in way_down(ladder.after(step), LoadFailure.CRASH))


def test_a_lost_device_leads_to_the_processor_at_once_and_no_further() -> None:
    steps = way_down(Ladder(GPU), LoadFailure.DEVICE_LOST)
    assert [(options.gpu_layers, options.devices) for options, _ in steps] == [(0, ())]
    assert way_down(Ladder(CPU), LoadFailure.DEVICE_LOST) == []


def test_a_refusal_takes_back_what_the_last_step_asked_for_and_else_ends_the_way() -> None:
    assert Ladder(GPU).next(LoadFailure.REFUSED) is None
    ladder = Ladder(msgspec.structs.replace(CPU, ctx=4096))
    step = ladder.next(LoadFailure.OUT_OF_MEMORY)
    assert step is not None
    assert step.options.kv_type is KvType.Q8_0
    ladder = ladder.after(step)
    back = ladder.next(LoadFailure.REFUSED)
    assert back is not None
    assert (back.options.kv_type, back.options.ubatch) == (KvType.F16, 128)
    later = way_down(ladder.after(back), LoadFailure.OUT_OF_MEMORY)
    assert all(options.kv_type is KvType.F16 for options, _ in later)


@given(
    ctx=st.integers(1, 2_000_000), layers=st.integers(0, 200), ubatch=st.sampled_from([64, 256, 512]),
    kv=st.sampled_from(list(KvType)), experts=st.integers(0, 100),
    fixed=st.frozensets(st.sampled_from(["ctx", "gpu_layers", "kv_type"])),
    failures=st.lists(st.sampled_from(list(LoadFailure)), min_size=20, max_size=20))
def test_every_way_down_ends_and_never_tries_a_set_up_twice(
    ctx: int, layers: int, ubatch: int, kv: KvType, experts: int, fixed: frozenset[str], failures: list[LoadFailure],
) -> None:
    planned = LoadOptions(model_path="m", ctx=ctx, gpu_layers=layers, ubatch=ubatch, kv_type=kv)
    ladder = Ladder(planned, LadderFacts(fixed, 4096, experts))
    seen = [planned]
    for failure in failures:
        step = ladder.next(failure)
        if step is None:
            break
        assert step.options not in seen
        assert step.options.ctx >= min(ctx, SHORTEST_CTX)
        seen.append(step.options)
        ladder = ladder.after(step)
    assert len(seen) <= MOST_STEPS + 1


@pytest.mark.parametrize(("returncode", "tail", "failure"), [
    (-signal.SIGSEGV, "", LoadFailure.CRASH),
    (-signal.SIGILL, "", LoadFailure.CRASH),
    pytest.param(
        -getattr(signal, "SIGKILL", 9), "", LoadFailure.OUT_OF_MEMORY,
        marks=pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")),
    (-signal.SIGTERM, "", None),
    (-signal.SIGABRT, "failed to allocate buffer of size 99", LoadFailure.OUT_OF_MEMORY),
    (-signal.SIGABRT, "GGML_ASSERT(x) failed", LoadFailure.CRASH),
    (-signal.SIGABRT, "CUDA error: unspecified launch failure", LoadFailure.DEVICE_LOST),
    (-signal.SIGABRT, "unknown model architecture: 'foo'", None),
    (3, "", LoadFailure.CRASH),
    (0, "", None),
    (81, "", None),
])
def test_only_what_a_smaller_set_up_may_mend_is_tried_again(returncode: int, tail: str, failure: LoadFailure | None) -> None:
    assert failure_of_outcome(classify(returncode, tail)) is failure


def test_a_refused_load_is_told_from_one_that_no_set_up_can_mend() -> None:
    assert failure_of_error(AppError(errors.ENGINE_OUT_OF_MEMORY)) is LoadFailure.OUT_OF_MEMORY
    assert failure_of_error(AppError(errors.ENGINE_CRASHED, cause="x")) is LoadFailure.CRASH
    assert failure_of_error(AppError(errors.ARCHITECTURE_UNKNOWN, architecture="x")) is None
    assert failure_of_error(AppError(errors.GGUF_TRUNCATED, name="x", where="y")) is None


def test_safe_settings_are_on_the_processor_and_plain() -> None:
    safe = safe_options(msgspec.structs.replace(GPU, kv_type=KvType.Q4_0, ctx=65_536))
    assert (safe.gpu_layers, safe.devices, safe.kv_type, safe.ctx, safe.use_repack) == (0, (), KvType.F16, 4096, False)
    assert safe.ubatch < 128
    words = difference_words(msgspec.structs.replace(GPU, ctx=65_536), safe)
    assert words.split(", ") == [
        "a context of 4,096 tokens instead of 65,536", "the processor alone", "steps of 64 tokens",
        "the weights as they lie in the file"]
    assert difference_words(GPU, GPU) == ""

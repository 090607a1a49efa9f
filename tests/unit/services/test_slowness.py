"""Why is it slow? Each rule with a computer that triggers it, and with one that does not."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from localai_app.engine.protocol import KvType, Loaded, LoadOptions
from localai_app.hardware.conditions import BusyProgram, Conditions
from localai_app.hardware.gpu_conditions import GpuConditions
from localai_app.hardware.report import Cpu, EngineDevice, Gpu, HardwareReport, Memory, Vendor
from localai_app.services.load_settings import LoadSettings
from localai_app.services.slowness import RULES, why_slow
from localai_app.services.speed_snapshot import Cause, SlowRemedy, SpeedSnapshot
from localai_app.services.why_slow import gpu_command, headline

GIB = 1024**3
CUDA = EngineDevice(name="CUDA0", description="RTX 4070", kind="gpu", total_bytes=12 * GIB, free_bytes=10 * GIB)
PROCESSOR = EngineDevice(name="CPU", description="Test", kind="cpu", total_bytes=32 * GIB, free_bytes=20 * GIB)
RTX = Gpu(index=0, name="RTX 4070", vendor=Vendor.NVIDIA, total_bytes=12 * GIB, free_bytes=10 * GIB)
REPORT = HardwareReport(
    system="linux", cpu=Cpu(model="Test", architecture="x86_64", physical_cores=8, logical_cores=16),
    memory=Memory(total_bytes=32 * GIB, available_bytes=20 * GIB), gpus=(RTX,), engine_devices=(CUDA, PROCESSOR))
NO_GPU = msgspec.structs.replace(REPORT, gpus=(), engine_devices=(PROCESSOR,))
OPTIONS = LoadOptions(model_path="m.gguf", ctx=8192)
LOADED = Loaded(
    id=1, description="d", ctx=8192, ctx_train=40_960, n_layer=33, gpu_layers=33, threads=8, model_bytes=1, load_s=1.0,
    has_chat_template=True)
GOOD = SpeedSnapshot(
    REPORT, model_name="Tiny", options=OPTIONS, loaded=LOADED, tps=60.0, expected_tps=(50.0, 70.0), gpu_command="build it")
ON_CPU = replace(GOOD, report=NO_GPU, loaded=msgspec.structs.replace(LOADED, gpu_layers=0))
PARTLY = replace(GOOD, loaded=msgspec.structs.replace(LOADED, gpu_layers=20))
SMALLER = LoadSettings(ctx=4096, kv_type=KvType.Q8_0)


def with_loaded(snapshot: SpeedSnapshot, **fields: object) -> SpeedSnapshot:
    assert snapshot.loaded is not None
    return replace(snapshot, loaded=msgspec.structs.replace(snapshot.loaded, **fields))


def with_conditions(snapshot: SpeedSnapshot, **fields: object) -> SpeedSnapshot:
    return replace(snapshot, conditions=Conditions(**fields))


def without_gpu_build(snapshot: SpeedSnapshot, *gpus: Gpu) -> SpeedSnapshot:
    return replace(snapshot, report=msgspec.structs.replace(NO_GPU, gpus=gpus))


SLOW: dict[str, tuple[SpeedSnapshot, Cause, SlowRemedy, str]] = {
    "built for the processor, and there is a GPU": (
        without_gpu_build(ON_CPU, RTX), Cause.CPU_ONLY_BUILD, SlowRemedy.COPY_COMMAND, "RTX 4070 with 12.0 GiB stands idle"),
    "the same in an edition that builds nothing": (
        replace(without_gpu_build(ON_CPU, RTX), gpu_command=""), Cause.CPU_ONLY_BUILD, SlowRemedy.LOOK_AGAIN, "stands idle"),
    "the same before a model is loaded": (
        SpeedSnapshot(msgspec.structs.replace(NO_GPU, gpus=(RTX,)), gpu_command="x"), Cause.CPU_ONLY_BUILD,
        SlowRemedy.COPY_COMMAND, "stands idle"),
    "a setting keeps all models off the GPU": (
        replace(with_loaded(GOOD, gpu_layers=0), layers_setting=0), Cause.GPU_LEFT_ALONE, SlowRemedy.CHANGE_SETTING, "set so"),
    "what is remembered keeps this model off the GPU": (
        replace(with_loaded(GOOD, gpu_layers=0), load_settings=LoadSettings(gpu_layers=0, ctx=2048)), Cause.GPU_LEFT_ALONE,
        SlowRemedy.LOAD_WITH, "set so"),
    "partly on the GPU, and a shorter context would fit": (
        replace(PARTLY, full_offload=SMALLER), Cause.PARTIAL_OFFLOAD, SlowRemedy.LOAD_WITH, "Only 20 of 33 layers"),
    "partly on the GPU, whatever the context": (
        PARTLY, Cause.TOO_LARGE_FOR_GPU, SlowRemedy.SMALLER_VARIANT, "13 of 33 layers"),
    "partly on the GPU beside another model": (
        replace(PARTLY, other_models=1), Cause.TOO_LARGE_FOR_GPU, SlowRemedy.UNLOAD_OTHERS, "13 of 33 layers"),
    "in swap": (
        with_conditions(ON_CPU, swapped_bytes=3 * GIB), Cause.MEMORY_SPILL, SlowRemedy.SMALLER_VARIANT,
        "3.0 GiB of the engine"),
    "in swap beside another model": (
        replace(with_conditions(ON_CPU, swapped_bytes=3 * GIB), other_models=2), Cause.MEMORY_SPILL,
        SlowRemedy.UNLOAD_OTHERS, "3.0 GiB"),
    "larger than main memory": (
        replace(ON_CPU, host_weights_bytes=40 * GIB), Cause.MEMORY_SPILL, SlowRemedy.SMALLER_VARIANT, "takes 40.0 GiB"),
    "read from the disk again and again": (
        with_conditions(ON_CPU, faults_per_s=4000.0), Cause.MEMORY_SPILL, SlowRemedy.SMALLER_VARIANT, "4,000 pages a second"),
    "more threads than cores": (
        replace(with_loaded(ON_CPU, threads=16), threads_setting=16), Cause.THREADS, SlowRemedy.CHANGE_SETTING,
        "16 threads share 8 cores"),
    "few threads": (
        replace(with_loaded(ON_CPU, threads=2), threads_setting=2), Cause.THREADS, SlowRemedy.CHANGE_SETTING, "Only 2 of 8"),
    "others use the cores": (
        with_conditions(ON_CPU, others_cores=8.0, busiest=BusyProgram(name="blender", cores=7.5)), Cause.OTHER_PROGRAMS,
        SlowRemedy.CHANGE_SETTING, "8.0 of 16 cores busy, blender most of all (7.5)"),
    "others use the cores and no model is loaded": (
        SpeedSnapshot(NO_GPU, Conditions(others_cores=12.0)), Cause.OTHER_PROGRAMS, SlowRemedy.LOOK_AGAIN, "12.0 of 16"),
    "power saving": (
        with_conditions(GOOD, saves_power="the governor “powersave”"), Cause.POWER_SAVING, SlowRemedy.COPY_COMMAND,
        "powersave"),
    "held to a low clock": (
        with_conditions(GOOD, clock_limit=0.5), Cause.POWER_SAVING, SlowRemedy.COPY_COMMAND, "50% of its highest clock"),
    "on battery": (
        with_conditions(GOOD, is_on_battery=True), Cause.POWER_SAVING, SlowRemedy.LOOK_AGAIN, "battery"),
    "a hot GPU": (
        with_conditions(GOOD, gpus=(GpuConditions(name="RTX 4070", is_hot=True, temperature_c=91),)), Cause.HEAT,
        SlowRemedy.LOOK_AGAIN, "heat at 91 °C"),
    "a hot processor": (
        with_conditions(ON_CPU, is_processor_hot=True), Cause.HEAT, SlowRemedy.LOOK_AGAIN, "The processor slows itself down"),
    "a GPU with less power than it is made for": (
        with_conditions(GOOD, gpus=(GpuConditions(name="RTX 4070", power_limit_w=100.0, default_power_limit_w=200.0),)),
        Cause.GPU_POWER_LIMIT, SlowRemedy.COPY_COMMAND, "limited to 100 W; it is made for 200 W"),
    "a GPU whose power supply is too weak": (
        with_conditions(GOOD, gpus=(GpuConditions(name="RTX 4070", is_braked=True),)), Cause.GPU_POWER_LIMIT,
        SlowRemedy.LOOK_AGAIN, "power supply"),
    "a long chat": (
        replace(GOOD, depth=6000, depth_factor=2.4), Cause.LONG_CONTEXT, SlowRemedy.NEW_CHAT, "6,000 tokens"),
    "a compressed context on the processor": (
        replace(ON_CPU, options=msgspec.structs.replace(OPTIONS, kv_type=KvType.Q8_0), exact_context_fits=True),
        Cause.QUANTIZED_CONTEXT, SlowRemedy.LOAD_WITH, "in 8 bit"),
    "far below the prediction": (
        replace(ON_CPU, tps=20.0), Cause.SLOW_ENGINE, SlowRemedy.RUN_BENCHMARK, "20 tok/s where 50 to 70 tok/s"),
}
FAST: dict[str, SpeedSnapshot] = {
    "all is well on the GPU": GOOD,
    "all is well on the processor": ON_CPU,
    "a computer that was not asked": SpeedSnapshot(msgspec.structs.replace(REPORT, engine_devices=None)),
    "a GPU that is too small to help": without_gpu_build(ON_CPU, msgspec.structs.replace(RTX, total_bytes=GIB)),
    "a GPU in the processor": without_gpu_build(
        ON_CPU, msgspec.structs.replace(RTX, vendor=Vendor.INTEL, unified=True, total_bytes=16 * GIB)),
    "on the processor though nothing is set": replace(with_loaded(GOOD, gpu_layers=0), layers_setting=-1),
    "a little in swap": with_conditions(ON_CPU, swapped_bytes=1024**2),
    "faults of a computer with no model": SpeedSnapshot(REPORT, Conditions(faults_per_s=4000.0)),
    "a thread for each core": replace(ON_CPU, threads_setting=8),
    "many threads by automatic choice": with_loaded(ON_CPU, threads=16),
    "many threads that do not compute": replace(with_loaded(GOOD, threads=16), threads_setting=16),
    "others use a few cores": with_conditions(ON_CPU, others_cores=2.0),
    "others use the cores while the GPU computes": with_conditions(GOOD, others_cores=12.0),
    "a plugged in battery and a high clock": with_conditions(GOOD, is_on_battery=False, clock_limit=1.0),
    "a cool GPU at its limit": with_conditions(
        GOOD, gpus=(GpuConditions(name="RTX 4070", temperature_c=60, power_limit_w=200.0, default_power_limit_w=200.0),)),
    "a GPU that tells nothing": with_conditions(GOOD, gpus=(GpuConditions(name="GTX 1080"),)),
    "a short chat": replace(GOOD, depth=500, depth_factor=1.1),
    "a compressed context on the GPU": replace(
        GOOD, options=msgspec.structs.replace(OPTIONS, kv_type=KvType.Q8_0), exact_context_fits=True),
    "a compressed context that is needed": replace(ON_CPU, options=msgspec.structs.replace(OPTIONS, kv_type=KvType.Q8_0)),
    "a little below the prediction": replace(ON_CPU, tps=45.0),
    "no prediction": replace(ON_CPU, tps=1.0, expected_tps=None),
}


@pytest.mark.parametrize("name", SLOW)
def test_each_cause_is_found_with_its_figures_and_a_remedy(name: str) -> None:
    snapshot, cause, remedy, words = SLOW[name]
    (finding,) = why_slow(snapshot)
    assert (finding.cause, finding.remedy) == (cause, remedy)
    assert words in finding.words
    assert finding.button
    assert finding.words.endswith(".")
    assert finding.advice.endswith(".")
    assert (finding.remedy is SlowRemedy.COPY_COMMAND) == bool(finding.command)
    assert (finding.remedy is SlowRemedy.LOAD_WITH) == (finding.load is not None)
    assert (finding.remedy is SlowRemedy.CHANGE_SETTING) == bool(finding.setting)


@pytest.mark.parametrize("name", FAST)
def test_what_is_not_slow_is_left_in_peace(name: str) -> None:
    assert why_slow(FAST[name]) == ()


def test_every_cause_is_covered() -> None:
    assert {cause for _snapshot, cause, _remedy, _words in SLOW.values()} == set(Cause)
    assert len(RULES) + 1 == len(Cause)


def test_a_slow_engine_is_suspected_only_where_nothing_else_explains_it() -> None:
    found = why_slow(with_conditions(replace(ON_CPU, tps=5.0), saves_power="the governor “powersave”"))
    assert [finding.cause for finding in found] == [Cause.POWER_SAVING]


def test_remedies_carry_what_they_do() -> None:
    (threads,) = why_slow(with_conditions(ON_CPU, others_cores=8.0))
    assert (threads.setting, threads.value, threads.button) == ("threads", 4, "Use 4 threads")
    (alone,) = why_slow(SLOW["what is remembered keeps this model off the GPU"][0])
    assert alone.load == LoadSettings(ctx=2048)
    (partial,) = why_slow(replace(PARTLY, full_offload=SMALLER))
    assert (partial.load, partial.button) == (SMALLER, "Load with 4,096 tokens in 8 bit")
    (built,) = why_slow(without_gpu_build(ON_CPU, RTX))
    assert built.command == "build it"
    assert gpu_command(REPORT).startswith("LOCALAI_CUDA=1")
    assert gpu_command(NO_GPU) == ""


def test_a_remedy_changes_what_is_slow_and_keeps_what_else_is_remembered() -> None:
    own = LoadSettings(
        ctx=2048, gpu_layers=0, kv_type=KvType.Q8_0, draft="lookup", chat_template="chatml", without_devices=("CUDA1",),
        tensor_split=(3.0, 1.0))
    (alone,) = why_slow(replace(with_loaded(GOOD, gpu_layers=0), load_settings=own))
    assert alone.load == msgspec.structs.replace(own, gpu_layers=None, without_devices=())
    compressed = replace(
        ON_CPU, options=msgspec.structs.replace(OPTIONS, kv_type=KvType.Q8_0), exact_context_fits=True, load_settings=own)
    (exact,) = why_slow(compressed)
    assert exact.load == msgspec.structs.replace(own, kv_type=KvType.F16)


@pytest.mark.parametrize(("snapshot", "words"), [
    (SpeedSnapshot(REPORT), "No model is loaded: only the computer was looked at."),
    (replace(GOOD, tps=None), "Tiny has not answered yet: only its load and the computer were looked at."),
    (replace(GOOD, expected_tps=None), "Tiny answered at 60 tok/s."),
    (GOOD, "Tiny answered at 60 tok/s, as fast as predicted (50 to 70 tok/s)."),
    (replace(GOOD, tps=12.0), "Tiny answered at 12 tok/s, less than predicted (50 to 70 tok/s)."),
])
def test_the_headline_compares_with_the_prediction(snapshot: SpeedSnapshot, words: str) -> None:
    assert headline(snapshot) == words

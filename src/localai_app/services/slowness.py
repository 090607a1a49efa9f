"""Why is it slow? Rules over one look at the computer, the load and the last answer; each names a cause and what helps."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from localai_app.engine.protocol import KvType
from localai_app.services.speed_snapshot import Cause, Finding, SlowRemedy, SpeedSnapshot
from localai_app.units import MIB, format_count, format_gib, format_speed, format_speed_range

SWAPPED_BYTES = 64 * MIB
FAULTS_PER_S = 100.0
"""400 KB/s that are read instead of computed with; a load that was over long ago has none."""
OTHERS_SHARE = 0.25
DEEP_FACTOR = 1.5
LOW_CLOCK = 0.8
LOW_POWER_LIMIT = 0.85
FAR_BELOW = 0.6
"""Of the lower end of what was predicted."""


def why_slow(snapshot: SpeedSnapshot) -> tuple[Finding, ...]:
    """Every cause that holds, the weightiest first; a slow engine is only suspected where nothing else explains it."""
    found = tuple(finding for rule in RULES if (finding := rule(snapshot)) is not None)
    return found or tuple(finding for finding in [slow_engine(snapshot)] if finding is not None)


def cpu_only_build(snapshot: SpeedSnapshot) -> Finding | None:
    """There is a GPU, and the engine was built without one."""
    gpus = [gpu for gpu in snapshot.usable_gpus if not gpu.unified or gpu.vendor.value == "apple"]
    if not gpus or snapshot.engine_has_gpu is not False:
        return None
    gpu = gpus[0]
    words = (
        f"The engine was built for the processor only, so the {gpu.name} with {format_gib(gpu.total_bytes or 0)} stands idle.")
    if snapshot.gpu_command:
        return Finding(
            Cause.CPU_ONLY_BUILD, words, "Build an engine for the GPU with this command, then start Local AI again.",
            SlowRemedy.COPY_COMMAND, "Copy the command", command=snapshot.gpu_command)
    return Finding(
        Cause.CPU_ONLY_BUILD, words, "Install the edition of Local AI that is made for this GPU, then look again.",
        SlowRemedy.LOOK_AGAIN, "Look again")


def gpu_left_alone(snapshot: SpeedSnapshot) -> Finding | None:
    """The engine could use the GPU, and a setting keeps the model off it."""
    loaded, own = snapshot.loaded, snapshot.load_settings
    is_set = own.gpu_layers == 0 or (own.gpu_layers is None and snapshot.layers_setting == 0) or bool(own.without_devices)
    if loaded is None or loaded.gpu_layers > 0 or not snapshot.engine_has_gpu or not is_set or not snapshot.usable_gpus:
        return None
    words = (
        f"{snapshot.model_name} runs on the processor because it is set so, and the {snapshot.usable_gpus[0].name} stands "
        "idle.")
    advice, name = "Let as many layers as fit run on the GPU.", "Use the GPU"
    if own.gpu_layers is None and not own.without_devices:
        return Finding(
            Cause.GPU_LEFT_ALONE, words, advice, SlowRemedy.CHANGE_SETTING, name, setting="gpu_layers", value=-1)
    automatic = msgspec.structs.replace(own, gpu_layers=None, without_devices=())
    return Finding(Cause.GPU_LEFT_ALONE, words, advice, SlowRemedy.LOAD_WITH, name, load=automatic)


def partial_offload(snapshot: SpeedSnapshot) -> Finding | None:
    """Some layers are left to the processor, and they need not be."""
    loaded, better = snapshot.loaded, snapshot.full_offload
    if loaded is None or better is None or not 0 < loaded.gpu_layers < loaded.n_layer:
        return None
    kv = f" in {'8' if better.kv_type is KvType.Q8_0 else '4'} bit" if better.kv_type not in (None, KvType.F16) else ""
    ctx = format_count(better.ctx or loaded.ctx)
    return Finding(
        Cause.PARTIAL_OFFLOAD,
        f"Only {loaded.gpu_layers} of {loaded.n_layer} layers of {snapshot.model_name} are on the GPU; each token waits for "
        "the rest, which the processor computes.",
        f"With a context of {ctx} tokens{kv} all of it fits on the GPU.", SlowRemedy.LOAD_WITH,
        f"Load with {ctx} tokens{kv}", load=better)


def too_large_for_gpu(snapshot: SpeedSnapshot) -> Finding | None:
    """Some layers are left to the processor, whatever the context."""
    loaded = snapshot.loaded
    if loaded is None or snapshot.full_offload is not None or not 0 < loaded.gpu_layers < loaded.n_layer:
        return None
    words = (
        f"{snapshot.model_name} does not fit on the GPU as a whole: {loaded.n_layer - loaded.gpu_layers} of {loaded.n_layer} "
        "layers are computed by the processor.")
    if snapshot.other_models:
        return Finding(
            Cause.TOO_LARGE_FOR_GPU, words, "Other models that are loaded hold memory of the GPU.", SlowRemedy.UNLOAD_OTHERS,
            "Unload the others")
    return Finding(
        Cause.TOO_LARGE_FOR_GPU, words, "A smaller variant, or a smaller model, would run there.", SlowRemedy.SMALLER_VARIANT,
        "Show variants")


def memory_spill(snapshot: SpeedSnapshot) -> Finding | None:
    """The model does not lie in memory as a whole."""
    now, needed = snapshot.conditions, snapshot.host_weights_bytes
    if snapshot.loaded is None:
        return None
    total = snapshot.report.memory.total_bytes
    if now.swapped_bytes >= SWAPPED_BYTES:
        words = f"{format_gib(now.swapped_bytes)} of the engine's memory lie in swap on the disk."
    elif needed > total:
        words = f"The model takes {format_gib(needed)} of main memory, and this computer has {format_gib(total)}."
    elif now.faults_per_s >= FAULTS_PER_S:
        words = (
            f"The engine reads {format_count(round(now.faults_per_s))} pages a second from the disk: with "
            f"{format_gib(snapshot.report.memory.available_bytes)} available, the model does not stay in memory.")
    else:
        return None
    if snapshot.other_models:
        return Finding(
            Cause.MEMORY_SPILL, words, "Other models that are loaded take memory.", SlowRemedy.UNLOAD_OTHERS,
            "Unload the others")
    return Finding(
        Cause.MEMORY_SPILL, words, "Close other programs, or take a smaller variant.", SlowRemedy.SMALLER_VARIANT,
        "Show variants")


def threads(snapshot: SpeedSnapshot) -> Finding | None:
    """More threads than cores wait for each other; fewer than half of them leave cores idle."""
    loaded, cores = snapshot.loaded, snapshot.report.cpu.physical_cores
    if loaded is None or not snapshot.threads_setting or not snapshot.computes_on_processor:
        return None
    if loaded.threads > cores:
        words = f"{loaded.threads} threads share {cores} cores and wait for each other at each step."
    elif loaded.threads * 2 <= cores:
        words = f"Only {loaded.threads} of {cores} cores compute."
    else:
        return None
    return Finding(
        Cause.THREADS, words, f"Automatic takes one thread for each of the {cores} cores.", SlowRemedy.CHANGE_SETTING,
        "Set to automatic", setting="threads", value=0)


def other_programs(snapshot: SpeedSnapshot) -> Finding | None:
    """Other programs keep the cores busy that the engine computes on."""
    now, cpu = snapshot.conditions, snapshot.report.cpu
    is_on_gpu = snapshot.loaded is not None and not snapshot.computes_on_processor
    if is_on_gpu or now.others_cores < OTHERS_SHARE * cpu.logical_cores:
        return None
    busiest = now.busiest if now.busiest is not None and now.busiest.name else None
    named = f", {busiest.name} most of all ({busiest.cores:.1f})" if busiest is not None else ""
    words = f"Other programs keep {now.others_cores:.1f} of {cpu.logical_cores} cores busy{named}."
    free = max(1, int(cpu.physical_cores - now.others_cores * cpu.physical_cores / cpu.logical_cores))
    used = snapshot.loaded.threads if snapshot.loaded is not None else 0
    if free < used:
        return Finding(
            Cause.OTHER_PROGRAMS, words, "A thread whose core is taken holds up all others: fewer threads are quicker then.",
            SlowRemedy.CHANGE_SETTING, f"Use {free} {'thread' if free == 1 else 'threads'}", setting="threads", value=free)
    return Finding(
        Cause.OTHER_PROGRAMS, words, "Close what is not needed, then look again.", SlowRemedy.LOOK_AGAIN, "Look again")


def power_saving(snapshot: SpeedSnapshot) -> Finding | None:
    """The computer saves power."""
    now, is_linux = snapshot.conditions, snapshot.report.system == "linux"
    if now.saves_power:
        words = f"The computer is set to save power: {now.saves_power}."
    elif now.clock_limit is not None and now.clock_limit < LOW_CLOCK:
        words = f"The processor is held to {now.clock_limit:.0%} of its highest clock."
    elif now.is_on_battery:
        words = "The computer runs on its battery, and saves power."
    else:
        return None
    if now.is_on_battery or not is_linux:
        return Finding(
            Cause.POWER_SAVING, words, "Connect it to the mains and choose the system's fastest power mode, then look again.",
            SlowRemedy.LOOK_AGAIN, "Look again")
    return Finding(
        Cause.POWER_SAVING, words, "This command chooses the fastest power profile.", SlowRemedy.COPY_COMMAND,
        "Copy the command", command="powerprofilesctl set performance")


def heat(snapshot: SpeedSnapshot) -> Finding | None:
    """A device clocks itself down because of its temperature."""
    hot = [gpu for gpu in snapshot.conditions.gpus if gpu.is_hot]
    if hot:
        degrees = f" at {hot[0].temperature_c} °C" if hot[0].temperature_c is not None else ""
        words = f"The {hot[0].name} slows itself down because of heat{degrees}."
    elif snapshot.conditions.is_processor_hot:
        words = "The processor slows itself down because of heat."
    else:
        return None
    return Finding(Cause.HEAT, words, "Give it air and let it cool down, then look again.", SlowRemedy.LOOK_AGAIN, "Look again")


def gpu_power_limit(snapshot: SpeedSnapshot) -> Finding | None:
    """A GPU is allowed less power than it is made for, or gets less."""
    for gpu in snapshot.conditions.gpus:
        limit, default = gpu.power_limit_w, gpu.default_power_limit_w
        if limit is not None and default is not None and limit < LOW_POWER_LIMIT * default:
            return Finding(
                Cause.GPU_POWER_LIMIT, f"The {gpu.name} is limited to {limit:.0f} W; it is made for {default:.0f} W.",
                "This command sets the limit back.", SlowRemedy.COPY_COMMAND, "Copy the command",
                command=f"sudo nvidia-smi -pl {default:.0f}")
        if gpu.is_braked:
            return Finding(
                Cause.GPU_POWER_LIMIT, f"The {gpu.name} slows itself down because its power supply gives too little.",
                "Check its power cables, then look again.", SlowRemedy.LOOK_AGAIN, "Look again")
    return None


def long_context(snapshot: SpeedSnapshot) -> Finding | None:
    """Each token looks back on all tokens before it."""
    if snapshot.loaded is None or snapshot.depth_factor < DEEP_FACTOR:
        return None
    return Finding(
        Cause.LONG_CONTEXT,
        f"The chat has {format_count(snapshot.depth)} tokens, and each new one looks back on all of them: it takes "
        f"{snapshot.depth_factor:.1f} times as long as at the start.",
        "A new chat is fast again.", SlowRemedy.NEW_CHAT, "New chat")


def quantized_context(snapshot: SpeedSnapshot) -> Finding | None:
    """A processor spends more time on a compressed context than it saves. Measured: q8_0 cut prompts from 170 to 64 tok/s."""
    options = snapshot.options
    if options is None or options.kv_type is KvType.F16:
        return None
    if not snapshot.computes_on_processor or not snapshot.exact_context_fits:
        return None
    return Finding(
        Cause.QUANTIZED_CONTEXT,
        f"The context is stored in {'8' if options.kv_type is KvType.Q8_0 else '4'} bit, which a processor is slow with: "
        "prompts take up to 2.7 times as long.",
        "There is memory enough for 16 bit.", SlowRemedy.LOAD_WITH, "Load with 16 bit",
        load=msgspec.structs.replace(snapshot.load_settings, kv_type=KvType.F16))


def slow_engine(snapshot: SpeedSnapshot) -> Finding | None:
    """Far below the prediction, with nothing to show for it."""
    expected, tps = snapshot.expected_tps, snapshot.tps
    if snapshot.loaded is None or tps is None or tps <= 0 or expected is None or tps >= FAR_BELOW * expected[0]:
        return None
    return Finding(
        Cause.SLOW_ENGINE,
        f"The last answer came at {format_speed(tps)} where {format_speed_range(*expected)} was predicted, and nothing here "
        "explains it: this build of the engine may be slow on this computer.",
        "A benchmark shows what it does undisturbed, beside earlier ones of other builds.", SlowRemedy.RUN_BENCHMARK,
        "Run a benchmark")


RULES: tuple[Callable[[SpeedSnapshot], Finding | None], ...] = (
    cpu_only_build, gpu_left_alone, memory_spill, partial_offload, too_large_for_gpu, heat, gpu_power_limit, power_saving,
    other_programs, threads, quantized_context, long_context,
)

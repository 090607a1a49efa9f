"""The hardware report in words, for cards and for copying."""

from __future__ import annotations

from localai_app.hardware.report import Cpu, EngineDevice, Gpu, HardwareReport, Memory
from localai_app.units import GB, format_gib

ENGINE_INSTRUCTION_SETS = (
    "sse4_2", "avx", "f16c", "fma", "bmi2", "avx2", "avx_vnni", "avx512f", "avx512vl", "avx512bw", "avx512_vnni",
    "avx512_bf16", "amx_int8", "amx_bf16", "neon", "asimd", "asimddp", "dotprod", "i8mm", "sve", "sve2", "bf16", "fp16",
)
"""Those for which llama.cpp has code of its own; a processor lists dozens of others."""

SYSTEM_NAMES = {"linux": "Linux", "macos": "macOS", "windows": "Windows"}
DEVICE_KINDS = {"cpu": "Processor", "gpu": "GPU", "integrated_gpu": "Integrated GPU", "accelerator": "Accelerator"}


def cores_words(cpu: Cpu) -> str:
    """Cores, and threads where they differ."""
    cores = f"{cpu.physical_cores} core" + ("" if cpu.physical_cores == 1 else "s")
    return cores if cpu.logical_cores == cpu.physical_cores else f"{cores}, {cpu.logical_cores} threads"


def useful_instruction_sets(cpu: Cpu) -> tuple[str, ...]:
    """The instruction sets that speed models up, in a fixed order."""
    known = set(cpu.instruction_sets)
    return tuple(name for name in ENGINE_INSTRUCTION_SETS if name in known)


def instruction_set_words(name: str) -> str:
    """An instruction set as its maker writes it: SSE4.2, AVX512-VNNI."""
    return name.upper().replace("SSE4_", "SSE4.").replace("_", "-")


def bandwidth_words(memory: Memory) -> str:
    """How fast main memory is read, which bounds the speed of answers on the processor."""
    if memory.bandwidth_bytes_per_s is None:
        return "not measured yet"
    return f"{memory.bandwidth_bytes_per_s / GB:.1f} GB/s"


def gpu_memory_words(gpu: Gpu) -> str:
    """Total and free memory of a GPU, as far as something reports them."""
    total = "size not reported" if gpu.total_bytes is None else format_gib(gpu.total_bytes)
    free = "free not reported" if gpu.free_bytes is None else f"{format_gib(gpu.free_bytes)} free"
    return f"{total}, {free}"


def device_words(device: EngineDevice) -> str:
    """What a device of llama.cpp is, in one line."""
    kind = DEVICE_KINDS.get(device.kind, device.kind)
    if device.kind == "cpu":
        # llama.cpp reports all of main memory as free; the card above has the true figure.
        return f"{kind}, {format_gib(device.total_bytes)}"
    return f"{kind}, {format_gib(device.total_bytes)}, {format_gib(device.free_bytes)} free"


def report_text(report: HardwareReport) -> str:
    """The whole report as plain text."""
    memory = report.memory
    lines = [
        f"System: {SYSTEM_NAMES.get(report.system, report.system)}, {report.cpu.architecture}",
        f"Processor: {report.cpu.model}, {cores_words(report.cpu)}",
        f"Instruction sets: {', '.join(useful_instruction_sets(report.cpu)) or 'not reported'}",
        f"Memory: {format_gib(memory.total_bytes)}, {format_gib(memory.available_bytes)} available, {bandwidth_words(memory)}",
    ]
    if memory.container_limit_bytes is not None:
        lines.append(f"Container limit: {format_gib(memory.container_limit_bytes)}")
    for gpu in report.gpus:
        lines.append(f"GPU: {gpu.name}, {gpu_memory_words(gpu)}" + (f", driver {gpu.driver}" if gpu.driver else ""))
    if not report.gpus:
        lines.append("GPU: none found")
    for device in report.engine_devices or ():
        lines.append(f"llama.cpp: {device.name}, {device.description}, {device_words(device)}")
    lines += [f"Note ({note.probe}): {note.message} {note.remedy}".rstrip() for note in report.notes]
    return "\n".join(lines)

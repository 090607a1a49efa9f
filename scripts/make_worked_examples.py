"""Makes the tables of docs/what-fits-where.md: well-known models on usual computers, as the program itself works them out.

python -m scripts.make_worked_examples           writes them
python -m scripts.make_worked_examples --check   fails when the committed tables are not what the program says
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from localai_app.bootstrap import LaunchOptions, build_services
from localai_app.fit.quality import loss_words
from localai_app.fit.result import VERDICT_WORDS, FitResult, Request
from localai_app.hardware.report import HardwareReport
from localai_app.paths import resources_dir
from localai_app.services.app_services import AppServices
from localai_app.services.machine_parts import find_gpu
from localai_app.services.subjects import catalog_subject
from localai_app.services.views import DiscoveryRow
from localai_app.services.what_if import PRESETS, MachineSpec, machine_with, runs
from localai_app.units import format_context, format_count, format_gib, format_speed_range

TARGET = Path(__file__).resolve().parents[1] / "docs" / "what-fits-where.md"
GPU_TABLE = resources_dir() / "catalog" / "gpus.json"
BEGIN, END = "<!-- made by scripts/make_worked_examples.py -->", "<!-- end of what is made -->"
MODEL_IDS = (
    "deepseek-r1-0528", "deepseek-r1-0528-qwen3-8b",
    "gemma-3-4b-it", "gemma-3-12b-it", "gemma-3-27b-it",
    "phi-4",
    "qwen3-8b", "qwen3-14b", "qwen3-32b", "qwen3-30b-a3b", "qwen3-235b-a22b",
    "mistral-small-3.1-24b", "mistral-large-2411", "codestral-22b", "pixtral-12b", "pixtral-large-2411",
    "llama-4-scout", "llama-4-maverick",
)
HEADER = ("Model", "Best variant", "Where", "Memory", "Context", "Longest", "Tokens per second", "Prompt", "From")
MEASURED_HEADER = ("GPU", "Model as measured", "What", "Measured", "Said here", "Measured is")
MEASURED_MODELS = {
    "Qwen3-32B Q4_K_M": ("qwen3-32b", "Q4_K_M"),
    "Qwen3.6-27B Q4_K_M": ("qwen3.6-27b", "Q4_K_M"),
    "Qwen3.6-35B-A3B Q4": ("qwen3.6-35b-a3b", "Q4_K_M"),
    "Qwen3.6-35B-A3B UD-Q4_K_M": ("qwen3.6-35b-a3b", "Q4_K_M"),
    "gemma-3-12b-it Q4_K_M": ("gemma-3-12b-it", "Q4_K_M"),
    "gpt-oss-20b MXFP4": ("gpt-oss-20b", "MXFP4"),
    "gpt-oss-120b MXFP4": ("gpt-oss-120b", "MXFP4"),
}
"""Measurements that the figures of single cards do not rest on, and the variant of the catalog that comes nearest."""
REQUEST = Request()
"""Nothing chosen by hand: 8,192 tokens of f16 context, shortened where that decides."""


def main() -> int:
    """Write the tables, or check them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    is_check = parser.parse_args().check
    before = TARGET.read_text(encoding="utf-8")
    after = with_tables(before, worked_examples())
    if is_check and before != after:
        print(f"{TARGET.name} is not what the program says; run python -m scripts.make_worked_examples", file=sys.stderr)
        return 1
    if not is_check:
        TARGET.write_text(after, encoding="utf-8")
    return 0


def with_tables(document: str, tables: str) -> str:
    """A document with other tables between its two marks."""
    head, _begin, rest = document.partition(BEGIN)
    _old, _end, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n{tables}\n{END}{tail}"


def worked_examples() -> str:
    """A section with a table for each ready-made computer."""
    with tempfile.TemporaryDirectory() as folder:
        services = build_services(LaunchOptions(data_dir=Path(folder)))
        try:
            sections = [_section(services, key, spec) for key, spec in PRESETS.items()]
            return "\n".join(["## The computers", "", *sections, _measured_section(services)])
        finally:
            services.close()


def _section(services: AppServices, key: str, spec: MachineSpec) -> str:
    machine = services.what_if.machine(spec)
    rows = {row.model.id: row for row in services.what_if.rows(machine, REQUEST) or ()}
    lines = [f"### {spec.name}", "", f"`localai-app what-if {key}`: {_machine_words(machine)}", ""]
    lines += [_line(HEADER), _line(["---"] * len(HEADER))]
    lines += [_line(_cells(rows[model_id], machine)) for model_id in MODEL_IDS]
    return "\n".join([*lines, ""])


def _machine_words(machine: HardwareReport) -> str:
    memory = machine.memory
    parts = [f"{format_gib(memory.available_bytes)} of {format_gib(memory.total_bytes)} main memory free"]
    kinds: dict[tuple[str, int, int], int] = {}
    for gpu in machine.gpus:
        facts = (gpu.name, gpu.free_bytes or 0, gpu.total_bytes or 0)
        kinds[facts] = kinds.get(facts, 0) + 1
    parts += [f"{count} x {name} with {format_gib(free)} of {format_gib(total)} free"
              for (name, free, total), count in kinds.items()]
    return "; ".join(parts) + "."


def _cells(row: DiscoveryRow, machine: HardwareReport) -> list[str]:
    fit, file = row.fit, row.file
    if fit is None or file is None:
        return [row.model.name, "", "not known", *[""] * (len(HEADER) - 3)]
    variant = f"{file.label} ({loss_words(file.label)})" if runs(row) else f"{file.label}, the smallest"
    if not runs(row):
        why = f"**{VERDICT_WORDS[fit.verdict]}**: {format_gib(_usable_bytes(fit, machine))} can be used"
        return [row.model.name, variant, why, format_gib(fit.total_bytes), format_count(fit.ctx), "", "", "", fit.basis]
    return [
        row.model.name, variant, VERDICT_WORDS[fit.verdict], format_gib(fit.total_bytes), format_count(fit.ctx),
        format_context(fit.max_ctx.get(fit.kv_type, 0)), *_speeds(fit), f"{fit.basis}, {fit.speed.basis}"]


def _usable_bytes(fit: FitResult, machine: HardwareReport) -> int:
    """What all devices together offer; a GPU without memory of its own offers none."""
    sharing = {gpu.name for gpu in machine.gpus if gpu.unified}
    return sum(max(0, device.free_bytes - device.reserve_bytes) for device in fit.devices if device.name not in sharing)


def _measured_section(services: AppServices) -> str:
    """Published measurements of models of the catalog against what the program says of the same card and variant."""
    lines = ["## Against published measurements", "", _line(MEASURED_HEADER), _line(["---"] * len(MEASURED_HEADER))]
    for device in msgspec.json.decode(GPU_TABLE.read_bytes()):
        for bench in device.get("bench", ()):
            known = MEASURED_MODELS.get(bench["model"])
            if known is not None:
                fit = _fit_on(services, device["name"], *known)
                speed = fit.speed
                lines += _measured_line(device["name"], bench, "tg128", "answer", (speed.low, speed.high))
                lines += _measured_line(device["name"], bench, "pp512", "prompt", (speed.prompt_low, speed.prompt_high))
    return "\n".join([*lines, ""])


def _fit_on(services: AppServices, gpu_name: str, model_id: str, label: str) -> FitResult:
    model = services.discovery.model(model_id)
    file = next((file for file in model.files if file.label == label), None) if model is not None else None
    if model is None or file is None:
        raise SystemExit(f"{model_id} {label} is not in the catalog")
    gpu = find_gpu(services.what_if.gpus(), gpu_name)
    machine = services.what_if.machine(machine_with(gpu, ram_gib=None if gpu.shares_main_memory else 128))
    return services.estimate.fit_subject(catalog_subject(model, file), REQUEST, machine)


def _measured_line(
    gpu_name: str, bench: dict[str, Any], key: str, what: str, said: tuple[float | None, float | None],
) -> list[str]:
    measured, (low, high) = bench.get(key), said
    if not measured:
        return []
    words, place = "unknown", ""
    if low is not None and high is not None:
        words = format_speed_range(low, high).removesuffix(" tok/s")
        off = measured / ((low + high) / 2) - 1
        place = "within" if low <= measured <= high else f"{abs(off):.0%} {'below' if off < 0 else 'above'} its middle"
    measured_words = f"{measured:,.0f}" if measured >= 100 else f"{measured:.1f}"
    return [_line([gpu_name, bench["model"], what, measured_words, words, place])]


def _speeds(fit: FitResult) -> tuple[str, str]:
    speed = fit.speed
    answer = "unknown" if speed.low is None or speed.high is None else format_speed_range(speed.low, speed.high)
    prompt = "unknown"
    if speed.prompt_low is not None and speed.prompt_high is not None:
        prompt = format_speed_range(speed.prompt_low, speed.prompt_high)
    return answer.removesuffix(" tok/s"), prompt.removesuffix(" tok/s")


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    sys.exit(main())

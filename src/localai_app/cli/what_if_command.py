"""The command about other hardware: what-if."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from localai_app import errors
from localai_app.cli.machine_commands import TaskOption, hardware_lines, suggestion_document, suggestion_lines
from localai_app.cli.model_commands import HardwareOption, fit_document, speed_words
from localai_app.cli.session import Session
from localai_app.errors import AppError
from localai_app.fit.result import VERDICT_WORDS
from localai_app.services.candidates import runs
from localai_app.services.machine_file import machine_words, read_machine
from localai_app.services.machine_parts import KnownGpu, find_gpu
from localai_app.services.views import DiscoveryRow
from localai_app.services.what_if import PRESETS, MachineSpec, WhatIfAnswer, WhatIfService, machine_with
from localai_app.units import GIB, format_context, format_gib


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command("what-if")(what_if)


def what_if(
    context: typer.Context,
    computer: Annotated[str, typer.Argument(help="A GPU or a ready-made computer, see --list. Nothing: no GPU.")] = "",
    ram_gib: Annotated[
        float | None, typer.Option("--ram-gib", min=0.5, max=16_384, help="Main memory (of a Mac: all of it).")] = None,
    gpus: Annotated[int | None, typer.Option("--gpus", min=1, max=16, help="How many of that GPU.")] = None,
    vram_gib: Annotated[float | None, typer.Option("--vram-gib", help="Where a GPU is sold with several sizes.")] = None,
    ram_gbs: Annotated[
        float | None, typer.Option("--ram-gbs", min=1, max=10_000, help="Peak speed of main memory in GB/s.")] = None,
    cores: Annotated[int | None, typer.Option("--cores", min=1, max=1024, help="Cores of the processor.")] = None,
    hardware: HardwareOption = None,
    task: TaskOption = None,
    list_parts: Annotated[bool, typer.Option("--list", help="List what can be chosen.")] = False,
) -> None:
    """Say what another computer could run, and how fast, without having it."""
    session: Session = context.obj
    with session.services() as services:
        if list_parts:
            _print_parts(session, services.what_if.gpus())
            return
        if hardware is not None:
            if computer or any(value is not None for value in (ram_gib, gpus, vram_gib, ram_gbs, cores)):
                raise typer.BadParameter("the file describes the whole computer", param_hint="--hardware")
            report = read_machine(hardware, services.what_if.gpus())
            name = machine_words(report)
            answer = services.what_if.answer_now(report, task or services.discovery.task)
            session.output.document(answer_document(name, answer))
            _print_answer(session, name, answer)
            return
        if not computer and ram_gib is None:
            raise typer.BadParameter("name a GPU or a computer of --list, or give --ram-gib", param_hint="COMPUTER")
        spec = _spec(services.what_if, computer, ram_gib, gpus, vram_gib)
        spec = msgspec.structs.replace(
            spec, cores=cores or spec.cores,
            ram_bandwidth_bytes_per_s=ram_gbs * 1e9 if ram_gbs is not None else spec.ram_bandwidth_bytes_per_s)
        answer = services.what_if.answer_now(services.what_if.machine(spec), task or services.discovery.task)
    session.output.document(answer_document(spec.name, answer))
    _print_answer(session, spec.name, answer)


def _spec(
    what_if_service: WhatIfService, computer: str, ram_gib: float | None, count: int | None, vram_gib: float | None,
) -> MachineSpec:
    """A ready-made computer with what was asked for instead, or one around a GPU."""
    preset = PRESETS.get(computer.strip().lower())
    if preset is None:
        gpu = find_gpu(what_if_service.gpus(), computer) if computer else None
        if gpu is None and count is not None:
            raise AppError(errors.MACHINE_INVALID, reason="several GPUs need the name of one")
        preset = machine_with(gpu, ram_gib=ram_gib, count=count or 1)
        count = None
    choices = tuple(
        msgspec.structs.replace(choice, count=count or choice.count, memory_gib=vram_gib or choice.memory_gib)
        for choice in preset.gpus)
    changed = msgspec.structs.replace(
        preset, gpus=choices, ram_bytes=preset.ram_bytes if ram_gib is None else round(ram_gib * GIB))
    return changed if changed == preset else msgspec.structs.replace(changed, name=f"{preset.name}, changed")


def answer_document(name: str, answer: WhatIfAnswer) -> dict[str, object]:
    """The answer for JSON; `hardware` is what `--hardware` of other commands takes."""
    return {
        "computer": name, "hardware": answer.report, "task": answer.suggestions.task,
        "runnable": answer.suggestions.runnable_count,
        "total": answer.suggestions.total_count,
        "suggestions": [suggestion_document(card, answer.suggestions.task) for card in answer.suggestions.cards],
        "rows": [_row_document(row) for row in answer.rows],
    }


def _row_document(row: DiscoveryRow) -> dict[str, object]:
    document: dict[str, object] = {
        "id": row.model.id, "name": row.model.name, "repo_id": row.model.repo_id,
        "variant": row.file.label if row.file else None, "size_bytes": row.file.size_bytes if row.file else None}
    return {**document, **(fit_document(row.fit) if row.fit is not None else {"verdict": "unknown"})}


def _print_answer(session: Session, name: str, answer: WhatIfAnswer) -> None:
    output = session.output
    output.words(name)
    for line in hardware_lines(answer.report):
        output.words(f"  {line}")
    output.words()
    output.words(f"It could run {answer.suggestions.runnable_count} of {answer.suggestions.total_count} models.")
    for card in answer.suggestions.cards:
        output.words()
        for line in suggestion_lines(card):
            output.words(line)
    running = sorted((row for row in answer.rows if runs(row)), key=lambda row: -row.model.quality)
    output.words()
    output.table(
        ("Model", "Variant", "There", "Needs", "Context", "Speed"),
        [(row.model.name, row.file.label, VERDICT_WORDS[row.fit.verdict], format_gib(row.fit.total_bytes),
          format_context(row.fit.ctx), speed_words(row.fit.speed))
         for row in running if row.file is not None and row.fit is not None])


def _print_parts(session: Session, gpus: tuple[KnownGpu, ...]) -> None:
    session.output.document({
        "computers": [{"id": key, **msgspec.to_builtins(spec)} for key, spec in PRESETS.items()],
        "gpus": gpus,
    })
    session.output.table(("Ready-made", "What it is"), [(key, spec.name) for key, spec in PRESETS.items()])
    session.output.words()
    session.output.table(
        ("GPU", "Memory", "Bandwidth"),
        [(gpu.name, _sizes(gpu), f"{gpu.bandwidth_gbs:g} GB/s" if gpu.bandwidth_gbs else "not known") for gpu in gpus])


def _sizes(gpu: KnownGpu) -> str:
    if not gpu.memory_gib:
        return "main memory"
    sizes = " or ".join(f"{size:g}" for size in sorted(gpu.memory_gib))
    return f"{sizes} GiB of main memory" if gpu.shares_main_memory else f"{sizes} GiB"

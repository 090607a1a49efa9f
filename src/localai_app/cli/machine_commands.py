"""Commands about this computer: hardware, suggest, doctor, settings."""

from __future__ import annotations

from typing import Annotated

import typer

from localai_app import errors
from localai_app.catalog.tasks import Task
from localai_app.cli.doctor import run_checks
from localai_app.cli.model_commands import HardwareOption, read_hardware
from localai_app.cli.session import Session
from localai_app.errors import AppError
from localai_app.hardware.report import HardwareReport
from localai_app.services.views import Suggestion, SuggestionKind
from localai_app.settings.declaration import SETTINGS, SPECS
from localai_app.units import format_count, format_file_size, format_gib, format_speed_range

TaskOption = Annotated[Task | None, typer.Option("--task", help="What for; as in the settings where it is not given.")]
KIND_WORDS = {
    SuggestionKind.BEST_ANSWERS: "Best answers",
    SuggestionKind.BALANCED: "Balanced",
    SuggestionKind.FASTEST: "Fastest",
}


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command()(hardware)
    app.command()(suggest)
    app.command()(doctor)
    # So that a negative number can be given as a value.
    app.command(context_settings={"ignore_unknown_options": True})(settings)


def hardware(context: typer.Context) -> None:
    """Show what this computer has: processor, memory, GPUs."""
    session: Session = context.obj
    with session.services() as services:
        report = services.hardware.detect_now()
    session.output.document(report)
    for line in hardware_lines(report):
        session.output.words(line)


def suggest(context: typer.Context, hardware: HardwareOption = None, task: TaskOption = None) -> None:
    """Suggest models that run well on this computer, or on another one."""
    session: Session = context.obj
    with session.services() as services:
        report = read_hardware(services, hardware)
        if report is None:
            services.hardware.detect_now()
            suggestions = services.discovery.compute_now(task)
        else:
            suggestions = services.what_if.answer_now(report, task or services.discovery.task).suggestions
    session.output.document({
        "task": suggestions.task,
        "runnable": suggestions.runnable_count,
        "total": suggestions.total_count,
        "suggestions": [suggestion_document(card, suggestions.task) for card in suggestions.cards],
    })
    computer = "This computer" if report is None else "The computer"
    session.output.words(f"{computer} can run {suggestions.runnable_count} of {suggestions.total_count} models.")
    for card in suggestions.cards:
        session.output.words()
        for line in suggestion_lines(card):
            session.output.words(line)


def doctor(context: typer.Context) -> None:
    """Check what works here and what does not, each with its remedy."""
    session: Session = context.obj
    with session.services() as services:
        checks = run_checks(services)
    session.output.document({
        "ok": all(check.ok for check in checks),
        "checks": [
            {"name": check.name, "ok": check.ok, "message": check.message, "remedy": check.remedy} for check in checks
        ],
    })
    for check in checks:
        session.output.words(f"{'works  ' if check.ok else 'PROBLEM'}  {check.name}: {check.message}")
        if check.remedy and not check.ok:
            session.output.words(f"         {check.remedy}")


def settings(
    context: typer.Context,
    key: Annotated[str | None, typer.Argument(help="A setting to show or change.")] = None,
    value: Annotated[str | None, typer.Argument(help="Its new value.")] = None,
    reset: Annotated[bool, typer.Option(help="Back to the default.")] = False,
) -> None:
    """Show all settings, or show, change or reset one."""
    session: Session = context.obj
    if key is not None and key.startswith("-"):
        raise typer.BadParameter(f"there is no option {key}")
    if key is not None and key not in SPECS:
        raise AppError(errors.SETTING_UNKNOWN, key=key)
    with session.services() as services:
        if key is not None and reset:
            services.settings.reset(key)
        elif key is not None and value is not None:
            services.settings.set_from_text(key, value)
        shown = [SPECS[key]] if key is not None else list(SETTINGS)
        values = {spec.key: services.settings.get(spec.key) for spec in shown}
    session.output.document(values)
    for spec in shown:
        session.output.words(f"{spec.key} = {values[spec.key]}")
        zero = f" 0: {_lower_first(spec.zero_means)}." if spec.zero_means else ""
        session.output.words(f"    {spec.help}{zero} Default: {spec.default!r}. Takes effect: {_lower_first(spec.effect)}.")


def _lower_first(words: str) -> str:
    return words[0].lower() + words[1:]


def hardware_lines(report: HardwareReport) -> list[str]:
    """The report in words, one fact a line."""
    cpu, memory = report.cpu, report.memory
    lines = [
        f"Processor  {cpu.model}, {cpu.physical_cores} cores ({cpu.logical_cores} threads), {cpu.architecture}",
        f"           {' '.join(cpu.instruction_sets)}",
        f"Memory     {format_gib(memory.total_bytes)}, {format_gib(memory.available_bytes)} available",
    ]
    if memory.container_limit_bytes is not None:
        lines.append(f"           limited to {format_gib(memory.container_limit_bytes)} by its container")
    if memory.bandwidth_bytes_per_s:
        lines.append(f"           {memory.bandwidth_bytes_per_s / 1e9:.1f} GB/s when copying")
    for gpu in report.gpus:
        total = format_gib(gpu.total_bytes) if gpu.total_bytes is not None else "memory unknown"
        free = f", {format_gib(gpu.free_bytes)} free" if gpu.free_bytes is not None else ""
        shared = ", shared with the processor" if gpu.unified else ""
        lines.append(f"Graphics   {gpu.name}, {total}{free}{shared}")
    if not report.gpus:
        lines.append("Graphics   no GPU found; models run on the processor")
    for note in report.notes:
        lines.append(f"Note       {note.message} {note.remedy}".rstrip())
    return lines


def suggestion_document(card: Suggestion, task: Task) -> dict[str, object]:
    """One suggestion for JSON; `quality` is that at the task."""
    for_task = card.model.quality_for(task.value)
    return {
        "kind": card.kind, "id": card.model.id, "name": card.model.name, "repo_id": card.model.repo_id,
        "variant": card.file.label, "size_bytes": card.file.size_bytes, "verdict": card.fit.verdict, "ctx": card.fit.ctx,
        "total_bytes": card.fit.total_bytes, "basis": card.fit.basis, "speed": card.fit.speed, "quality": for_task.value,
        "quality_is_estimated": for_task.is_estimated, "quality_source": for_task.source, "reason": card.reason,
    }


def suggestion_lines(card: Suggestion) -> list[str]:
    """One suggestion in words."""
    speed = card.fit.speed
    known = speed.low is not None and speed.high is not None
    speed_words = format_speed_range(speed.low or 0, speed.high or 0) if known else "speed unknown until the first run"
    return [
        f"{KIND_WORDS[card.kind]}: {card.model.name} ({card.file.label})",
        f"  {card.reason}",
        f"  {format_gib(card.fit.total_bytes)} of memory at a context of {format_count(card.fit.ctx)} tokens, {speed_words}, "
        f"download {'' if card.file.is_exact else 'about '}{format_file_size(card.file.size_bytes)}",
        f"  localai-app pull {card.model.repo_id}:{card.file.label}",
    ]



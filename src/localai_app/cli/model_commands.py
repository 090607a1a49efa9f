"""Commands about models: search, show, fit, pull, models, rm."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated

import typer

from localai_app import errors
from localai_app.cli import load_commands
from localai_app.cli.load_commands import (
    CtxOption,
    ExpertsOption,
    KvOption,
    LayersOption,
    LoadChoices,
    MainDeviceOption,
    SplitOption,
    WithoutOption,
)
from localai_app.cli.session import Session, StoppedError
from localai_app.errors import AppError
from localai_app.fit.result import VERDICT_WORDS, FitResult, SpeedRange, Verdict, slowdown_words
from localai_app.hardware.report import HardwareReport
from localai_app.hub.reference import parse_model_reference
from localai_app.progress import Progress
from localai_app.services.app_services import AppServices
from localai_app.services.events import DownloadChanged, DownloadFinished, Event
from localai_app.services.library_service import OWN_SOURCE
from localai_app.services.machine_file import read_machine
from localai_app.services.views import DownloadStatus, InstalledModel
from localai_app.units import (
    format_bytes_per_s,
    format_context,
    format_count,
    format_duration,
    format_file_size,
    format_gib,
    format_speed,
    format_speed_range,
)

HardwareOption = Annotated[Path | None, typer.Option(
    "--hardware", help="A file with what `hardware --json` prints, or with a computer in a few lines (user guide).")]
HEADER_ERRORS = ("not_a_gguf", "gguf_truncated", "gguf_refused", "model_parts_missing")


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    for function in (search, show, fit, pull, models):
        app.command()(function)
    app.command("rm")(remove)


def search(
    context: typer.Context, words: Annotated[list[str], typer.Argument(help="What to look for.")],
) -> None:
    """Search the Hub for models in the GGUF format."""
    session: Session = context.obj
    with session.services() as services:
        hits = services.hub.search(" ".join(words))
    session.output.document({"results": hits})
    if not hits:
        session.output.words("Nothing found. Try fewer or other words.")
        return
    session.output.table(
        ("Repository", "Downloads", "Likes", "Changed"),
        [(hit.repo_id, format_count(hit.downloads), format_count(hit.likes), hit.last_modified[:10]) for hit in hits])


def show(
    context: typer.Context, repository: Annotated[str, typer.Argument(help="OWNER/REPO, or its address.")],
    ctx: CtxOption = None, kv_type: KvOption = None,
    quick: Annotated[bool, typer.Option("--quick", help="Read one header only; the others follow from their sizes.")] = False,
    hardware: HardwareOption = None,
) -> None:
    """Show a repository's variants with their sizes and whether they fit, each from its own header."""
    session: Session = context.obj
    with session.services() as services:
        report = read_hardware(services, hardware)
        if report is None:
            services.hardware.detect_now(with_engine=False)
        repo = services.variants.find(parse_model_reference(repository).repo_id)
        request = LoadChoices(ctx, kv_type).applied_to(load_commands.asked_for(services, report))
        rows = services.variants.read(repo, request, quick=quick, hardware=report)
    session.output.document({
        "repo_id": repo.repo_id, "commit": repo.commit, "license": repo.license, "gated": repo.gated,
        "downloads": repo.downloads, "likes": repo.likes, "last_modified": repo.last_modified,
        "variants": [
            {"label": row.label, "size_bytes": row.size_bytes, "loss": row.loss_words,
             "files": [file.path for file in variant.files], **(fit_document(row.fit) if row.fit else {})}
            for row, variant in zip(rows, repo.variants, strict=True)
        ],
    })
    session.output.words(f"{repo.repo_id}  {repo.license}  {format_count(repo.downloads)} downloads")
    session.output.table(
        ("Variant", "Size", "Loss", "Needs", "Here", "Speed", "Longest context", "Figures"),
        [(row.label, format_file_size(row.size_bytes), row.loss_words or "unknown",
          *(_fit_cells(row.fit) if row.fit else ("", "", "", "", ""))) for row in rows])
    for row in rows:
        if row.fit is not None and row.fit.verdict is Verdict.UNKNOWN:
            session.output.words(f"{row.label}: {' '.join(row.fit.reasons)}")


def fit(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="A .gguf file, an installed model, or OWNER/REPO[:VARIANT].")],
    ctx: CtxOption = None,
    kv_type: KvOption = None,
    gpu_layers: LayersOption = None,
    experts_on_cpu: ExpertsOption = None,
    without_device: WithoutOption = None,
    main_device: MainDeviceOption = None,
    tensor_split: SplitOption = None,
    with_projector: Annotated[
        bool, typer.Option("--with-projector", help="Count the image or audio part (mmproj) as if it were loaded.")] = False,
    hardware: HardwareOption = None,
) -> None:
    """Say whether a model fits, on which device, with which context and how fast."""
    session: Session = context.obj
    choices = LoadChoices(
        ctx, kv_type, gpu_layers, experts_on_cpu, without_device, main_device, tensor_split, with_projector)
    with session.services() as services:
        report = read_hardware(services, hardware)
        if report is None:
            services.hardware.detect_now()
        choices.require_devices(report or services.hardware.report_now())
        request = choices.applied_to(load_commands.asked_for(services, report))
        try:
            result = _fit_any(services, model, choices, report)
        except AppError as error:
            if error.code not in HEADER_ERRORS:
                raise
            session.output.error(error, {
                "verdict": "unknown", "basis": "header", "ctx": request.ctx or request.default_ctx,
                "reasons": [error.message, error.action]})
            raise typer.Exit(1) from error
    session.output.document(fit_document(result))
    for line in fit_lines(result):
        session.output.words(line)


def pull(
    context: typer.Context, model: Annotated[str, typer.Argument(help="OWNER/REPO[:VARIANT], or its address.")],
) -> None:
    """Download a model; a stopped download goes on from where it was."""
    session: Session = context.obj
    reference = parse_model_reference(model)
    with session.services() as services:
        installed = _pull(session, services, reference.repo_id, reference.variant)
    session.output.document(model_document(installed))
    session.output.words(f"{installed.key} is ready: {installed.paths[0]}")


def models(context: typer.Context) -> None:
    """List the models on this disk."""
    session: Session = context.obj
    with session.services() as services:
        installed = services.library.models()
        unfinished = services.store.downloads.list()
    session.output.document({
        "models": [model_document(model) for model in installed],
        "unfinished": [
            {"model": f"{record.repo_id}:{record.label}", "done_bytes": record.done_bytes,
             "size_bytes": sum(size for _path, size, _sha256 in record.files), "state": record.state}
            for record in unfinished],
    })
    if not installed and not unfinished:
        session.output.words("No model is installed. See `localai-app suggest` for what runs well here.")
        return
    if installed:
        session.output.table(
            ("Model", "Size", "Speed", "From"),
            [(model.key, format_file_size(model.size_bytes), format_speed(model.tps) if model.tps else "not measured yet",
              model.source) for model in installed])
    for record in unfinished:
        session.output.words(f"{record.repo_id}:{record.label} is not complete; go on with `localai-app pull`.")


def remove(
    context: typer.Context, model: Annotated[str, typer.Argument(help="An installed model, as `models` lists it.")],
) -> None:
    """Move a model to the trash and say how much space that frees; a linked file stays where it is."""
    session: Session = context.obj
    with session.services() as services:
        found = services.library.get(model)
        freed_bytes = services.library.remove(found.key)
    session.output.document({"removed": found.key, "freed_bytes": freed_bytes})
    if found.source == OWN_SOURCE:
        session.output.words(f"{found.key} is in the trash; emptying it frees {format_file_size(freed_bytes)}.")
    else:
        session.output.words(f"{found.key} is off the list; its file stays where it is.")


def _pull(session: Session, services: AppServices, repo_id: str, variant: str | None) -> InstalledModel:
    over = threading.Event()
    finished: list[str] = []

    def on_event(event: Event) -> None:
        match event:
            case DownloadFinished(model_key=key):
                finished.append(key)
                over.set()
            case DownloadChanged(download_id=changed_id):
                view = services.downloads.get(changed_id)
                if view is not None and view.status is DownloadStatus.FAILED:
                    over.set()
            case _:
                pass

    unsubscribe = services.events.subscribe(on_event)
    download_id = services.downloads.start(repo_id, variant)
    try:
        while not over.wait(0.2):
            view = services.downloads.get(download_id)
            if view is not None and view.total_bytes:
                speed = f", {format_bytes_per_s(view.bytes_per_s)}" if view.bytes_per_s else ""
                left = f", {format_duration(view.eta_s)} left" if view.eta_s else ""
                session.output.progress(Progress(view.done_bytes, view.total_bytes), speed + left)
    except StoppedError:
        _pause(session, services, download_id)
        raise
    finally:
        unsubscribe()
    session.output.end_progress()
    view = services.downloads.get(download_id)
    if view is not None and view.error is not None:
        raise view.error
    return services.library.get(finished[0])


def _pause(session: Session, services: AppServices, download_id: int) -> None:
    """Stopped by the user: what has arrived stays, and nothing goes on by itself."""
    services.downloads.pause(download_id)
    view = services.downloads.get(download_id)
    if view is not None and view.done_bytes:
        session.output.say(
            f"{format_file_size(view.done_bytes)} of {format_file_size(view.total_bytes)} have arrived and are kept; "
            "the same command goes on from there.")


def _fit_any(services: AppServices, model: str, choices: LoadChoices, report: HardwareReport | None) -> FitResult:
    """From the file if the model is on this disk, as it would be loaded, else from its header on the Hub."""
    is_address = model.lower().startswith(("http:", "https:", "hf:"))
    try:
        key = model if is_address else services.library.get(model).key
    except AppError as error:
        if error.spec not in (errors.MODEL_NOT_INSTALLED, errors.VARIANT_AMBIGUOUS):
            raise
        is_address = True
    if not is_address:
        return services.estimate.fit_installed(key, choices.applied_to(load_commands.asked_for(services, report, key)), report)
    reference = parse_model_reference(model)
    request = choices.applied_to(load_commands.asked_for(services, report))
    return services.estimate.fit_repo_variant(reference.repo_id, reference.variant, request, report)


def read_hardware(services: AppServices, path: Path | None) -> HardwareReport | None:
    """The computer in a file, if one is named; AppError if it cannot be read or holds none."""
    return read_machine(path, services.what_if.gpus()) if path is not None else None


def fit_document(result: FitResult) -> dict[str, object]:
    """A fit for JSON; every amount in bytes, speeds in tokens per second."""
    return {
        "verdict": result.verdict, "basis": result.basis, "ctx": result.ctx, "kv_type": result.kv_type,
        "weights_bytes": result.weights_bytes, "kv_bytes": result.kv_bytes, "compute_bytes": result.compute_bytes,
        "overhead_bytes": result.overhead_bytes, "total_bytes": result.total_bytes,
        "devices": result.devices, "max_ctx": result.max_ctx, "speed": result.speed,
        "reasons": result.reasons, "remedies": result.remedies, "load_options": result.load_options,
    }


def fit_lines(result: FitResult) -> list[str]:
    """A fit in words."""
    verdict = VERDICT_WORDS[result.verdict]
    lines = [f"{verdict[0].upper()}{verdict[1:]} at a context of {format_count(result.ctx)} tokens."]
    lines += [f"  {reason}" for reason in result.reasons]
    for device in result.devices:
        lines.append(
            f"  {device.name}: {format_gib(device.total_bytes)} = weights {format_gib(device.weights_bytes)} + context "
            f"{format_gib(device.kv_bytes)} + working memory {format_gib(device.compute_bytes)} + engine "
            f"{format_gib(device.overhead_bytes)}; "
            f"{format_gib(device.free_bytes)} free, {format_gib(device.reserve_bytes)} kept free")
    lines.append("  Longest context: " + ", ".join(f"{format_count(ctx)} ({kv})" for kv, ctx in result.max_ctx.items()))
    lines.append(
        f"  Speed: {speed_words(result.speed)} ({result.speed.basis.replace('_', ' ')}). "
        f"{slowdown_words(result.speed)}".rstrip())
    lines += [f"  {remedy}" for remedy in result.remedies]
    lines.append(f"  Figures from: {result.basis.replace('_', ' ')}")
    return lines


def speed_words(speed: SpeedRange) -> str:
    """A speed range in words."""
    if speed.low is None or speed.high is None:
        return "unknown until the first run"
    return format_speed_range(speed.low, speed.high)


def _fit_cells(result: FitResult) -> tuple[str, str, str, str, str]:
    if result.verdict is Verdict.UNKNOWN:
        return "not known", VERDICT_WORDS[result.verdict], "", "", ""
    return (
        format_gib(result.total_bytes), VERDICT_WORDS[result.verdict], speed_words(result.speed),
        format_context(result.max_ctx.get(result.kv_type, 0)), result.basis.replace("_", " "))


def model_document(model: InstalledModel) -> dict[str, object]:
    """An installed model for JSON."""
    return {
        "model": model.key, "name": model.name, "variant": model.label, "repo_id": model.repo_id,
        "paths": [str(path) for path in model.paths], "size_bytes": model.size_bytes, "source": model.source,
        "complete": model.is_complete, "tps": model.tps, "last_used_s": model.last_used_s,
    }
